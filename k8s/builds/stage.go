package builds

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager"
)

// Stage makes sure that the build's Job exists. A Job that is there already, in whatever
// state, means that it was requested before. Errors wrap opi.ErrUnavailable,
// opi.ErrRefused, opi.ErrExists (see [opi.Build.Request]) or are *opi.FieldError. It takes no longer than the RequestPatience; what
// it had begun by then does no harm, and the same build may be requested again.
//
// Of an answer that comes later, when it has hung up, Cloud Controller learns nothing.
func (b *Builds) Stage(ctx context.Context, build opi.Build) error {
	patience := b.options.RequestPatience
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := b.stage(ctx, build)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return opi.WithMessage(fmt.Errorf("%w: not done within %s: %w", opi.ErrUnavailable, patience, err),
			"the platform could not take the build on within %s; try again later", patience)
	}
	return err
}

func (b *Builds) stage(ctx context.Context, build opi.Build) error {
	var objects Objects
	written, err := b.jobs.Desire(ctx, build.GUID, build.Request, func(ctx context.Context) (_ job.Objects, err error) {
		objects, err = b.objects(ctx, build)
		return objects.Objects, err
	})
	if err != nil {
		return fmt.Errorf("stage %s: %w", build.GUID, err)
	}
	if !written {
		return nil
	}
	data := lager.Data{"staging_guid": build.GUID, "job": objects.Job.Name, "app_guid": build.App.GUID}
	if b.options.Buildpacks != nil && build.Source != nil {
		data["buildpacks_mounted"], data["buildpacks_fetched"] = objects.Mounted, objects.Fetched
	}
	b.metrics.buildpacks.WithLabelValues(fromImage).Add(float64(len(objects.Mounted)))
	b.metrics.buildpacks.WithLabelValues(fromDownload).Add(float64(len(objects.Fetched)))
	b.logger.Info("staging", data)
	return nil
}

func (b *Builds) objects(ctx context.Context, build opi.Build) (Objects, error) {
	if build.Image != nil {
		return b.options.Settings.Render(build, stager.PodImages{}, stager.Credentials{})
	}
	images, err := b.options.Images.Ensure(ctx, build.Source.Stack)
	if errors.Is(err, opi.ErrRefused) {
		return Objects{}, opi.Invalid("source.stack", "%s", cmp.Or(opi.Message(err), err.Error()))
	}
	if err != nil {
		return Objects{}, fmt.Errorf("make the images to stage in: %w", err)
	}
	if b.options.Buildpacks != nil {
		images.Buildpacks = b.options.Buildpacks.Find(ctx, build.Source.Buildpacks)
	}
	credentials, err := b.credentialsFor(ctx, build.GUID)
	if err != nil {
		return Objects{}, err
	}
	return b.options.Settings.Render(build, images, credentials)
}
