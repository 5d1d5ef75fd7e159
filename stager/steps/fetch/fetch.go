package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/archive"
	"github.com/irene-cf/irene/stager/steps/transfer"
)

// downloadsFolder holds archives until they are unpacked, below the shared volume.
const downloadsFolder = ".downloads"

// defaultParallel is how many things are fetched at once.
const defaultParallel = 4

// Run fetches everything and returns what it did.
func Run(ctx context.Context, config steps.FetchConfig, log *steps.UserLog, patience transfer.Patience) ([]steps.Phase, error) {
	client, err := transfer.NewClient(config.TLS, nil, patience, log)
	if err != nil {
		return nil, steps.Because(steps.BadConfiguration, err, "staging is not set up well")
	}
	defer client.Close()
	f := &fetcher{config: config, limits: config.Limits.WithDefaults(), client: client, log: log}
	for _, file := range config.TLS.Authorities {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, steps.Because(steps.BadConfiguration, err, "staging is not set up well")
		}
		f.authorities = append(append(f.authorities, text...), '\n')
	}
	if err := f.prepare(); err != nil {
		return nil, err
	}
	err = f.all(ctx)
	if removeErr := os.RemoveAll(f.path(downloadsFolder)); err == nil && removeErr != nil {
		err = fmt.Errorf("remove downloaded archives: %w", removeErr)
	}
	return f.phases, err
}

type fetcher struct {
	config      steps.FetchConfig
	limits      steps.Limits
	client      *transfer.Client
	log         *steps.UserLog
	authorities []byte

	mutex  sync.Mutex
	phases []steps.Phase
	// downloads numbers the archives.
	downloads int
}

func (f *fetcher) path(name string) string { return filepath.Join(f.config.Workspace, name) }

// prepare makes the folders, empty. The volume may have been used before: a pod that
// lost its sandbox starts again from its first step, with the old volume.
func (f *fetcher) prepare() error {
	volume, err := os.OpenRoot(f.config.Workspace)
	if err != nil {
		return fmt.Errorf("prepare the shared volume: %w", err)
	}
	defer volume.Close()
	// Any other error comes from something that only user code can have put there, such as
	// a link out of the volume.
	if _, err := volume.Lstat(filepath.Join(steps.OutFolder, steps.StartedFile)); !errors.Is(err, fs.ErrNotExist) {
		return steps.Fail(steps.Interrupted, "the build was interrupted and is not run a second time; push the app again")
	}
	for _, folder := range []string{steps.AppFolder, steps.BuildpacksFolder, steps.CacheFolder, steps.OutFolder, steps.ContentsFolder, downloadsFolder} {
		if err := volume.RemoveAll(folder); err != nil {
			return fmt.Errorf("prepare the shared volume: %w", err)
		}
		if folder == steps.ContentsFolder {
			continue
		}
		mode := fs.FileMode(0o755)
		if folder == downloadsFolder {
			mode = 0o700
		}
		if err := volume.Mkdir(folder, mode); err != nil {
			return fmt.Errorf("prepare the shared volume: %w", err)
		}
	}
	return nil
}

func (f *fetcher) all(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	parallel := f.config.Parallel
	if parallel == 0 {
		parallel = defaultParallel
	}
	group.SetLimit(parallel)
	group.Go(func() error { return f.app(ctx) })
	if f.config.CacheURL != "" {
		group.Go(func() error { return f.cache(ctx) })
	}
	for _, buildpack := range f.config.Buildpacks {
		group.Go(func() error { return f.buildpack(ctx, buildpack) })
	}
	return group.Wait()
}

func (f *fetcher) app(ctx context.Context) error {
	began := time.Now()
	f.log.Line("Downloading app package...")
	size, err := f.archive(ctx, transfer.Download{What: "the app package", URL: f.config.AppURL, Trusted: true, Checksum: f.config.AppChecksum}, steps.AppFolder)
	if err != nil {
		return err
	}
	f.log.Line("Downloaded app package (%s)", steps.Size(size))
	f.done("app", began, size)
	return nil
}

