package bits

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/irene-cf/irene/opi"
)

// currentTag is the tag of a stack's current image.
const currentTag = "latest"

// maxBaseLayers leaves room for two more: overlay file systems and runtimes take
// some 125 layers.
const maxBaseLayers = 100

// baseImage is what a stack's image consists of.
type baseImage struct {
	layers []imageLayer
	config v1.ConfigFile
}

// imageLayer is a layer as manifests and configs name it.
type imageLayer struct {
	descriptor v1.Descriptor
	// diffID is the digest of the unpacked layer.
	diffID v1.Hash
}

// newBaseImage checks that an image can be what app images are built on.
func newBaseImage(image v1.Image, platform v1.Platform) (baseImage, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return baseImage{}, fmt.Errorf("read its manifest: %w", err)
	}
	if manifest.Config.Size > maxConfigBytes {
		return baseImage{}, fmt.Errorf("its config has %d bytes, more than %d", manifest.Config.Size, maxConfigBytes)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return baseImage{}, fmt.Errorf("read its config: %w", err)
	}
	switch {
	case len(manifest.Layers) == 0:
		return baseImage{}, errors.New("it has no layers")
	case len(manifest.Layers) > maxBaseLayers:
		return baseImage{}, fmt.Errorf("it has %d layers, more than %d", len(manifest.Layers), maxBaseLayers)
	case len(manifest.Layers) != len(config.RootFS.DiffIDs):
		return baseImage{}, fmt.Errorf("its manifest has %d layers and its config %d", len(manifest.Layers), len(config.RootFS.DiffIDs))
	case config.Platform() != nil && !config.Platform().Satisfies(platform):
		return baseImage{}, fmt.Errorf("it is for %s, not for %s", config.Platform(), platform.String())
	}
	base := baseImage{config: *config}
	for i, layer := range manifest.Layers {
		if !layer.MediaType.IsDistributable() {
			return baseImage{}, fmt.Errorf("its layer %s may not be copied between registries (%s)", layer.Digest, layer.MediaType)
		}
		if !layer.MediaType.IsLayer() {
			return baseImage{}, fmt.Errorf("its layer %s is no file system (%s)", layer.Digest, layer.MediaType)
		}
		base.layers = append(base.layers, imageLayer{
			descriptor: v1.Descriptor{MediaType: ociLayer(layer.MediaType), Size: layer.Size, Digest: layer.Digest},
			diffID:     config.RootFS.DiffIDs[i],
		})
	}
	return base, nil
}

// ociLayer is OCI's name for a type that Docker has another for: the bytes are the
// same, and one manifest should not mix both.
func ociLayer(mediaType types.MediaType) types.MediaType {
	switch mediaType {
	case types.DockerLayer:
		return types.OCILayer
	case types.DockerUncompressedLayer:
		return types.OCIUncompressedLayer
	}
	return mediaType
}

// StackDigest asks the registry for the digest of a stack's current image, on the
// registry's platform. The error is opi.ErrUnavailable; its text says when there is
// no such stack.
func (r *Registry) StackDigest(ctx context.Context, stack string) (v1.Hash, error) {
	if err := ValidateStackName(stack); err != nil {
		return v1.Hash{}, err
	}
	tag := r.stack(stack).Tag(currentTag)
	puller, err := r.host.puller(ctx, tag.Context())
	if err != nil {
		return v1.Hash{}, r.failed("read stack "+stack, err)
	}
	descriptor, err := puller.Head(ctx, tag)
	switch {
	case isNotFound(err):
		return v1.Hash{}, fmt.Errorf("stack %s is not in the registry, %s: %w until it is imported", stack, tag, opi.ErrUnavailable)
	case err != nil:
		return v1.Hash{}, r.failed("read stack "+stack, err)
	case !descriptor.MediaType.IsIndex():
		return descriptor.Digest, nil
	}
	image, err := r.image(ctx, tag)
	if err != nil {
		return v1.Hash{}, err
	}
	digest, err := image.Digest()
	if err != nil {
		return v1.Hash{}, r.failed("read stack "+stack, err)
	}
	return digest, nil
}

// image reads an image's manifest; of an index, that of the registry's platform.
func (r *Registry) image(ctx context.Context, reference name.Reference) (v1.Image, error) {
	descriptor, err := r.get(ctx, reference)
	if err != nil {
		return nil, err
	}
	image, err := descriptor.Image()
	if err != nil {
		return nil, r.failed("read "+reference.String(), err)
	}
	return image, nil
}

// errStackGone says that a stack's image was there and has been deleted.
var errStackGone = errors.New("the stack's image is gone")

// base reads the parts of a stack's image, once for each digest.
func (r *Registry) base(ctx context.Context, stack string, digest v1.Hash) (baseImage, error) {
	if known, ok := r.bases.Get(digest); ok {
		return known, nil
	}
	reference := r.stack(stack).Digest(digest.String())
	image, err := r.image(ctx, reference)
	if errors.Is(err, errNotThere) {
		return baseImage{}, fmt.Errorf("%w from the registry: %s; %w until the stack is imported again", errStackGone, reference, opi.ErrUnavailable)
	}
	if err != nil {
		return baseImage{}, err
	}
	base, err := newBaseImage(image, r.host.platform)
	if err != nil {
		return baseImage{}, r.failed("use "+reference.String()+" as a stack", err)
	}
	// A stack's labels can be large (lists of packages), and are not an app's.
	base.config.Config.Labels = nil
	r.bases.Add(digest, base)
	return base, nil
}
