package bits

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/irene-cf/irene/opi"
)

const (
	// DropletType is the artifact type of a droplet's manifest.
	DropletType = "application/vnd.irene.cloudfoundry.droplet.v1+json"
	// ResultType is the media type of a build's result.json, the manifest's config.
	ResultType types.MediaType = "application/vnd.irene.cloudfoundry.staging-result.v1+json"

	// annotationStack is the name of the stack that a droplet was built on.
	annotationStack = "irene.cloudfoundry.org/stack"
	// annotationSHA1 and annotationSHA256 are the droplet's own checksums.
	annotationSHA1   = "irene.cloudfoundry.org/droplet-sha1"
	annotationSHA256 = "irene.cloudfoundry.org/droplet-sha256"
	// annotationDiffID, on the layer, is the digest of the unpacked layer.
	annotationDiffID = "irene.cloudfoundry.org/diff-id"

	// MaxResultBytes bounds a build's result.json.
	MaxResultBytes = 1 << 20
)

// StoredDroplet is a droplet in the registry: <prefix>/droplets, tagged by its SHA-1
// and by its SHA-256, both in hex.
type StoredDroplet struct {
	// Digest is the manifest's.
	Digest v1.Hash
	// SHA1 and SHA256 are the droplet's checksums in lower-case hex, over the bytes
	// that Cloud Controller has.
	SHA1, SHA256 string
	// Stack is the name of the stack that it was built on; "" when that is not known.
	Stack string
	// Result is the build's result.json as a blob of <prefix>/droplets; see
	// Registry.Result.
	Result v1.Descriptor
	// Layer is the blob to put on a root file system.
	Layer v1.Descriptor
	// DiffID is the digest of the unpacked layer.
	DiffID v1.Hash
}

func (d StoredDroplet) imageLayer() imageLayer {
	return imageLayer{
		descriptor: v1.Descriptor{MediaType: d.Layer.MediaType, Size: d.Layer.Size, Digest: d.Layer.Digest},
		diffID:     d.DiffID,
	}
}

// dropletManifest is a manifest that makes an artifact of a droplet.
type dropletManifest struct {
	SchemaVersion int64             `json:"schemaVersion"`
	MediaType     types.MediaType   `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        v1.Descriptor     `json:"config"`
	Layers        []v1.Descriptor   `json:"layers"`
	Annotations   map[string]string `json:"annotations"`
}

// manifest is what is stored of d; the same d makes the same bytes.
func (d StoredDroplet) manifest() (rawManifest, error) {
	layer := d.imageLayer().descriptor
	layer.Annotations = map[string]string{annotationDiffID: d.DiffID.String()}
	annotations := map[string]string{annotationSHA1: d.SHA1, annotationSHA256: d.SHA256}
	if d.Stack != "" {
		annotations[annotationStack] = d.Stack
	}
	return newRawManifest(dropletManifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		ArtifactType:  DropletType,
		Config:        v1.Descriptor{MediaType: ResultType, Size: d.Result.Size, Digest: d.Result.Digest},
		Layers:        []v1.Descriptor{layer},
		Annotations:   annotations,
	})
}

// parseDroplet reads what manifest wrote.
func parseDroplet(content []byte, digest v1.Hash) (StoredDroplet, error) {
	var manifest dropletManifest
	if err := json.Unmarshal(content, &manifest); err != nil {
		return StoredDroplet{}, err
	}
	switch {
	case manifest.Config.MediaType != ResultType:
		return StoredDroplet{}, fmt.Errorf("it is no droplet: its config is %q, not %q", manifest.Config.MediaType, ResultType)
	case len(manifest.Layers) != 1:
		return StoredDroplet{}, fmt.Errorf("it has %d layers, not one", len(manifest.Layers))
	case !manifest.Layers[0].MediaType.IsLayer():
		return StoredDroplet{}, fmt.Errorf("its layer is no file system but %q", manifest.Layers[0].MediaType)
	}
	diffID, err := v1.NewHash(manifest.Layers[0].Annotations[annotationDiffID])
	if err != nil {
		return StoredDroplet{}, fmt.Errorf("annotation %s of its layer: %w", annotationDiffID, err)
	}
	found := StoredDroplet{
		Digest: digest, SHA1: manifest.Annotations[annotationSHA1], SHA256: manifest.Annotations[annotationSHA256],
		Stack: manifest.Annotations[annotationStack], Result: manifest.Config, Layer: manifest.Layers[0], DiffID: diffID,
	}
	if found.Stack != "" {
		if err := ValidateStackName(found.Stack); err != nil {
			return StoredDroplet{}, fmt.Errorf("annotation %s: %w", annotationStack, err)
		}
	}
	return found, nil
}

// Droplet reads a droplet's manifest: one request. The error wraps opi.ErrNotFound
// where there is none.
func (r *Registry) Droplet(ctx context.Context, checksum opi.Checksum) (StoredDroplet, error) {
	doing := fmt.Sprintf("read droplet %s", checksum.Value)
	tag, err := name.NewTag(r.droplets().String()+":"+checksum.Value, name.StrictValidation)
	if err != nil {
		return StoredDroplet{}, fmt.Errorf("%s: %w", doing, err)
	}
	descriptor, err := r.get(ctx, r.droplets().Tag(tag.TagStr()))
	if errors.Is(err, errNotThere) {
		return StoredDroplet{}, fmt.Errorf("%s: %w in the registry", doing, opi.ErrNotFound)
	}
	if err != nil {
		return StoredDroplet{}, fmt.Errorf("%s: %w", doing, err)
	}
	found, err := parseDroplet(descriptor.Manifest, descriptor.Digest)
	if err == nil && checksum.Value != found.SHA1 && checksum.Value != found.SHA256 {
		err = fmt.Errorf("it is of another droplet, sha1 %q, sha256 %q", found.SHA1, found.SHA256)
	}
	if err != nil {
		return StoredDroplet{}, r.failed(doing+" from "+tag.String(), err)
	}
	return found, nil
}

// rawManifest is a manifest as it is stored.
type rawManifest struct {
	content []byte
	digest  v1.Hash
}

var _ remote.Taggable = rawManifest{}

// newRawManifest is for OCI image manifests.
func newRawManifest(manifest any) (rawManifest, error) {
	content, err := json.Marshal(manifest)
	if err != nil {
		return rawManifest{}, err
	}
	return rawManifest{content: content, digest: digestOf(content)}, nil
}

// RawManifest implements remote.Taggable.
func (m rawManifest) RawManifest() ([]byte, error) { return m.content, nil }

// MediaType tells go-containerregistry what to call it.
func (rawManifest) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
