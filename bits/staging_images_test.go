package bits

import (
	"archive/tar"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

func (c *cloud) stagingImages(program string) *StagingImages {
	c.t.Helper()
	path := filepath.Join(c.t.TempDir(), "irene-stage")
	check(c.t, os.WriteFile(path, []byte(program), 0o600))
	layer, err := LoadStageProgram(path)
	check(c.t, err)
	images, err := NewStagingImages(c.stacks, layer)
	check(c.t, err)
	return images
}

func (c *cloud) stagingImage(pathAndTag string) v1.Image {
	c.t.Helper()
	repository, tag, _ := cutLast(pathAndTag, ":")
	image, err := c.registry.image(context.Background(), c.registry.host.name.Repo(repository).Tag(tag))
	check(c.t, err)
	return image
}

// programOf is what the image's last layer holds.
func programOf(t testing.TB, image v1.Image) map[string]string {
	t.Helper()
	layers, err := image.Layers()
	check(t, err)
	content, err := layers[len(layers)-1].Uncompressed()
	check(t, err)
	found := map[string]string{}
	archive := tar.NewReader(content)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return found
		}
		check(t, err)
		text, err := io.ReadAll(archive)
		check(t, err)
		found[header.Name] = string(text)
	}
}

func TestStagingImages(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	images := c.stagingImages("staging program")
	made, err := images.Ensure(context.Background(), "")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(made.Stack.Name).To(Equal("cflinuxfs4"))
	g.Expect(made.Build).To(MatchRegexp(`^cloudfoundry/builds/cflinuxfs4:[0-9a-f]{12}$`))
	g.Expect(made.Tool).To(MatchRegexp(`^cloudfoundry/stage:[0-9a-f]{12}$`))
	received, _ := c.hub.bytes()
	g.Expect(received).To(BeNumerically("<", 20000), "the stack's layers are mounted")

	program := map[string]string{"tmp/": "", "lifecycle/": "", "lifecycle/irene-stage": "staging program"}
	for name, layers := range map[string]int{made.Build: 3, made.Tool: 1} {
		image := c.stagingImage(name)
		config, err := image.ConfigFile()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(config.Config.User).To(Equal("2000:2000"))
		g.Expect(config.Config.Entrypoint).To(Equal([]string{"/lifecycle/irene-stage"}))
		g.Expect(config.RootFS.DiffIDs).To(HaveLen(layers))
		g.Expect(programOf(t, image)).To(Equal(program))
	}

	c.hub.forget()
	g.Expect(images.Ensure(context.Background(), "cflinuxfs4")).To(Equal(made))
	g.Expect(c.hub.seen()).To(BeEmpty(), "they were seen a moment ago")
	g.Expect(c.stagingImages("staging program").Ensure(context.Background(), "cflinuxfs4")).To(Equal(made), "another replica makes the same")
	g.Expect(c.hub.seen()).To(HaveLen(2), "and looks once for each")

	other, err := c.stagingImages("next release").Ensure(context.Background(), "")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(other.Build).NotTo(Equal(made.Build))
	g.Expect(other.Tool).NotTo(Equal(made.Tool))

	_, err = images.Ensure(context.Background(), "windows")
	g.Expect(err).To(MatchError(opi.ErrRefused))
	_, err = images.Ensure(context.Background(), "other")
	g.Expect(err).To(MatchError(opi.ErrUnavailable), "it was never imported")
}

func TestStagingImagesFollowTheStack(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	images := c.stagingImages("staging program")
	before, err := images.Ensure(context.Background(), "")
	g.Expect(err).NotTo(HaveOccurred())
	c.importStack("two")
	_, err = c.stacks.Refresh(context.Background(), "cflinuxfs4")
	g.Expect(err).NotTo(HaveOccurred())
	after, err := images.Ensure(context.Background(), "")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(after.Build).NotTo(Equal(before.Build))
	g.Expect(after.Tool).To(Equal(before.Tool))
	g.Expect(after.Stack.Digest).To(Equal(c.stack))
}
