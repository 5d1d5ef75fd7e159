package main

import (
	"context"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// materialsType is the media type of a list of modules, and the type of its artifact.
const materialsType = types.MediaType("application/vnd.cyclonedx+json")

// target is where images go, with the credentials of docker's configuration.
type target struct{ tag name.Tag }

func newTarget(repository, version string, plainHTTP bool) (target, error) {
	options := []name.Option{name.StrictValidation}
	if plainHTTP {
		options = append(options, name.Insecure)
	}
	tag, err := name.NewTag(repository+":"+version, options...)
	if err != nil {
		return target{}, fmt.Errorf("--repository, --version: %w", err)
	}
	return target{tag}, nil
}

// push writes the images, then what refers to them, and prints their digests.
func (t target) push(ctx context.Context, built []platformImage, out io.Writer) error {
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	digest, err := t.pushImages(built, options)
	if err != nil {
		return fmt.Errorf("push %s: %w", t.tag, err)
	}
	fmt.Fprintf(out, "%s@%s\n", t.tag, digest)
	for _, one := range built {
		materials, err := refer(one)
		if err != nil {
			return fmt.Errorf("list of modules for %s: %w", one.platform.String(), err)
		}
		digest, err := materials.Digest()
		if err != nil {
			return err
		}
		if err := remote.Write(t.tag.Digest(digest.String()), materials, options...); err != nil {
			return fmt.Errorf("push the list of modules for %s: %w", one.platform.String(), err)
		}
		fmt.Fprintf(out, "modules of %s: %s@%s\n", one.platform.String(), t.tag.Context(), digest)
	}
	return nil
}

// pushImages writes one image as itself and several as an index.
func (t target) pushImages(built []platformImage, options []remote.Option) (v1.Hash, error) {
	if len(built) == 1 {
		if err := remote.Write(t.tag, built[0].image, options...); err != nil {
			return v1.Hash{}, err
		}
		return built[0].image.Digest()
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, one := range built {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: one.image, Descriptor: v1.Descriptor{Platform: &one.platform},
		})
	}
	if err := remote.WriteIndex(t.tag, index, options...); err != nil {
		return v1.Hash{}, err
	}
	return index.Digest()
}

// refer is the artifact with an image's list of modules.
func refer(built platformImage) (v1.Image, error) {
	subject, err := partial.Descriptor(built.image)
	if err != nil {
		return nil, err
	}
	subject.Platform = nil
	artifact := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), materialsType)
	if artifact, err = mutate.AppendLayers(artifact, static.NewLayer(built.modules, materialsType)); err != nil {
		return nil, err
	}
	return mutate.Subject(artifact, *subject).(v1.Image), nil
}
