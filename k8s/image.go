package k8s

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	// Find returns what the image of the LRP's droplet is built on, and whether it is in the
	// registry. It starts no work on one that isn't. Errors are those of Assemble.
	Find(ctx context.Context, lrp opi.LRP) (image render.AppImage, found bool, err error)
}

// ImageUsers finds out which user a docker image runs as, and whether it has a command.
type ImageUsers interface {
	// User returns the user with a name in the image, or the image's own if name is empty.
	// The error wraps opi.ErrRefused if the image can't run as that user, and
	// opi.ErrUnavailable if it may be found out later.
	User(ctx context.Context, image opi.Image, name string) (render.ImageUser, error)
}

// resolveImage makes sure of a droplet's image, and finds out which user a docker image
// runs as where that matters.
func (l *LRPs) resolveImage(ctx context.Context, lrp opi.LRP) (_ render.ResolvedImage, awaited bool, _ error) {
	// What can't run needs no image.
	if err := l.settings.Check(lrp); err != nil {
		return render.ResolvedImage{}, false, err
	}
	if lrp.Droplet != nil {
		image, err := l.images.Assemble(ctx, lrp)
		return render.ResolvedImage{AppImage: image}, false, err
	}
	user, err := l.imageUser(ctx, lrp)
	return render.ResolvedImage{User: user}, false, err
}

const (
	// findPatience bounds the search for an image that may be in the registry already.
	findPatience = time.Second
	// userPatience bounds the search for the user of a docker image. Without an answer
	// kubelet decides.
	userPatience = 4 * time.Second
)

// findImage does what resolveImage does, but neither waits for an image to be assembled nor
// fails because the registry is away.
func (l *LRPs) findImage(ctx context.Context, lrp opi.LRP) (_ render.ResolvedImage, awaited bool, _ error) {
	if err := l.settings.Check(lrp); err != nil {
		return render.ResolvedImage{}, false, err
	}
	if lrp.Droplet == nil {
		ctx, cancel := context.WithTimeout(ctx, userPatience)
		defer cancel()
		user, err := l.imageUser(ctx, lrp)
		return render.ResolvedImage{User: user}, false, err
	}
	limited, cancel := context.WithTimeout(ctx, findPatience)
	defer cancel()
	image, found, err := l.images.Find(limited, lrp)
	switch {
	case ctx.Err() != nil:
		return render.ResolvedImage{}, false, fmt.Errorf("find the app's image: %w: %w", opi.ErrUnavailable, ctx.Err())
	case errors.Is(err, opi.ErrRefused), len(opi.FieldErrors(err)) > 0:
		return render.ResolvedImage{}, false, err
	case err != nil:
		l.logger.Session("desire").Info("image-not-found-out", lager.Data{"process_guid": lrp.ProcessGUID(), "reason": err.Error()})
		return render.ResolvedImage{AppImage: render.AppImage{Stack: lrp.RootFS.Stack}}, true, nil
	}
	return render.ResolvedImage{AppImage: image}, !found, nil
}

// imageUser returns no user if the registry does not answer. Then kubelet decides: it refuses
// root, and also names, since it can't find out whether they are root's.
func (l *LRPs) imageUser(ctx context.Context, lrp opi.LRP) (render.ImageUser, error) {
	name := render.UserByName(lrp)
	if lrp.RootFS.Image == nil || l.users == nil || l.settings.UserNamespaces && name == "" {
		return render.ImageUser{}, nil
	}
	user, err := l.users.User(ctx, *lrp.RootFS.Image, name)
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
	image, _, err := l.resolveImage(ctx, render.TaskLRP(task))
	return image, err
}

// FindTaskImage does for a task what Accept does first for an LRP: it reports whether a droplet's
// image is yet to be put into the registry. A task that is to run as a user by name is refused
// for the moment if the image's registry does not answer: the pod template of its Job can't be
// changed later, and kubelet runs no user by name.
func (l *LRPs) FindTaskImage(ctx context.Context, task opi.Task) (image render.ResolvedImage, awaited bool, err error) {
	lrp := render.TaskLRP(task)
	image, awaited, err = l.findImage(ctx, lrp)
	if name := render.UserByName(lrp); err == nil && name != "" && image.User.UID == nil && !l.settings.UserNamespaces {
		return render.ResolvedImage{}, false, opi.WithMessage(fmt.Errorf("find out user %q of image %s: %w", name, lrp.RootFS.Image.Reference, opi.ErrUnavailable),
			"the user of the image could not be looked up in its registry")
	}
	return image, awaited, err
}