// cache fetches the build cache. It is a convenience: when it can't be had, the
// build just takes longer.
func (f *fetcher) cache(ctx context.Context) error {
	began := time.Now()
	f.log.Line("Downloading build artifacts cache...")
	download := transfer.Download{What: "the build artifacts cache", URL: f.config.CacheURL, Trusted: true, Optional: true, Checksum: f.config.CacheChecksum}
	size, err := f.archive(ctx, download, steps.CacheFolder)
	if err == nil {
		f.log.Line("Downloaded build artifacts cache (%s)", steps.Size(size))
		f.done("cache", began, size)
		return nil
	}
	// A disk that is full will be full for the rest too.
	if failure := steps.AsFailure(err); ctx.Err() != nil || failure.Reason == steps.OutOfDisk {
		return err
	}
	f.log.Line("No build artifacts cache is used: %v", err)
	return emptyFolder(f.path(steps.CacheFolder))
}

func (f *fetcher) buildpack(ctx context.Context, buildpack opi.Buildpack) error {
	began := time.Now()
	name := displayName(buildpack)
	f.log.Line("Downloading %s...", name)
	folder := steps.BuildpackPath(buildpack.Key)
	if err := os.Mkdir(f.path(folder), 0o755); err != nil {
		return fmt.Errorf("prepare the shared volume: %w", err)
	}
	var size int64
	var err error
	if isRepository(buildpack) {
		size, err = f.repository(ctx, buildpack, folder)
	} else {
		size, err = f.archive(ctx, f.download(buildpack), folder)
	}
	if err != nil {
		return err
	}
	f.log.Line("Downloaded %s (%s)", name, steps.Size(size))
	f.done("buildpack "+buildpack.Name, began, size)
	return nil
}

// archive downloads and unpacks into a folder of the volume, and returns the size of
// the archive.
func (f *fetcher) archive(ctx context.Context, download transfer.Download, folder string) (int64, error) {
	file, err := f.newDownload()
	if err != nil {
		return 0, fmt.Errorf("make a file for %s: %w", download.What, err)
	}
	defer file.Close()
	// Its content is gone as soon as it is unpacked, and its name at once.
	if err := os.Remove(file.Name()); err != nil {
		return 0, fmt.Errorf("make a file for %s: %w", download.What, err)
	}
	download.MaxBytes = f.limits.ArchiveBytes
	size, err := f.client.Download(ctx, download, file)
	if err != nil {
		return 0, steps.Because(steps.DownloadFailed, err, "failed to download")
	}
	rules := archive.Rules{Bytes: f.limits.UnpackedBytes, Entries: f.limits.Entries}
	if _, err := archive.Unpack(ctx, file, size, f.path(folder), rules); err != nil {
		return 0, steps.Because(steps.BadArchive, err, "failed to unpack %s", download.What)
	}
	return size, nil
}

func (f *fetcher) newDownload() (*os.File, error) {
	f.mutex.Lock()
	f.downloads++
	name := strconv.Itoa(f.downloads)
	f.mutex.Unlock()
	return os.OpenFile(f.path(filepath.Join(downloadsFolder, name)), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

func (f *fetcher) done(name string, began time.Time, size int64) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.phases = append(f.phases, steps.Since(name, began, size))
}

// download says how to get a buildpack's archive.
func (f *fetcher) download(buildpack opi.Buildpack) transfer.Download {
	return transfer.Download{
		What:     "buildpack " + displayName(buildpack),
		URL:      buildpack.URL,
		Trusted:  !steps.IsCustom(buildpack),
		Checksum: buildpack.Checksum,

		AnyCertificate: f.config.SkipCertVerify && steps.IsCustom(buildpack),
	}
}

// displayName is what users call a buildpack.
func displayName(buildpack opi.Buildpack) string {
	if steps.IsCustom(buildpack) || buildpack.Name == "" {
		return steps.PublicKey(buildpack.Key)
	}
	return buildpack.Name
}
