package bits

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// shortDigits is how much of a digest names a thing in a tag: enough that no two
// of a cloud's stacks will ever share it.
const shortDigits = 12

// ImportStack puts a root file system into the registry and makes it the current
// one of the stack's name. The tag "latest" is moved last; each imported image also
// keeps a tag of its own, the begin of its digest, so that nothing collects it and
// an import of it again moves nothing. It returns the image's digest.
//
// Blobs that the registry has are not sent. Importing the same source twice gives
// the same digest.
func (r *Registry) ImportStack(ctx context.Context, stack string, source StackSource) (v1.Hash, error) {
	if err := ValidateStackName(stack); err != nil {
		return v1.Hash{}, err
	}
	doing := fmt.Sprintf("import stack %s from %s", stack, source.Location)
	opened, err := source.open(ctx, r.host.platform)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("%s: %w", doing, err)
	}
	if _, err := newBaseImage(opened, r.host.platform); err != nil {
		return v1.Hash{}, fmt.Errorf("%s: the image can't be a stack: %w", doing, err)
	}
	digest, err := opened.Digest()
	if err != nil {
		return v1.Hash{}, fmt.Errorf("%s: %w", doing, err)
	}
	repository := r.stack(stack)
	if err := r.pushImage(ctx, opened, repository.Tag(digest.Hex[:shortDigits]), repository.Tag(currentTag)); err != nil {
		return v1.Hash{}, r.failed(doing, err)
	}
	return digest, nil
}

// pushImage sends what the registry lacks of an image, and then its tags, all of one
// repository, in their order.
func (r *Registry) pushImage(ctx context.Context, image v1.Image, tags ...name.Tag) error {
	pusher, err := r.host.pusher(ctx, tags[0].Context())
	if err != nil {
		return err
	}
	counted := &countedImage{Image: image}
	for _, tag := range tags {
		if err := pusher.Push(ctx, tag, counted); err != nil {
			return err
		}
	}
	r.metrics.blobs.WithLabelValues(blobUploaded).Add(float64(counted.sent.Load()))
	return nil
}
