package bits

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/gomega"

	gomegatypes "github.com/onsi/gomega/types"

	"github.com/irene-cf/irene/opi"
)

const prefix = "cloudfoundry"

var silent = log.New(io.Discard, "", 0)

// testDroplet is a droplet and what Cloud Controller says of it.
type testDroplet struct {
	opi.Droplet
	content []byte
	sha256  string
}

// reader hides that content can be read again.
func (d testDroplet) reader() io.Reader { return io.MultiReader(bytes.NewReader(d.content)) }

// dropletOf makes a droplet of about size bytes that don't compress.
func dropletOf(t testing.TB, guid string, size int) testDroplet {
	t.Helper()
	random := rand.NewChaCha8([32]byte([]byte(guid + "................................")[:32]))
	var packed bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&packed, gzip.NoCompression)
	check(t, err)
	archive := tar.NewWriter(zipped)
	filling := make([]byte, size)
	_, _ = random.Read(filling)
	for name, content := range map[string][]byte{"./app/blob": filling} {
		check(t, archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: time.Unix(1, 0)}))
		_, err := archive.Write(content)
		check(t, err)
	}
	check(t, archive.Close())
	check(t, zipped.Close())
	return dropletOfContent(guid, packed.Bytes())
}

func dropletOfContent(guid string, content []byte) testDroplet {
	sha1sum, sha256sum := sha1.Sum(content), sha256.Sum256(content)
	return testDroplet{
		Droplet: opi.Droplet{GUID: guid, Checksum: opi.Checksum{Algorithm: "sha1", Value: hex.EncodeToString(sha1sum[:])}},
		content: content, sha256: hex.EncodeToString(sha256sum[:]),
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// cloud is a registry with a stack in it, and all that makes app images there.
type cloud struct {
	t         testing.TB
	hub       *hub
	options   RegistryOptions
	lifecycle *Lifecycle
	stack     v1.Hash

	registry  *Registry
	stacks    *Stacks
	assembler *Assembler
	logger    lager.Logger
}

// newCloud has the stack cflinuxfs4 of two layers imported.
func newCloud(t testing.TB, changes ...func(*cloud, *AssemblerOptions)) *cloud {
	t.Helper()
	c := &cloud{t: t, hub: newHub(t), lifecycle: lifecycleOf(t, "launch program"), logger: lager.NewLogger("test")}
	c.options = c.hub.options()
	c.importStack("one")
	c.start(changes...)
	return c
}

func (h *hub) options() RegistryOptions {
	return RegistryOptions{Address: h.address(), Prefix: prefix, firstBackoff: time.Millisecond}
}

func registryOf(t testing.TB, o RegistryOptions) *Registry {
	t.Helper()
	registry, err := NewRegistry(o)
	check(t, err)
	return registry
}

func lifecycleOf(t testing.TB, program string) *Lifecycle {
	t.Helper()
	path := filepath.Join(t.TempDir(), "launch")
	check(t, os.WriteFile(path, []byte(program), 0o600))
	lifecycle, err := LoadLifecycle(path)
	check(t, err)
	return lifecycle
}

// importStack makes content differ in the stack's second layer.
func (c *cloud) importStack(content string) {
	c.t.Helper()
	path := writeLayout(c.t, imageOf(c.t, "", layerOf(c.t, folder("etc"), file("etc/passwd", debian)), layerOf(c.t, file("etc/version", content))))
	digest, err := registryOf(c.t, c.hub.options()).ImportStack(context.Background(), "cflinuxfs4", StackSource{Location: path})
	check(c.t, err)
	c.stack = digest
}

// start makes what a process of Irene has, with nothing in its memory.
func (c *cloud) start(changes ...func(*cloud, *AssemblerOptions)) {
	c.t.Helper()
	var o AssemblerOptions
	for _, change := range changes {
		change(c, &o)
	}
	c.registry = registryOf(c.t, c.options)
	var err error
	c.stacks, err = NewStacks(StacksOptions{Registry: c.registry, Lifecycle: c.lifecycle, Names: []string{"cflinuxfs4", "other"}, Logger: c.logger})
	check(c.t, err)
	o.Stacks, o.Logger = c.stacks, c.logger
	c.assembler, err = NewAssembler(o)
	check(c.t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	assembler := c.assembler
	go func() { ended <- assembler.Run(ctx) }()
	c.t.Cleanup(func() {
		stop()
		check(c.t, <-ended)
	})
	c.hub.forget()
}

func withSource(source DropletSource) func(*cloud, *AssemblerOptions) {
	return func(_ *cloud, o *AssemblerOptions) { o.Source = source }
}

// push stores a droplet as a build does.
func (c *cloud) push(d testDroplet, stack string) StoredDroplet {
	c.t.Helper()
	stored, err := registryOf(c.t, c.hub.options()).PushDroplet(context.Background(), d.reader(), DropletPush{Stack: stack})
	check(c.t, err)
	c.hub.forget()
	return stored
}

func (c *cloud) assemble(d testDroplet) (Assembled, error) {
	return c.assembler.Assemble(context.Background(), AssemblyRequest{Droplet: d.Droplet, ProcessGUID: "process"})
}

// pull reads an app image as a node would, layers included.
func (c *cloud) pull(assembled Assembled) v1.Image {
	c.t.Helper()
	g := NewWithT(c.t)
	repository := c.registry.host.name.Repo(assembled.Repository)
	image, err := remote.Image(repository.Tag(assembled.Tag))
	g.Expect(err).NotTo(HaveOccurred())
	digest, err := image.Digest()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(digest).To(Equal(assembled.Digest))
	layers, err := image.Layers()
	g.Expect(err).NotTo(HaveOccurred())
	config, err := image.ConfigFile()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.RootFS.DiffIDs).To(HaveLen(len(layers)))
	for i, layer := range layers {
		content, err := layer.Uncompressed()
		g.Expect(err).NotTo(HaveOccurred())
		digest, _, err := v1.SHA256(content)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(digest).To(Equal(config.RootFS.DiffIDs[i]), "layer %d", i)
	}
	return image
}

// failWith matches an error that wraps target and says text.
func failWith(target error, text string) gomegatypes.GomegaMatcher {
	return SatisfyAll(MatchError(target), MatchError(ContainSubstring(text)))
}
