package bits

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"regexp"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

const (
	// maxLayers and maxIndexEntries bound lists in manifests. Container runtimes mount
	// some hundred layers at most.
	maxLayers       = 1000
	maxIndexEntries = 1000
	// maxConfigBytes bounds an image's config. Real ones have a few KiB.
	maxConfigBytes = 1 << 20
	// maxZstdWindow bounds the memory for unpacking a layer. Compressors use more than
	// 8 MiB only on request.
	maxZstdWindow = 32 << 20
)

// imageDescriptor, imageManifest and imageConfig hold what is used of the JSON of images
// that users name. What they leave out, such as a config's history, is never decoded.
type imageDescriptor struct {
	MediaType types.MediaType `json:"mediaType"`
	Size      int64           `json:"size"`
	Digest    v1.Hash         `json:"digest"`
	Platform  *v1.Platform    `json:"platform"`
}

type imageManifest struct {
	Config imageDescriptor `json:"config"`
	Layers []struct {
		Digest v1.Hash `json:"digest"`
	} `json:"layers"`
}

type imageConfig struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
	Config       struct {
		User, WorkingDir string
		Cmd, Entrypoint  []string
		ExposedPorts     map[string]struct{}
	} `json:"config"`
}

// parseManifest expects JSON that passed checkJSON.
func parseManifest(text []byte) (imageManifest, error) {
	var manifest imageManifest
	if json.Unmarshal(text, &manifest) != nil {
		return imageManifest{}, faultf("its manifest is not one")
	}
	if len(manifest.Layers) > maxLayers {
		return imageManifest{}, faultf("it has %d layers, more than %d", len(manifest.Layers), maxLayers)
	}
	return manifest, nil
}

// parseIndex expects JSON that passed checkJSON.
func parseIndex(text []byte) ([]imageDescriptor, error) {
	var index struct {
		Manifests []imageDescriptor `json:"manifests"`
	}
	if json.Unmarshal(text, &index) != nil {
		return nil, faultf("its index is not one")
	}
	if len(index.Manifests) > maxIndexEntries {
		return nil, faultf("its index has %d entries, more than %d", len(index.Manifests), maxIndexEntries)
	}
	return index.Manifests, nil
}

// remoteImage is an image in its registry.
type remoteImage struct {
	puller     *remote.Puller
	repository name.Repository
	manifest   imageManifest
}

// config fetches the image's config.
func (i remoteImage) config(ctx context.Context) (imageConfig, error) {
	wanted := i.manifest.Config
	if wanted.Size > maxConfigBytes {
		return imageConfig{}, faultf("its config has %d bytes, more than %d", wanted.Size, maxConfigBytes)
	}
	content, err := remoteLayer{image: i, ctx: ctx, digest: wanted.Digest}.Compressed()
	if err != nil {
		return imageConfig{}, err
	}
	defer content.Close()
	text, err := io.ReadAll(io.LimitReader(content, maxConfigBytes+1))
	switch {
	case errors.As(err, new(*connectionError)):
		return imageConfig{}, err
	case err != nil, int64(len(text)) != wanted.Size:
		return imageConfig{}, faultf("its config has not the size or the digest that its manifest says")
	}
	if err := checkJSON(text, maxConfigValues); err != nil {
		return imageConfig{}, faultf("its config %v", err)
	}
	var config imageConfig
	if json.Unmarshal(text, &config) != nil {
		return imageConfig{}, faultf("its config is not one")
	}
	return config, nil
}

// layers returns the image's layers, the lowest first. Nothing is fetched before one is read.
func (i remoteImage) layers(ctx context.Context) []layerSource {
	layers := make([]layerSource, len(i.manifest.Layers))
	for at, layer := range i.manifest.Layers {
		layers[at] = remoteLayer{image: i, ctx: ctx, digest: layer.Digest}
	}
	return layers
}

// layerSource is the part of v1.Layer that is used to read account files.
type layerSource interface {
	Digest() (v1.Hash, error)
	Uncompressed() (io.ReadCloser, error)
}

// remoteLayer is a blob in a registry. It never follows the URLs of foreign layers.
type remoteLayer struct {
	image  remoteImage
	ctx    context.Context
	digest v1.Hash
}

// Digest implements layerSource.
func (l remoteLayer) Digest() (v1.Hash, error) { return l.digest, nil }

// Compressed returns the blob as it is; its digest is verified at its end.
func (l remoteLayer) Compressed() (io.ReadCloser, error) {
	layer, err := l.image.puller.Layer(l.ctx, l.image.repository.Digest(l.digest.String()))
	if err != nil {
		return nil, err
	}
	return layer.Compressed()
}

// Uncompressed implements layerSource. In contrast to go-containerregistry, it bounds the
// memory that a zstd frame may ask for.
func (l remoteLayer) Uncompressed() (io.ReadCloser, error) {
	packed, err := l.Compressed()
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewReader(packed)
	first, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		_ = packed.Close()
		return nil, err
	}
	layer := &unpackedLayer{packed: packed, buffered: buffered}
	switch {
	case bytes.HasPrefix(first, []byte{0x1f, 0x8b}):
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			_ = packed.Close()
			return nil, err
		}
		layer.content = unzipped
	case bytes.HasPrefix(first, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		decoder, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderMaxMemory(maxImageBytes))
		if err != nil {
			_ = packed.Close()
			return nil, err
		}
		layer.content, layer.stop = decoder, decoder.Close
	default:
		layer.content = buffered
	}
	return layer, nil
}

// unpackedLayer reads the blob to its end, where its digest is verified.
type unpackedLayer struct {
	packed   io.Closer
	buffered *bufio.Reader
	content  io.Reader
	stop     func()
}

// Read implements io.Reader.
func (l *unpackedLayer) Read(p []byte) (int, error) {
	n, err := l.content.Read(p)
	if errors.Is(err, io.EOF) {
		if _, rest := l.buffered.Peek(1); rest != nil && !errors.Is(rest, io.EOF) {
			return n, rest
		}
	}
	return n, err
}

// Close implements io.Closer.
func (l *unpackedLayer) Close() error {
	if l.stop != nil {
		l.stop()
	}
	return l.packed.Close()
}

var harmless = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+/_-]{0,99}$`)

// tame returns a word from an image for an error text that its owner reads, if it is a
// short one without surprises.
func tame(word string) string {
	if !harmless.MatchString(word) {
		return "something else"
	}
	return word
}
