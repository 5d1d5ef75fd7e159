package bits

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

func TestBuildpackImage(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	ctx := context.Background()
	checksum := strings.Repeat("0a", 32)
	_, found, err := c.registry.Buildpack(ctx, checksum)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found).To(BeFalse())

	layer, err := c.lifecycle.layer.Compressed()
	check(t, err)
	defer layer.Close()
	file := filepath.Join(t.TempDir(), "layer.tar")
	content, err := io.ReadAll(layer)
	check(t, err)
	check(t, os.WriteFile(file, content, 0o600))
	pushed, err := c.registry.PushBuildpack(ctx, checksum, file)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(pushed).To(MatchRegexp(`^cloudfoundry/buildpacks@sha256:[0-9a-f]{64}$`))
	reference, found, err := c.registry.Buildpack(ctx, checksum)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found).To(BeTrue())
	g.Expect(reference).To(Equal(pushed))
	g.Expect(c.registry.PushBuildpack(ctx, checksum, file)).To(Equal(pushed), "the same file is the same image")

	image := c.stagingImage("cloudfoundry/buildpacks:" + checksum + "-1")
	config, err := image.ConfigFile()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.Config.Labels).To(HaveKeyWithValue(LabelBuildpack, checksum))
	g.Expect(config.RootFS.DiffIDs).To(HaveLen(1))
	g.Expect(programOf(t, image)).To(HaveKey("lifecycle/launch"))

	check(t, os.WriteFile(file, []byte("no tar file"), 0o600))
	_, err = c.registry.PushBuildpack(ctx, checksum, file)
	g.Expect(err).To(MatchError(ContainSubstring("not a whole tar file")))
	_, _, err = c.registry.Buildpack(ctx, "../other")
	g.Expect(err).To(MatchError(ContainSubstring("not named by a SHA-256")))
}
