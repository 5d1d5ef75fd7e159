package bits

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	specs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/irene-cf/irene/opi"
)

// maxNestedIndexes bounds how often an index may refer to another one.
const maxNestedIndexes = 3

// Config reads how an image wants to run, with the image's own credentials, within the
// timeout of lookups. An image for another platform is an error. The error wraps
// opi.ErrUnavailable if the registry may answer later, and opi.ErrRefused if the image or
// the request is at fault, so that asking again is in vain. Its text is fit for the
// image's owner.
func (u *ImageUsers) Config(ctx context.Context, image opi.Image) (v1.Config, error) {
	reference, err := parseImage(image.Reference)
	if err != nil {
		return v1.Config{}, &imageError{image.Reference, "this is not the name of an image: " + err.Error(), opi.ErrRefused, err}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, u.timeout,
		fmt.Errorf("the registry did not answer within %s: %w", u.timeout, context.DeadlineExceeded))
	defer cancel()
	puller, err := u.puller(image.Credentials)
	if err != nil {
		return v1.Config{}, fmt.Errorf("read the config of image %s: %w", image.Reference, err)
	}
	_, config, err := u.readConfig(ctx, puller, reference)
	if err == nil {
		err = u.checkPlatform(config)
	}
	switch cause := context.Cause(ctx); {
	case err == nil:
		return config.Config, nil
	case cause != nil:
		return v1.Config{}, &imageError{image.Reference, cause.Error(), opi.ErrUnavailable, cause}
	}
	return v1.Config{}, explainImage(image.Reference, err)
}

// readConfig fetches an image's manifest and config; of an index, those for the nodes'
// platform. Errors in the content are imageFaults, where they are known.
func (u *ImageUsers) readConfig(ctx context.Context, puller *remote.Puller, reference name.Reference) (v1.Image, *v1.ConfigFile, error) {
	image, err := u.readManifest(ctx, puller, reference)
	if err != nil {
		return nil, nil, err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return nil, nil, fmt.Errorf("its manifest: %w", err)
	}
	switch {
	case manifest.Config.MediaType != "" && !manifest.Config.MediaType.IsConfig():
		// Helm charts, signatures and the like. Container runtimes refuse them, too.
		return nil, nil, faultf("it is not a container image, but %s", manifest.Config.MediaType)
	case manifest.Config.Size > maxConfigBytes:
		return nil, nil, faultf("its config has %d bytes, more than %d", manifest.Config.Size, maxConfigBytes)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, nil, fmt.Errorf("its config: %w", err)
	}
	return image, config, nil
}

// readManifest follows indexes to the manifest for the nodes' platform.
func (u *ImageUsers) readManifest(ctx context.Context, puller *remote.Puller, reference name.Reference) (v1.Image, error) {
	for range maxNestedIndexes + 1 {
		descriptor, err := puller.Get(ctx, reference)
		if err != nil {
			return nil, err
		}
		if !descriptor.MediaType.IsIndex() {
			return descriptor.Image()
		}
		index, err := descriptor.ImageIndex()
		if err != nil {
			return nil, err
		}
		manifest, err := index.IndexManifest()
		if err != nil {
			return nil, fmt.Errorf("its index: %w", err)
		}
		child, err := u.choose(manifest.Manifests)
		if err != nil {
			return nil, err
		}
		reference = reference.Context().Digest(child.Digest.String())
	}
	return nil, faultf("it is an index of indexes, more than %d deep", maxNestedIndexes)
}

// choose returns what a container runtime would take from an index: the best match for
// the platform, or else something that does not say what it is for.
func (u *ImageUsers) choose(children []v1.Descriptor) (v1.Descriptor, error) {
	var matching, silent []v1.Descriptor
	for _, child := range children {
		switch {
		case child.Platform == nil:
			silent = append(silent, child)
		case u.runs().Match(specPlatform(*child.Platform)):
			matching = append(matching, child)
		}
	}
	slices.SortStableFunc(matching, func(a, b v1.Descriptor) int {
		switch {
		case u.runs().Less(specPlatform(*a.Platform), specPlatform(*b.Platform)):
			return -1
		case u.runs().Less(specPlatform(*b.Platform), specPlatform(*a.Platform)):
			return 1
		}
		return 0
	})
	if matching = append(matching, silent...); len(matching) == 0 {
		return v1.Descriptor{}, u.otherPlatform(children)
	}
	return matching[0], nil
}

// runs matches what container runtimes start on the nodes' platform: arm64 runs arm, too.
func (u *ImageUsers) runs() platforms.MatchComparer {
	return platforms.Only(specs.Platform{OS: u.platform.OS, Architecture: u.platform.Architecture})
}

// otherPlatform names what an index has.
func (u *ImageUsers) otherPlatform(children []v1.Descriptor) error {
	var has []string
	for _, child := range children {
		// Attestations have the platform unknown/unknown.
		if child.Platform != nil && child.Platform.OS != "unknown" {
			has = append(has, platforms.Format(specPlatform(*child.Platform)))
		}
	}
	if len(has) == 0 {
		return faultf("it is an index without an image")
	}
	slices.Sort(has)
	return faultf("it is for %s, and this platform runs %s/%s", strings.Join(slices.Compact(has), ", "), u.platform.OS, u.platform.Architecture)
}

// checkPlatform compares what the config says. Container runtimes don't look at it unless
// there is an index, and such an image fails with "exec format error".
func (u *ImageUsers) checkPlatform(config *v1.ConfigFile) error {
	given := specs.Platform{OS: cmp.Or(config.OS, u.platform.OS), Architecture: cmp.Or(config.Architecture, u.platform.Architecture), Variant: config.Variant}
	if u.runs().Match(given) {
		return nil
	}
	return faultf("it is for %s, and this platform runs %s/%s", platforms.Format(given), u.platform.OS, u.platform.Architecture)
}

func specPlatform(p v1.Platform) specs.Platform {
	return specs.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
}
