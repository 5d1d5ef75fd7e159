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
	// maxLaunchBytes bounds the launch program, which is kept in memory; it has some
	// 3 MiB.
	maxLaunchBytes = 64 << 20
)

// Lifecycle is the layer of /lifecycle/launch. It belongs to a release of Irene and
// is part of every app image that the release assembles.
type Lifecycle struct {
	layer  v1.Layer
	digest v1.Hash
	size   int64
}

// LoadLifecycle makes the layer from the launch program at path. It depends on that
// program's bytes alone: owner root, mode 0755, no times, no compression, which
// could differ from one build of Irene to the next.
func LoadLifecycle(path string) (*Lifecycle, error) {
	program, err := readBounded(path, maxLaunchBytes)
	if err != nil {
		return nil, fmt.Errorf("read the launch program: %w", err)
	}
	if len(program) == 0 {
		return nil, fmt.Errorf("read the launch program: %s is empty", path)
	}
	content, err := lifecycleArchive(program)
	if err != nil {
		return nil, fmt.Errorf("make the lifecycle layer: %w", err)
	}
	layer := static.NewLayer(content, types.OCIUncompressedLayer)
	digest, err := layer.Digest()
	if err != nil {
		return nil, fmt.Errorf("make the lifecycle layer: %w", err)
	}
	return &Lifecycle{layer: layer, digest: digest, size: int64(len(content))}, nil
}

// Digest is the layer's digest, which is also the digest of its content.
func (l *Lifecycle) Digest() v1.Hash { return l.digest }

func (l *Lifecycle) imageLayer() imageLayer {
	return imageLayer{
		descriptor: v1.Descriptor{MediaType: types.OCIUncompressedLayer, Size: l.size, Digest: l.digest},
		diffID:     l.digest,
	}
}

func lifecycleArchive(program []byte) ([]byte, error) {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	entries := []tar.Header{
		{Typeflag: tar.TypeDir, Name: "lifecycle/", Mode: 0o755},
		{Typeflag: tar.TypeReg, Name: launchPath, Mode: 0o755, Size: int64(len(program))},
	}
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
