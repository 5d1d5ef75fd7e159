package bits

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"code.cloudfoundry.org/lager/v3"
	"github.com/containerd/platforms"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/irene-cf/irene/opi"
)

// maxNestedIndexes bounds how often an index may refer to another one.
const maxNestedIndexes = 3

// maxNamedPlatforms bounds how many platforms of an index an error names.
const maxNamedPlatforms = 10

// Config reads how an image wants to run, with the image's own credentials, within the
// timeout of lookups. An image for another platform is an error. The error wraps
// opi.ErrUnavailable if the registry may answer later, and opi.ErrRefused if the image or
// the request is at fault, so that asking again is in vain. Its text is fit for the
// image's owner.
func (u *ImageUsers) Config(ctx context.Context, image opi.Image) (v1.Config, error) {
	reference, err := u.parse(image.Reference)
	if err != nil {
		return v1.Config{}, &imageError{image.Reference, "this is not the name of an image", opi.ErrRefused, err}
	}
	config, err := u.config(ctx, reference, image.Credentials)
	if err == nil {
		return v1.Config{
			Cmd: config.Config.Cmd, Entrypoint: config.Config.Entrypoint, User: config.Config.User,
			WorkingDir: config.Config.WorkingDir, ExposedPorts: config.Config.ExposedPorts,
		}, nil
	}
	u.logger.Info("image-can-not-be-read", lager.Data{"image": image.Reference, "reason": (&shortError{err}).Error()})
	if late, ok := errors.AsType[*lookupTimeout](err); ok {
		return v1.Config{}, &imageError{image.Reference, late.Error(), opi.ErrUnavailable, err}
	}
	return v1.Config{}, explainImage(image.Reference, err)
}

func (u *ImageUsers) config(ctx context.Context, reference name.Reference, credentials *opi.RegistryCredentials) (imageConfig, error) {
	ctx, leave, err := u.enter(ctx)
	if err != nil {
		return imageConfig{}, err
	}
	defer leave()
	puller, err := u.puller(credentials)
	if err != nil {
		return imageConfig{}, err
	}
	_, config, err := u.readConfig(ctx, puller, reference)
	if err == nil {
		err = u.checkPlatform(config)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return config, err
}

// readConfig fetches an image's manifest and config; of an index, those for the nodes'
// platform. Errors in the content are imageFaults.
func (u *ImageUsers) readConfig(ctx context.Context, puller *remote.Puller, reference name.Reference) (remoteImage, imageConfig, error) {
	image, err := u.readManifest(ctx, puller, reference)
	if err != nil {
		return remoteImage{}, imageConfig{}, err
	}
	if given := image.manifest.Config.MediaType; given != "" && !given.IsConfig() {
		// Helm charts, signatures and the like. Container runtimes refuse them, too.
		return remoteImage{}, imageConfig{}, faultf("it is not a container image, but %s", tame(string(given)))
	}
	config, err := image.config(ctx)
	return image, config, err
}

// readManifest follows indexes to the manifest for the nodes' platform.
func (u *ImageUsers) readManifest(ctx context.Context, puller *remote.Puller, reference name.Reference) (remoteImage, error) {
	for range maxNestedIndexes + 1 {
		descriptor, err := puller.Get(ctx, reference)
		switch {
		case err != nil:
			return remoteImage{}, err
		case descriptor.MediaType.IsIndex():
			children, err := parseIndex(descriptor.Manifest)
			if err != nil {
				return remoteImage{}, err
			}
			child, err := u.choose(children)
			if err != nil {
				return remoteImage{}, err
			}
			reference = reference.Context().Digest(child.Digest.String())
		case descriptor.MediaType == types.DockerManifestSchema1, descriptor.MediaType == types.DockerManifestSchema1Signed:
			return remoteImage{}, remote.ErrSchema1
		default:
			manifest, err := parseManifest(descriptor.Manifest)
			return remoteImage{puller: puller, repository: reference.Context(), manifest: manifest}, err
		}
	}
	return remoteImage{}, faultf("it is an index of indexes, more than %d deep", maxNestedIndexes)
}

// choose returns what a container runtime would take from an index: the best match for
// the platform, or else something that does not say what it is for.
func (u *ImageUsers) choose(children []imageDescriptor) (imageDescriptor, error) {
	var matching, silent []imageDescriptor
	for _, child := range children {
		switch {
		case child.Platform == nil:
			silent = append(silent, child)
		case u.runs().Match(specPlatform(*child.Platform)):
			matching = append(matching, child)
		}
	}
	slices.SortStableFunc(matching, func(a, b imageDescriptor) int {
		switch {
		case u.runs().Less(specPlatform(*a.Platform), specPlatform(*b.Platform)):
			return -1
		case u.runs().Less(specPlatform(*b.Platform), specPlatform(*a.Platform)):
			return 1
		}
		return 0
	})
	if matching = append(matching, silent...); len(matching) == 0 {
		return imageDescriptor{}, u.otherPlatform(children)
	}
	return matching[0], nil
}

// runs matches what container runtimes start on the nodes' platform: arm64 runs arm, too.
func (u *ImageUsers) runs() platforms.MatchComparer {
	return platforms.Only(specs.Platform{OS: u.platform.OS, Architecture: u.platform.Architecture})
}

// otherPlatform names what an index has.
func (u *ImageUsers) otherPlatform(children []imageDescriptor) error {
	var has []string
	for _, child := range children {
		// Attestations have the platform unknown/unknown.
		if child.Platform != nil && child.Platform.OS != "unknown" {
			has = append(has, tame(platforms.Format(specPlatform(*child.Platform))))
		}
	}
	if len(has) == 0 {
		return faultf("it is an index without an image")
	}
	slices.Sort(has)
	has = slices.Compact(has)
	if len(has) > maxNamedPlatforms {
		has = append(has[:maxNamedPlatforms], "others")
	}
	return faultf("it is for %s, and this platform runs %s/%s", strings.Join(has, ", "), u.platform.OS, u.platform.Architecture)
}

// checkPlatform compares the platform in the config. Container runtimes don't look at it unless
// there is an index, and such an image fails with "exec format error".
func (u *ImageUsers) checkPlatform(config imageConfig) error {
	given := specs.Platform{OS: cmp.Or(config.OS, u.platform.OS), Architecture: cmp.Or(config.Architecture, u.platform.Architecture), Variant: config.Variant}
	if u.runs().Match(given) {
		return nil
	}
	return faultf("it is for %s, and this platform runs %s/%s", tame(platforms.Format(given)), u.platform.OS, u.platform.Architecture)
}

func specPlatform(p v1.Platform) specs.Platform {
	return specs.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
}
