package bits

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// launchPath is where the pod of a buildpack app finds its first program.
	launchPath = "lifecycle/launch"
	// maxProgramBytes bounds a program that becomes a layer, which is kept in memory;
	// they have some 3 to 15 MiB.
	maxProgramBytes = 64 << 20
)

// programLayer is a layer that holds one program. It depends on that program's bytes
// alone: owner root, mode 0755, no times, no compression, which could differ from one
// build of Irene to the next.
type programLayer struct {
	layer  v1.Layer
	digest v1.Hash
	size   int64
}

// loadProgramLayer reads the program at path, which goes to target in the layer, after
// the other entries that are given.
func loadProgramLayer(path, target string, others ...tar.Header) (programLayer, error) {
	program, err := readBounded(path, maxProgramBytes)
	if err != nil {
		return programLayer{}, fmt.Errorf("read the program: %w", err)
	}
	if len(program) == 0 {
		return programLayer{}, fmt.Errorf("read the program: %s is empty", path)
	}
	content, err := programArchive(program, append(others, tar.Header{Typeflag: tar.TypeReg, Name: target, Mode: 0o755, Size: int64(len(program))}))
	if err != nil {
		return programLayer{}, fmt.Errorf("make the layer of %s: %w", target, err)
	}
	layer := static.NewLayer(content, types.OCIUncompressedLayer)
	digest, err := layer.Digest()
	if err != nil {
		return programLayer{}, fmt.Errorf("make the layer of %s: %w", target, err)
	}
	return programLayer{layer: layer, digest: digest, size: int64(len(content))}, nil
}

// Digest is the layer's digest, which is also the digest of its content.
func (l programLayer) Digest() v1.Hash { return l.digest }

func (l programLayer) imageLayer() imageLayer {
	return imageLayer{
		descriptor: v1.Descriptor{MediaType: types.OCIUncompressedLayer, Size: l.size, Digest: l.digest},
		diffID:     l.digest,
	}
}

// programArchive has the program as the content of the last entry.
func programArchive(program []byte, entries []tar.Header) ([]byte, error) {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	for _, header := range entries {
		header.ModTime = time.Unix(0, 0)
		if err := writer.WriteHeader(&header); err != nil {
			return nil, err
		}
	}
	if _, err := writer.Write(program); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return archive.Bytes(), nil
}

// Lifecycle is the layer of /lifecycle/launch and the link /app. It belongs to a release
// of Irene and is part of every app image that the release assembles.
type Lifecycle struct{ programLayer }

// lifecycleFolder is where Irene's programs are in the images that it makes.
var lifecycleFolder = tar.Header{Typeflag: tar.TypeDir, Name: "lifecycle/", Mode: 0o755}

// appLink leads people who open a shell in a container to the app's files. The stacks of
// Cloud Foundry have the same link; others may not.
var appLink = tar.Header{Typeflag: tar.TypeSymlink, Name: "app", Linkname: "/home/vcap/app", Mode: 0o777}

// LoadLifecycle makes the layer from the launch program at path.
func LoadLifecycle(path string) (*Lifecycle, error) {
	layer, err := loadProgramLayer(path, launchPath, appLink, lifecycleFolder)
	if err != nil {
		return nil, fmt.Errorf("make the lifecycle layer: %w", err)
	}
	return &Lifecycle{layer}, nil
}

func readBounded(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = errors.New(path + " has more than " + fmt.Sprint(limit) + " bytes")
	}
	return content, err
}

// PushLifecycle puts the layer into the registry, unless it is there, with an image
// of nothing else around it, so that nothing collects it. Its tag is the begin of its
// digest: releases have layers beside one another.
func (r *Registry) PushLifecycle(ctx context.Context, lifecycle *Lifecycle) error {
	image, err := rootFSImage(lifecycle.layer, r.host.platform)
	if err != nil {
		return fmt.Errorf("push the lifecycle layer: %w", err)
	}
	if err := r.pushImage(ctx, image, r.lifecycle().Tag(lifecycle.digest.Hex[:shortDigits])); err != nil {
		return r.failed("push the lifecycle layer", err)
	}
	return nil
}
