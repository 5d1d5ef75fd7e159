package bits

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// tarKind is what a tar file holds, by the names of its entries.
type tarKind int

const (
	tarOfOther tarKind = iota
	tarOfFiles
	tarOfLayout
	tarOfImage
)

// rootFSFile is a tar file as a layer. It is read again whenever the layer is, so
// it must not change meanwhile; a registry notices by the digest if it does.
type rootFSFile struct {
	path           string
	packed         bool
	size           int64
	digest, diffID v1.Hash
}

// Digest is part of v1.Layer.
func (f *rootFSFile) Digest() (v1.Hash, error) { return f.digest, nil }

// DiffID is part of v1.Layer.
func (f *rootFSFile) DiffID() (v1.Hash, error) { return f.diffID, nil }

// Size is part of v1.Layer.
func (f *rootFSFile) Size() (int64, error) { return f.size, nil }

// Compressed is part of v1.Layer; the file as it is.
func (f *rootFSFile) Compressed() (io.ReadCloser, error) { return os.Open(f.path) }

// Uncompressed is part of v1.Layer.
func (f *rootFSFile) Uncompressed() (io.ReadCloser, error) { return gunzipped(f.path, f.packed) }

// MediaType is part of v1.Layer.
func (f *rootFSFile) MediaType() (types.MediaType, error) {
	if f.packed {
		return types.OCILayer, nil
	}
	return types.OCIUncompressedLayer, nil
}

// readTarFile reads a whole tar file, plain or gzipped, and says what it holds.
func readTarFile(name string) (*rootFSFile, tarKind, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, tarOfOther, err
	}
	defer file.Close()
	layer := &rootFSFile{path: name}
	if layer.digest, layer.size, err = v1.SHA256(file); err != nil {
		return nil, tarOfOther, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, tarOfOther, err
	}
	magic, err := bufio.NewReaderSize(file, 16).Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, tarOfOther, err
	}
	layer.packed = string(magic) == "\x1f\x8b"

	plain, err := layer.Uncompressed()
	if err != nil {
		return nil, tarOfOther, notTar(err)
	}
	defer plain.Close()
	sum, end := sha256.New(), new(zeroTail)
	kind, err := kindOfTar(io.TeeReader(plain, io.MultiWriter(sum, end)))
	if err == nil && *end < tarEndBytes {
		err = errors.New("it lacks the end of one")
	}
	if err != nil {
		return nil, tarOfOther, notTar(err)
	}
	layer.diffID = v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sum.Sum(nil))}
	return layer, kind, nil
}

// tarEndBytes of zeros end a tar file. Without them it has been cut off.
const tarEndBytes = 1024

// zeroTail counts the zeros at the end of what was written to it.
type zeroTail int64

// Write implements io.Writer.
func (z *zeroTail) Write(p []byte) (int, error) {
	rest := len(bytes.TrimRight(p, "\x00"))
	if rest > 0 {
		*z = 0
	}
	*z += zeroTail(len(p) - rest)
	return len(p), nil
}

func notTar(err error) error {
	return fmt.Errorf("is not a whole tar file, plain or gzipped: %w", err)
}

// kindOfTar reads to the end of content, past the archive's own.
func kindOfTar(content io.Reader) (tarKind, error) {
	kind := tarOfOther
	for entries := tar.NewReader(content); ; {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return kind, err
		}
		top, _, _ := strings.Cut(strings.TrimPrefix(path.Clean("/"+header.Name), "/"), "/")
		switch top {
		case "manifest.json":
			kind = max(kind, tarOfImage)
		case "oci-layout":
			kind = max(kind, tarOfLayout)
		case "etc", "bin", "usr":
			kind = max(kind, tarOfFiles)
		}
	}
	_, err := io.Copy(io.Discard, content)
	return kind, err
}

// rootFSImage is an image of nothing but layer; the same layer makes the same image.
func rootFSImage(layer v1.Layer, platform v1.Platform) (v1.Image, error) {
	base, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant,
		Created: v1.Time{Time: time.Unix(0, 0).UTC()},
		RootFS:  v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, err
	}
	base = mutate.ConfigMediaType(mutate.MediaType(base, types.OCIManifestSchema1), types.OCIConfigJSON)
	return mutate.Append(base, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: time.Unix(0, 0).UTC()}, CreatedBy: "irene"},
	})
}
