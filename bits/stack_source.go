package bits

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/irene-cf/irene/opi"
)

// StackSource is where a stack comes from.
type StackSource struct {
	// Location is one of
	//
	//	a folder that is an OCI image layout
	//	a tar file of a root file system, plain or gzipped; it travels as it is
	//	a tar file that "docker save" wrote, of one image, plain or gzipped
	//	an image reference, such as docker.io/cloudfoundry/cflinuxfs4:latest
	//
	// What exists as a file or folder is taken for one.
	Location string
	// Credentials for an image reference; nil for none.
	Credentials *opi.RegistryCredentials
	// PlainHTTP and CAFile are about the registry of an image reference, as
	// RegistryOptions has them.
	PlainHTTP bool
	CAFile    string
}

// open finds the image; of several, the one for platform. It reads files to their
// ends, as their digests are needed.
func (s StackSource) open(ctx context.Context, platform v1.Platform) (v1.Image, error) {
	info, err := os.Stat(s.Location)
	switch {
	case err == nil && info.IsDir():
		return layoutImage(s.Location, platform)
	case err == nil && info.Mode().IsRegular():
		return fileImage(s.Location, platform)
	case err == nil:
		return nil, errors.New("is neither a file nor a folder")
	case looksLikePath(s.Location):
		return nil, err
	}
	return s.remoteImage(ctx, platform)
}

// looksLikePath tells a path that is wrong from an image reference.
func looksLikePath(location string) bool {
	return filepath.IsAbs(location) || strings.HasPrefix(location, ".") ||
		strings.HasSuffix(location, ".tar") || strings.HasSuffix(location, ".tgz") || strings.HasSuffix(location, ".tar.gz")
}

func (s StackSource) remoteImage(ctx context.Context, platform v1.Platform) (v1.Image, error) {
	reference, err := name.ParseReference(s.Location)
	if err != nil {
		return nil, fmt.Errorf("is neither a file nor an image reference: %w", err)
	}
	options := RegistryOptions{
		Address: reference.Context().RegistryStr(), PlainHTTP: s.PlainHTTP, CAFile: s.CAFile, Platform: &platform,
	}
	host, err := newRegistryHost(options.hostOptions(authenticator(s.Credentials)), newRegistryMetrics())
	if err != nil {
		return nil, err
	}
	// The reference is read by the host's rules on plain HTTP, not by its own.
	repository := host.name.Repo(reference.Context().RepositoryStr())
	puller, err := host.puller(ctx, repository)
	if err != nil {
		return nil, err
	}
	reference = repository.Tag(reference.Identifier())
	if strings.Contains(reference.Identifier(), ":") {
		reference = repository.Digest(reference.Identifier())
	}
	descriptor, err := puller.Get(ctx, reference)
	if err != nil {
		return nil, err
	}
	return descriptor.Image()
}

// layoutImage is the image of an OCI image layout for platform. An index within the
// index counts, as tools make it for images of many platforms.
func layoutImage(folder string, platform v1.Platform) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		return nil, fmt.Errorf("is not an OCI image layout: %w", err)
	}
	found, err := platformImages(index, platform, 0)
	if err != nil {
		return nil, err
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("holds no image for %s", platform.String())
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("holds %d images for %s; keep one", len(found), platform.String())
}

// maxIndexDepth bounds indexes within indexes.
const maxIndexDepth = 3

func platformImages(index v1.ImageIndex, platform v1.Platform, depth int) ([]v1.Image, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var found []v1.Image
	for _, child := range manifest.Manifests {
		switch {
		case child.MediaType.IsIndex() && depth < maxIndexDepth:
			inner, err := index.ImageIndex(child.Digest)
			if err != nil {
				return nil, err
			}
			images, err := platformImages(inner, platform, depth+1)
			if err != nil {
				return nil, err
			}
			found = append(found, images...)
		case child.MediaType.IsImage() && (child.Platform == nil || child.Platform.Satisfies(platform)):
			image, err := index.Image(child.Digest)
			if err != nil {
				return nil, err
			}
			found = append(found, image)
		}
	}
	return found, nil
}

// fileImage is the image that "docker save" wrote, or one made of a root file
// system.
func fileImage(path string, platform v1.Platform) (v1.Image, error) {
	layer, kind, err := readTarFile(path)
	if err != nil {
		return nil, err
	}
	switch kind {
	case tarOfImage:
		return tarball.Image(layer.Uncompressed, nil)
	case tarOfLayout:
		return nil, errors.New("is an OCI image layout in a tar file; unpack it and import the folder")
	case tarOfFiles:
		return rootFSImage(layer, platform)
	}
	return nil, errors.New("is no root file system: there is neither etc nor bin nor usr in it")
}

// gunzipped reads a file, through gzip if it is packed.
func gunzipped(path string, packed bool) (io.ReadCloser, error) {
	file, err := os.Open(path)
	if err != nil || !packed {
		return file, err
	}
	plain, err := gzip.NewReader(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return readCloser{plain, file}, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// countedImage counts the layers that a registry wanted the bytes of.
type countedImage struct {
	v1.Image
	sent atomic.Int64
}

// Layers is part of v1.Image.
func (i *countedImage) Layers() ([]v1.Layer, error) {
	layers, err := i.Image.Layers()
	if err != nil {
		return nil, err
	}
	counted := make([]v1.Layer, 0, len(layers))
	for _, layer := range layers {
		if mountable, ok := layer.(*remote.MountableLayer); ok {
			layer = &remote.MountableLayer{Layer: countedLayer{mountable.Layer, &i.sent}, Reference: mountable.Reference}
		} else {
			layer = countedLayer{layer, &i.sent}
		}
		counted = append(counted, layer)
	}
	return counted, nil
}

type countedLayer struct {
	v1.Layer
	sent *atomic.Int64
}

// Compressed is part of v1.Layer.
func (l countedLayer) Compressed() (io.ReadCloser, error) {
	l.sent.Add(1)
	return l.Layer.Compressed()
}
