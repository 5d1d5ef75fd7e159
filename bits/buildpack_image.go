package bits

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

const (
	// buildpackComposition is part of the tag: a release that makes other images of
	// buildpacks must have another.
	buildpackComposition = "1"
	// LabelBuildpack is the SHA-256 of the archive that the image was made of, in hex.
	LabelBuildpack = "irene.cloudfoundry.org/buildpack-sha256"
)

// Buildpack looks for the image of a buildpack, given by the SHA-256 of its archive in
// hex. It returns the repository with the digest, such as
// cloudfoundry/buildpacks@sha256:0123…, without the registry's address; false where
// there is none. It costs one request.
func (r *Registry) Buildpack(ctx context.Context, checksum string) (reference string, found bool, err error) {
	tag, err := r.buildpackTag(checksum)
	if err != nil {
		return "", false, err
	}
	digest, found, err := r.head(ctx, tag)
	if err != nil || !found {
		return "", false, err
	}
	return pathAndDigest(tag, digest), true, nil
}

// PushBuildpack puts an image of a buildpack into the registry and returns what
// Buildpack finds from then on. The image's only layer is the file, a tar archive, plain
// or gzipped, that must not change meanwhile. The same file makes the same image.
func (r *Registry) PushBuildpack(ctx context.Context, checksum, file string) (reference string, err error) {
	tag, err := r.buildpackTag(checksum)
	if err != nil {
		return "", err
	}
	layer, _, err := readTarFile(file)
	if err != nil {
		return "", fmt.Errorf("make the image of buildpack %s: %w", checksum, err)
	}
	image, err := rootFSImage(layer, r.host.platform)
	if err == nil {
		image, err = mutate.Config(image, v1.Config{Labels: map[string]string{LabelBuildpack: checksum}})
	}
	if err != nil {
		return "", fmt.Errorf("make the image of buildpack %s: %w", checksum, err)
	}
	digest, err := image.Digest()
	if err != nil {
		return "", fmt.Errorf("make the image of buildpack %s: %w", checksum, err)
	}
	if err := r.pushImage(ctx, image, tag); err != nil {
		return "", r.failed("write "+tag.String(), err)
	}
	return pathAndDigest(tag, digest), nil
}

func (r *Registry) buildpackTag(checksum string) (name.Tag, error) {
	if content, err := hex.DecodeString(checksum); err != nil || len(content) != 32 {
		return name.Tag{}, fmt.Errorf("buildpack %q is not named by a SHA-256 in hex", checksum)
	}
	return r.buildpacks().Tag(checksum + "-" + buildpackComposition), nil
}

func pathAndDigest(tag name.Tag, digest v1.Hash) string {
	return tag.RepositoryStr() + "@" + digest.String()
}
