package buildpacks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/transfer"
)

const (
	folderPrefix = "irene-buildpack-"
	// leftover is the age at which a folder is nobody's any more.
	leftover = 2 * time.Hour
)

// begin has an image made, unless it is being made already, failed a moment ago, or too
// many others wait.
func (i *Images) begin(buildpack opi.Buildpack, checksum string) {
	if at, ok := i.failed.Get(checksum); ok && time.Since(at) < failureHold {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stopped || i.underWay[checksum] || len(i.underWay) >= maxUnderWay {
		return
	}
	i.underWay[checksum] = true
	i.metrics.underWay.Set(float64(len(i.underWay)))
	i.work.Go(func() {
		i.fly(buildpack, checksum)
		i.mu.Lock()
		defer i.mu.Unlock()
		delete(i.underWay, checksum)
		i.metrics.underWay.Set(float64(len(i.underWay)))
	})
}

// fly makes an image and says what came of it.
func (i *Images) fly(buildpack opi.Buildpack, checksum string) {
	select {
	case i.places <- struct{}{}:
		defer func() { <-i.places }()
	case <-i.ctx.Done():
		return
	}
	ctx, cancel := context.WithTimeoutCause(i.ctx, i.options.Timeout, fmt.Errorf("not done within %s: %w", i.options.Timeout, context.DeadlineExceeded))
	defer cancel()
	began := time.Now()
	data := lager.Data{"buildpack": buildpack.Name, "sha256": checksum}
	// Another replica may have been faster while this one waited.
	_, there, err := i.look(ctx, checksum)
	if err == nil && there {
		i.metrics.images.WithLabelValues(outcomeFound).Inc()
		return
	}
	var reference string
	if err == nil {
		reference, err = i.make(ctx, buildpack, checksum)
	}
	switch {
	case i.ctx.Err() != nil:
		return
	case err != nil:
		i.failed.Add(checksum, time.Now())
		i.metrics.images.WithLabelValues(outcomeFailed).Inc()
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", err, cause)
		}
		i.options.Logger.Error("make-image", fmt.Errorf("builds go on to fetch it: %w", err), data)
		return
	}
	i.known.Add(checksum, knownImage{reference, time.Now()})
	i.failed.Remove(checksum)
	i.metrics.images.WithLabelValues(outcomeMade).Inc()
	i.metrics.seconds.Observe(time.Since(began).Seconds())
	data["image"], data["seconds"] = reference, time.Since(began).Seconds()
	i.options.Logger.Info("image-made", data)
}

// make downloads the archive and pushes what is in it.
func (i *Images) make(ctx context.Context, buildpack opi.Buildpack, checksum string) (reference string, err error) {
	folder, err := os.MkdirTemp(i.options.Folder, folderPrefix+"*")
	if err != nil {
		return "", fmt.Errorf("make a folder: %w", err)
	}
	defer func() {
		if removeErr := os.RemoveAll(folder); removeErr != nil {
			i.options.Logger.Error("clear", removeErr)
		}
	}()
	layer := filepath.Join(folder, "layer.tgz")
	if err := i.layer(ctx, buildpack, folder, layer); err != nil {
		return "", err
	}
	return i.options.Registry.PushBuildpack(ctx, checksum, layer)
}

// layer downloads the archive into the folder and makes the layer of it.
func (i *Images) layer(ctx context.Context, buildpack opi.Buildpack, folder, layer string) error {
	client, err := transfer.NewClient(i.options.TLS, i.options.Outbound, i.options.Patience, steps.NewUserLog(io.Discard))
	if err != nil {
		return err
	}
	defer client.Close()
	file, err := os.OpenFile(filepath.Join(folder, "archive"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make a file for the archive: %w", err)
	}
	defer file.Close()
	// The checksum is promised of the platform's buildpacks only, whose URLs are the
	// platform's.
	size, err := client.Download(ctx, transfer.Download{
		What: "buildpack " + buildpack.Name, URL: buildpack.URL, Trusted: true,
		Checksum: buildpack.Checksum, MaxBytes: i.options.Limits.ArchiveBytes,
	}, file)
	if err != nil {
		return fmt.Errorf("download: %w", err)
	}
	return writeLayer(ctx, file, size, filepath.Join(folder, "content"), layer, i.options.Limits)
}

// clear removes what a process that was killed has left behind.
func (i *Images) clear() error {
	folder := i.options.Folder
	if folder == "" {
		folder = os.TempDir()
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("look for what was left behind: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		if !entry.IsDir() || !strings.HasPrefix(entry.Name(), folderPrefix) {
			continue
		}
		info, err := entry.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			errs = append(errs, err)
		case time.Since(info.ModTime()) > leftover:
			errs = append(errs, os.RemoveAll(filepath.Join(folder, entry.Name())))
		}
	}
	return errors.Join(errs...)
}
