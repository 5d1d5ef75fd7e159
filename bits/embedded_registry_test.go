package bits

import (
	"bytes"
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"

	embedded "github.com/irene-cf/irene/bits/registry"
	"github.com/irene-cf/irene/opi"
)

// The registry that comes with Irene is the distribution library's, which most
// registries in use are.
func TestWithTheEmbeddedRegistry(t *testing.T) {
	g := NewWithT(t)
	logger := lager.NewLogger("test")
	password := writeFile(t, "secret\nformer\n")
	server, err := embedded.New(embedded.Options{
		Directory: t.TempDir(), Users: []embedded.User{{Name: "user", PasswordFile: password}},
		MinAge: time.Hour, UploadIdle: time.Hour, Logger: logger,
	})
	g.Expect(err).NotTo(HaveOccurred())
	hub := &hub{t: t, inner: server.Handler(), noMounts: true} // it does all by itself
	hub.server = httptest.NewServer(hub)
	t.Cleanup(func() {
		hub.server.Close()
		check(t, server.Close())
	})

	c := &cloud{t: t, hub: hub, lifecycle: lifecycleOf(t, "launch program"), options: hub.options(), logger: logger}
	c.options.UsernameFile, c.options.PasswordFile = writeFile(t, "user"), password
	path := writeLayout(t, imageOf(t, "", layerOf(t, file("etc/passwd", debian))))
	c.stack, err = registryOf(t, c.options).ImportStack(context.Background(), "cflinuxfs4", StackSource{Location: path})
	g.Expect(err).NotTo(HaveOccurred())
	c.start()

	d := dropletOf(t, "d", 5<<20)
	push := func() {
		_, err := c.registry.PushDroplet(context.Background(), bytes.NewReader(d.content), DropletPush{Stack: "cflinuxfs4", Result: []byte(`{"a":1}`)})
		g.Expect(err).NotTo(HaveOccurred())
	}
	push()
	hub.forget()
	push()
	received, _ := hub.bytes()
	g.Expect(received).To(BeZero(), "a second push sends nothing")

	assembled, err := c.assemble(d)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.metric("irene_registry_blobs_total", "mounted")).To(Equal(3.0))
	g.Expect(c.metric("irene_registry_blobs_total", "copied")).To(BeZero())
	config, err := c.registry.image(context.Background(), c.registry.host.name.Repo(assembled.Repository).Tag(assembled.Tag))
	g.Expect(err).NotTo(HaveOccurred())
	file, err := config.ConfigFile()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(file.Config.User).To(Equal("2000:2000"))
	g.Expect(c.assembler.Repair(context.Background(), AssemblyRequest{Droplet: d.Droplet})).To(Equal(assembled))

	checked, err := c.registry.Check(context.Background())
	g.Expect(err).NotTo(HaveOccurred())
	again, err := c.registry.Check(context.Background())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(again).NotTo(Equal(checked), "something is sent each time")
	pull := PullOptions{Address: c.options.Address, Prefix: c.options.Prefix, Credentials: &opi.RegistryCredentials{Username: "user", Password: "former"}}
	g.Expect(CheckPull(context.Background(), pull, checked)).To(Succeed())
	g.Expect(CheckPull(context.Background(), pull, CheckedImage{Digest: c.stack})).To(MatchError(ErrOtherRegistry))
	pull.Credentials.Password = "guess"
	g.Expect(CheckPull(context.Background(), pull, checked)).To(MatchError(ErrCredentials))
	pull.Credentials = nil
	g.Expect(CheckPull(context.Background(), pull, checked)).To(MatchError(ErrCredentials))

	var images []AppImage
	for image, err := range c.registry.AllAppImages(context.Background()) {
		g.Expect(err).NotTo(HaveOccurred())
		images = append(images, image)
	}
	g.Expect(images).To(Equal([]AppImage{{"d", d.Checksum.Value, assembled.Stack.Revision}}))
	g.Expect(c.registry.StackImages(context.Background(), "cflinuxfs4")).To(HaveLen(2))
}
