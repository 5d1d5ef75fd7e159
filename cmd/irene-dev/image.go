package main

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/irene-cf/irene/fixtures/appimage"
)

const (
	registryPrefix    = "cloudfoundry"
	sampleDropletGUID = "3e7f3a0c-7c1d-4a55-9d1b-5a2f2c6e9d10"
	revisionDigits    = 10
)

// sampleImage is where the sample app's image is, in the parts that Irene makes
// its name of: <registry>/<prefix>/<droplet guid>:<droplet hash>-<revision>.
type sampleImage struct {
	registry string
	// dropletHash is the SHA-1 of the droplet, as Cloud Controller gives it.
	dropletHash string
	// revision tells root file systems and lifecycles apart.
	revision string
}

func (i sampleImage) reference() string {
	return fmt.Sprintf("%s/%s/%s:%s-%s", i.registry, registryPrefix, sampleDropletGUID, i.dropletHash, i.revision)
}

// pushImage does what staging does in a real cloud: it turns the sample app into
// a droplet and leaves its image in the registry.
func (c *cloud) pushImage(ctx context.Context) (string, error) {
	rootfs, err := appimage.RootFS(c.rootfsFile)
	if err != nil {
		return "", err
	}
	lifecycle, err := appimage.Lifecycle(c.program(launchProgram))
	if err != nil {
		return "", err
	}
	program, err := os.ReadFile(c.program(sampleProgram))
	if err != nil {
		return "", err
	}
	droplet, err := appimage.Droplet(
		appimage.File{Path: "app/" + sampleProgram, Mode: 0o755, Content: program},
		appimage.File{Path: "staging_info.yml", Mode: 0o644, Content: []byte(`{"detected_buildpack":"binary","start_command":"` + sampleCommand + `"}` + "\n")},
	)
	if err != nil {
		return "", err
	}
	c.image = sampleImage{registry: c.cluster.Registry}
	if c.image.revision, err = stackRevision(rootfs, lifecycle); err != nil {
		return "", err
	}
	if c.image.dropletHash, err = dropletHash(droplet); err != nil {
		return "", err
	}
	image, err := appimage.App(rootfs, lifecycle, droplet)
	if err != nil {
		return "", err
	}
	if _, err := appimage.Push(ctx, image, c.image.reference()); err != nil {
		return "", err
	}
	return "pushed to " + c.cluster.Registry, nil
}

// stackRevision is a short digest of what is below the droplet.
func stackRevision(layers ...v1.Layer) (string, error) {
	all := sha256.New()
	for _, layer := range layers {
		digest, err := layer.DiffID()
		if err != nil {
			return "", fmt.Errorf("digest of a layer: %w", err)
		}
		fmt.Fprintln(all, digest)
	}
	return hex.EncodeToString(all.Sum(nil))[:revisionDigits], nil
}

func dropletHash(droplet v1.Layer) (string, error) {
	content, err := droplet.Uncompressed()
	if err != nil {
		return "", fmt.Errorf("read the droplet: %w", err)
	}
	defer content.Close()
	sum := sha1.New()
	if _, err := io.Copy(sum, content); err != nil {
		return "", fmt.Errorf("read the droplet: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
