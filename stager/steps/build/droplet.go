package build

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/archive"
)

// pack writes what push takes: droplet, cache and at last the result.
func (b *builder) pack(ctx context.Context, processes []process) error {
	result, info, err := b.result(processes)
	if err != nil {
		return err
	}
	// User code could have left anything here.
	if err := removeAll(b.path(steps.OutFolder)); err != nil {
		return err
	}
	if err := b.markStart(); err != nil {
		return err
	}

	app, err := openFolder(b.path(steps.AppFolder))
	if err != nil {
		return steps.Because(steps.BadOutput, err, "the buildpack left no app")
	}
	defer app.Close()
	deps, err := openFolder(b.path(steps.DepsFolder))
	if err != nil {
		return steps.Because(steps.BadOutput, err, "the buildpack left no dependencies")
	}
	defer deps.Close()
	profile, err := openFolder(b.path(steps.ProfileFolder))
	if err != nil {
		return steps.Because(steps.BadOutput, err, "the buildpack left no profile.d")
	}
	defer profile.Close()
	err = b.packFile(ctx, "droplet", steps.DropletFile, []archive.Part{
		{Name: "."},
		{Name: "./app", Folder: app},
		{Name: "./deps", Folder: deps},
		{Name: "./logs"},
		{Name: "./profile.d", Folder: profile},
		{Name: "./staging_info.yml", Content: info},
		{Name: "./tmp"},
	})
	if err != nil {
		return err
	}

	cache, err := openFolder(b.path(steps.CacheFolder))
	if err != nil {
		return steps.Because(steps.BadOutput, err, "the buildpack left no cache")
	}
	defer cache.Close()
	if err := b.packFile(ctx, "cache", steps.CacheFile, []archive.Part{{Name: ".", Folder: cache}}); err != nil {
		return err
	}
	if err := os.WriteFile(b.path(steps.OutFolder, steps.ResultFile), result, 0o644); err != nil {
		return b.diskError(err, "result")
	}
	return nil
}

// openFolder opens a folder that user code had in its hands.
func openFolder(path string) (*os.Root, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("%s is not there any more", path)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder any more", path)
	}
	return os.OpenRoot(path)
}

func (b *builder) packFile(ctx context.Context, what, name string, parts []archive.Part) error {
	began := time.Now()
	file, err := os.OpenFile(b.path(steps.OutFolder, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return b.diskError(err, what)
	}
	defer file.Close()
	packed, err := archive.Pack(ctx, file, parts)
	if err != nil {
		return b.diskError(err, what)
	}
	for _, skipped := range packed.Skipped {
		b.errors.Line("Warning: %s is neither a file, a folder nor a link, and is left out of the %s", skipped, what)
	}
	info, err := file.Stat()
	if err != nil {
		return b.diskError(err, what)
	}
	if err := file.Close(); err != nil {
		return b.diskError(err, what)
	}
	b.done(what, began, info.Size())
	b.log.Line("Packed %s (%s, compressed %s)", what, steps.Size(packed.Bytes), steps.Size(info.Size()))
	return nil
}

// diskError says of a full disk how large it is.
func (b *builder) diskError(err error, what string) error {
	if steps.IsOutOfDisk(err) {
		return steps.Fail(steps.OutOfDisk, "staging ran out of disk space%s while it packed the %s", limitText(b.config.DiskMiB), what)
	}
	return steps.Because(steps.BadOutput, err, "failed to pack the %s", what)
}
