package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// programs are the commands below cmd that the image holds, in the order of its layers:
// what changes least comes first.
var programs = []string{"launch", "irene-stage", "irene"}

const (
	programFolder = "irene"
	// user is nobody on any node. Kubernetes wants a number to be sure that it isn't root.
	user = "65532:65532"
	home = "https://github.com/irene-cf/irene"
)

// platformImage is the image of one platform, and what is in it.
type platformImage struct {
	platform v1.Platform
	image    v1.Image
	modules  []byte // CycloneDX
}

// build makes one image for each platform.
func build(ctx context.Context, r release, log io.Writer) ([]platformImage, error) {
	var built []platformImage
	for _, platform := range r.platforms {
		made, err := buildPlatform(ctx, r, platform, log)
		if err != nil {
			return nil, fmt.Errorf("build for %s: %w", platform.String(), err)
		}
		built = append(built, made)
	}
	return built, nil
}

func buildPlatform(ctx context.Context, r release, platform v1.Platform, log io.Writer) (made platformImage, err error) {
	folder, err := os.MkdirTemp("", "irene-images-")
	if err != nil {
		return made, err
	}
	defer func() { _ = os.RemoveAll(folder) }() // a temporary folder
	layers := []v1.Layer{}
	paths := map[string]string{}
	for _, program := range programs {
		path := filepath.Join(folder, program)
		if err := compile(ctx, r, platform, program, path, log); err != nil {
			return made, err
		}
		layer, err := programLayer(path, program)
		if err != nil {
			return made, err
		}
		layers, paths[program] = append(layers, layer), path
	}
	image, err := assemble(r, platform, layers)
	if err != nil {
		return made, err
	}
	modules, err := billOfMaterials(r, paths)
	return platformImage{platform: platform, image: image, modules: modules}, err
}

// compile links a static program that depends on nothing of this machine. The commit is
// not stamped into it: launch and irene-stage would be others with every commit, and
// with them the revision of every stack.
func compile(ctx context.Context, r release, platform v1.Platform, program, output string, log io.Writer) error {
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X main.version="+r.version, "-o", output, "./cmd/"+program)
	command.Dir = r.source
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+platform.OS, "GOARCH="+platform.Architecture)
	command.Stdout, command.Stderr = log, log
	if err := command.Run(); err != nil {
		return fmt.Errorf("compile %s: %w", program, err)
	}
	return nil
}

// programLayer has one program in /irene, and the folder for temporary files.
func programLayer(path, name string) (v1.Layer, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, header := range []tar.Header{
		{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777},
		{Typeflag: tar.TypeDir, Name: programFolder + "/", Mode: 0o755},
		{Typeflag: tar.TypeReg, Name: programFolder + "/" + name, Mode: 0o755, Size: int64(len(content))},
	} {
		header.ModTime, header.Format = time.Unix(0, 0), tar.FormatUSTAR
		if err := w.WriteHeader(&header); err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
	}
	if _, err := w.Write(content); err != nil {
		return nil, fmt.Errorf("pack %s: %w", name, err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack %s: %w", name, err)
	}
	return tarball.LayerFromOpener(
		func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

func assemble(r release, platform v1.Platform, layers []v1.Layer) (v1.Image, error) {
	created := v1.Time{Time: r.created}
	base, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		Created: created, OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant,
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			User:       user,
			WorkingDir: "/tmp",
			Entrypoint: []string{"/" + programFolder + "/irene"},
			Cmd:        []string{"help"},
			Env:        []string{"PATH=/" + programFolder, "HOME=/tmp"},
			Labels: map[string]string{
				"org.opencontainers.image.title":       "irene",
				"org.opencontainers.image.description": "Irene lets Cloud Foundry run its apps on Kubernetes.",
				"org.opencontainers.image.version":     r.version,
				"org.opencontainers.image.revision":    r.revision,
				"org.opencontainers.image.created":     r.created.Format(time.RFC3339),
				"org.opencontainers.image.source":      home,
				"org.opencontainers.image.licenses":    "Apache-2.0",
			},
		},
	})
	if err != nil {
		return nil, err
	}
	base = mutate.ConfigMediaType(mutate.MediaType(base, types.OCIManifestSchema1), types.OCIConfigJSON)
	for i, layer := range layers {
		if base, err = mutate.Append(base, mutate.Addendum{Layer: layer, History: v1.History{
			Created: created, CreatedBy: "go build ./cmd/" + programs[i],
		}}); err != nil {
			return nil, err
		}
	}
	return base, nil
}
