package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/gitclone"
)

// cloneTimeout bounds one attempt at a clone, which may be silent for long while the
// server gathers what to send.
const cloneTimeout = 5 * time.Minute

// archiveSuffixes are those of custom buildpacks that are not git repositories.
var archiveSuffixes = []string{".zip", ".tgz", ".tar.gz"}

// isRepository tells whether a buildpack is taken for a git repository: as on other
// Cloud Foundries a custom one whose URL doesn't look like an archive's.
func isRepository(buildpack opi.Buildpack) bool {
	if !steps.IsCustom(buildpack) {
		return false
	}
	path := buildpack.URL
	if u, err := url.Parse(buildpack.URL); err == nil {
		path = u.Path
	}
	for _, suffix := range archiveSuffixes {
		if strings.HasSuffix(strings.ToLower(path), suffix) {
			return false
		}
	}
	return true
}

// repository clones a buildpack's git repository into a folder of the volume and
// returns how much it wrote. Where there is no repository, there may be an archive
// whose URL doesn't show it.
func (f *fetcher) repository(ctx context.Context, buildpack opi.Buildpack, folder string) (int64, error) {
	var size int64
	err := f.client.Retry(ctx, f.client.Patience().ShortOutage, func() error {
		if err := emptyFolder(f.path(folder)); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, cloneTimeout)
		defer cancel()
		var err error
		size, err = gitclone.Clone(ctx, gitclone.Repository{
			URL:            buildpack.URL,
			Authorities:    f.authorities,
			AnyCertificate: f.config.SkipCertVerify && steps.IsCustom(buildpack),
			Bytes:          f.limits.UnpackedBytes,
			Entries:        f.limits.Entries,
		}, f.path(folder))
		return err
	}, func(err error) bool {
		var clone *gitclone.Error
		return errors.As(err, &clone) && !clone.Final && !steps.IsOutOfDisk(err)
	})
	var clone *gitclone.Error
	switch {
	case err == nil:
		return size, nil
	case errors.As(err, &clone) && clone.TooLarge:
		return 0, steps.Because(steps.BadArchive, err, "failed to clone buildpack %s", displayName(buildpack))
	case errors.As(err, &clone) && clone.NoRepository:
		if err := emptyFolder(f.path(folder)); err != nil {
			return 0, err
		}
		if size, err := f.archive(ctx, f.download(buildpack), folder); err == nil {
			return size, nil
		}
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("it took longer than %s", cloneTimeout)
	}
	return 0, steps.Because(steps.DownloadFailed, err, "failed to clone buildpack %s", displayName(buildpack))
}

func emptyFolder(folder string) error {
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("empty a folder of the shared volume: %w", err)
	}
	if err := os.Mkdir(folder, 0o755); err != nil {
		return fmt.Errorf("empty a folder of the shared volume: %w", err)
	}
	return nil
}
