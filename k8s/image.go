package k8s

import (
	"context"
	"errors"
	"fmt"

	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/opi"
)

// AppImages makes sure that the images of buildpack apps are in the registry.
type AppImages interface {
	// Assemble makes sure that the image of the LRP's droplet can be pulled, and says
	// what it is built on. Errors wrap opi.ErrRefused where there can't be one, and
	// opi.ErrUnavailable where it may succeed later.
	Assemble(ctx context.Context, lrp opi.LRP) (AppImage, error)
}

// AppImage is the image of a buildpack app, as far as it is not told by the droplet.
type AppImage struct {
	// Revision ends the image's tag and stands for the stack and lifecycle layer that
	// it is built on; empty for a tag of the droplet's checksum alone.
	Revision string
	// Stack is the name of the stack; empty where it is not known.
	Stack string
}

// ImageUsers finds out whom a docker image runs as, and whether it has a command.
type ImageUsers interface {
	// User returns the image's user. An error that wraps opi.ErrRefused says that
	// the image can't run; any other error that it could not be found out, which
	// leaves the decision to kubelet.
	User(ctx context.Context, image opi.Image) (ImageUser, error)
}

// ImageUser is whom a docker image runs as, as far as it has been found out.
type ImageUser struct {
	// UID is nil when the image's own user is to be left alone.
	UID *int64
	GID *int64
	// NoCommand reports that the image has neither an entrypoint nor a command.
	NoCommand bool
}

// ResolvedImage is what must be known of an LRP's image before its objects are made.
// AppImage is set for droplets, User for docker images.
type ResolvedImage struct {
	AppImage
	User ImageUser
}

// resolveImage brings a droplet's image into being, and finds out whom a docker image
// runs as where that matters.
func (l *LRPs) resolveImage(ctx context.Context, lrp opi.LRP) (ResolvedImage, error) {
	// What can't run needs no image.
	if err := l.Translation.unsupported(lrp); err != nil {
		return ResolvedImage{}, err
	}
	if lrp.Droplet != nil {
		image, err := l.Images.Assemble(ctx, lrp)
		return ResolvedImage{AppImage: image}, err
	}
	user, err := l.imageUser(ctx, lrp)
	return ResolvedImage{User: user}, err
}

// imageUser leaves an image that can't be asked about to kubelet, which refuses root.
func (l *LRPs) imageUser(ctx context.Context, lrp opi.LRP) (ImageUser, error) {
	if lrp.RootFS.Image == nil || l.Translation.UserNamespaces || l.Users == nil {
		return ImageUser{}, nil
	}
	user, err := l.Users.User(ctx, *lrp.RootFS.Image)
	if errors.Is(err, opi.ErrRefused) {
		return ImageUser{}, fmt.Errorf("find out the image's user: %w", err)
	}
	if err == nil && user.NoCommand && len(lrp.MainProcess().Command) == 0 {
		return ImageUser{}, fmt.Errorf("%w: %w", opi.ErrRefused, opi.Invalid("rootFS.image", opi.ImageHasNoCommand))
	}
	if err != nil {
		l.Logger.Session("image-user").Info("not-found-out", lager.Data{"process_guid": lrp.ProcessGUID(), "image": lrp.RootFS.Image.Reference, "reason": err.Error()})
		return ImageUser{}, nil
	}
	return user, nil
}
