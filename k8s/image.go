package k8s

import (
	"context"
	"errors"
	"fmt"

	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// AppImages makes sure that the images of buildpack apps are in the registry.
type AppImages interface {
	// Assemble makes sure that the image of the LRP's droplet can be pulled, and returns
	// what it is built on. Errors wrap opi.ErrRefused where there can't be one, and
	// opi.ErrUnavailable where it may succeed later.
	Assemble(ctx context.Context, lrp opi.LRP) (render.AppImage, error)
}

// ImageUsers finds out which user a docker image runs as, and whether it has a command.
type ImageUsers interface {
	// User returns the image's user. The error wraps opi.ErrRefused if the image can't
	// run. Any other error means that it could not be found out, which leaves the
	// decision to kubelet.
	User(ctx context.Context, image opi.Image) (render.ImageUser, error)
}

// resolveImage makes sure of a droplet's image, and finds out which user a docker image
// runs as where that matters.
func (l *LRPs) resolveImage(ctx context.Context, lrp opi.LRP) (render.ResolvedImage, error) {
	// What can't run needs no image.
	if err := l.settings.Check(lrp); err != nil {
		return render.ResolvedImage{}, err
	}
	if lrp.Droplet != nil {
		image, err := l.images.Assemble(ctx, lrp)
		return render.ResolvedImage{AppImage: image}, err
	}
	user, err := l.imageUser(ctx, lrp)
	return render.ResolvedImage{User: user}, err
}

// imageUser leaves an image that can't be asked about to kubelet, which refuses root.
func (l *LRPs) imageUser(ctx context.Context, lrp opi.LRP) (render.ImageUser, error) {
	if lrp.RootFS.Image == nil || l.settings.UserNamespaces || l.users == nil {
		return render.ImageUser{}, nil
	}
	user, err := l.users.User(ctx, *lrp.RootFS.Image)
	if errors.Is(err, opi.ErrRefused) {
		return render.ImageUser{}, fmt.Errorf("find out the image's user: %w", err)
	}
	if err == nil && user.NoCommand && len(lrp.MainProcess().Command) == 0 {
		return render.ImageUser{}, fmt.Errorf("%w: %w", opi.ErrRefused, opi.Invalid("rootFS.image", opi.ImageHasNoCommand))
	}
	if err != nil {
		l.logger.Session("image-user").Info("not-found-out", lager.Data{"process_guid": lrp.ProcessGUID(), "image": lrp.RootFS.Image.Reference, "reason": err.Error()})
		return render.ImageUser{}, nil
	}
	return user, nil
}

// ResolveTaskImage does for a task what Desire does first for an LRP: it makes sure of a
// droplet's image, and finds out which user a docker image runs as where that matters.
func (l *LRPs) ResolveTaskImage(ctx context.Context, task opi.Task) (render.ResolvedImage, error) {
	return l.resolveImage(ctx, render.TaskLRP(task))
}
