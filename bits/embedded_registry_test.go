package bits

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"

	embedded "github.com/irene-cf/irene/bits/registry"
	"github.com/irene-cf/irene/credential"
	"github.com/irene-cf/irene/opi"
)

// newEmbedded serves the registry that comes with Irene, for a user "user".
func newEmbedded(t *testing.T, passwordFile string, logger lager.Logger) *hub {
	t.Helper()
	server, err := embedded.New(embedded.Options{
		Directory: t.TempDir(), Users: []embedded.User{{Name: "user", PasswordFile: passwordFile}},
		MinAge: time.Hour, UploadIdle: time.Hour, Logger: logger,
	})
	check(t, err)
	hub := &hub{t: t, inner: server.Handler(), noMounts: true} // it does all by itself
	hub.server = httptest.NewServer(hub)
	t.Cleanup(func() {
		hub.server.Close()
		check(t, server.Close())
	})
	return hub
}

// The registry that comes with Irene is the distribution library's, which most
// registries in use are.
func TestWithTheEmbeddedRegistry(t *testing.T) {
	g := NewWithT(t)
	logger := lager.NewLogger("test")
	password := writeFile(t, "secret\nformer\n")
	hub := newEmbedded(t, password, logger)

	c := &cloud{t: t, hub: hub, lifecycle: lifecycleOf(t, "launch program"), options: hub.options(), logger: logger}
	c.options.UsernameFile, c.options.PasswordFile = writeFile(t, "user"), password
	path := writeLayout(t, imageOf(t, "", layerOf(t, file("etc/passwd", debian))))
	var err error
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

// What a build does with the registry needs no more than its own credential, also when
// Irene's password is being changed.
func TestABuildNeedsItsOwnCredentialOnly(t *testing.T) {
	g := NewWithT(t)
	ctx := context.Background()
	hub := newEmbedded(t, writeFile(t, "secret\nformer\n"), lager.NewLogger("test"))
	options := hub.options()
	options.UsernameFile, options.PasswordFile = writeFile(t, "user"), writeFile(t, "former")
	irene := registryOf(t, options)
	repository, err := irene.BuildRepository(ctx)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(repository).To(Equal(prefix + "/droplets"))

	username, err := credential.Build{GUID: "build", Repository: repository, Expires: time.Now().Add(time.Hour)}.Username()
	g.Expect(err).NotTo(HaveOccurred())
	key, err := credential.NewBuildKey("user", "former")
	g.Expect(err).NotTo(HaveOccurred())
	options.UsernameFile, options.PasswordFile = writeFile(t, username), writeFile(t, key.Password(username))
	build := registryOf(t, options)
	d := dropletOf(t, "d", 1<<20)
	push := func(result string) StoredDroplet {
		stored, err := build.PushDroplet(ctx, bytes.NewReader(d.content), DropletPush{Stack: "cflinuxfs4", Result: []byte(result), AsBuild: true})
		g.Expect(err).NotTo(HaveOccurred())
		return stored
	}
	one := push(`{"a":1}`)
	hub.forget()
	g.Expect(push(`{"a":1}`)).To(HaveField("Digest", one.Digest))
	received, _ := hub.bytes()
	g.Expect(received).To(BeZero(), "a second push sends nothing")
	two := push(`{"b":1}`)

	g.Expect(irene.Droplet(ctx, d.Checksum)).To(HaveField("Digest", one.Digest))
	g.Expect(irene.TagDroplet(ctx, two.Digest, two.SHA1, two.SHA256)).To(Succeed())
	g.Expect(irene.Droplet(ctx, d.Checksum)).To(HaveField("Digest", two.Digest))
	g.Expect(irene.Result(ctx, two.Result.Digest)).To(Equal([]byte(`{"b":1}`)))

	err = build.TagDroplet(ctx, one.Digest, one.SHA1, one.SHA256)
	g.Expect(err).To(MatchError(ContainSubstring("the tag names another manifest")), "a build can't")
	_, err = build.ImportStack(ctx, "cflinuxfs4", StackSource{Location: writeLayout(t, imageOf(t, "", layerOf(t, file("etc/passwd", debian))))})
	g.Expect(err).To(MatchError(ContainSubstring("the registry refuses Irene's credentials")))
}

func TestOtherRegistriesTakeNoCredentialsOfBuilds(t *testing.T) {
	g := NewWithT(t)
	hub := newHub(t)
	registry := registryOf(t, hub.options())
	g.Expect(registry.BuildRepository(context.Background())).To(BeEmpty())
	hub.obstruct = func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		return true
	}
	g.Expect(registry.BuildRepository(context.Background())).To(BeEmpty(), "the last answer counts")
	_, err := registryOf(t, hub.options()).BuildRepository(context.Background())
	g.Expect(err).To(MatchError(opi.ErrUnavailable))
}
