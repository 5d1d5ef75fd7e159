package bits

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"code.cloudfoundry.org/lager/v3/lagertest"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

func TestStacksFollowTheRegistry(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	logs := lagertest.NewTestSink()
	logger := lager.NewLogger("test")
	logger.RegisterSink(logs)
	stacks, err := NewStacks(StacksOptions{Registry: c.registry, Lifecycle: c.lifecycle, Names: []string{"cflinuxfs4"}, Interval: time.Millisecond, Logger: logger})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(stacks.Default()).To(Equal("cflinuxfs4"))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- stacks.Run(ctx) }()
	current := func() Stack { return stacks.States()[0].Stack }
	g.Eventually(current).Should(Equal(Stack{"cflinuxfs4", c.stack, revisionOf(c.stack, c.lifecycle.Digest())}))
	one := current()
	c.importStack("two")
	g.Eventually(current).ShouldNot(Equal(one))
	two := current()
	g.Expect(two.Digest).To(Equal(c.stack))
	g.Expect(c.metric("irene_stack_info", two.Digest.String(), two.Revision, "cflinuxfs4")).To(Equal(1.0))

	c.hub.set(func() { c.hub.obstruct = failing(1<<30, 404, "", func(*http.Request) bool { return true }) })
	g.Eventually(func() error { return stacks.States()[0].Failure }).Should(failWith(opi.ErrUnavailable, "is not in the registry"))
	g.Expect(stacks.Current(context.Background(), "")).To(Equal(two), "the last known one goes on to be used")
	confirmed := stacks.States()[0].Confirmed
	g.Eventually(func() float64 { return c.metric("irene_stack_check_failures_total", "cflinuxfs4") }).Should(BeNumerically(">", 3))
	g.Expect(stacks.States()[0].Confirmed).To(Equal(confirmed))

	c.hub.set(func() { c.hub.obstruct = nil })
	g.Eventually(func() error { return stacks.States()[0].Failure }).Should(BeNil())
	stop()
	g.Eventually(ended).Should(Receive(BeNil()))
	failures := 0
	for _, log := range logs.Logs() {
		if strings.HasSuffix(log.Message, "check-stack") {
			failures++
		}
	}
	g.Expect(failures).To(Equal(1), "logged once")
}

func TestStacksOfManyPlatforms(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	options := c.options
	options.Platform = &linuxAMD64
	registry := registryOf(t, options)
	other := ownPlatform
	other.Architecture = "s390x"
	wanted := onPlatform(t, linuxAMD64, layerOf(t, file("etc/x", "wanted")))
	digest, err := wanted.Digest()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(remote.WriteIndex(registry.stack("many").Tag("latest"), indexOf(t, onPlatform(t, other, layerOf(t, file("etc/x", "x"))), wanted))).To(Succeed())
	g.Expect(registry.StackDigest(context.Background(), "many")).To(Equal(digest), "of an index, the image that counts")

	g.Expect(remote.WriteIndex(registry.stack("many").Tag("latest"), indexOf(t, onPlatform(t, other, layerOf(t, file("etc/x", "x")))))).To(Succeed())
	_, err = registry.StackDigest(context.Background(), "many")
	g.Expect(err).To(failWith(opi.ErrUnavailable, "no child with platform linux/amd64"))
}

func TestStacksOptions(t *testing.T) {
	g := NewWithT(t)
	for complaint, names := range map[string][]string{
		"at least one is needed":        nil,
		"can't be the name of a stack":  {"A"},
		"cflinuxfs4 is listed twice":    {"cflinuxfs4", "x", "cflinuxfs4"},
		`"" can't be the name of a sta`: {""},
	} {
		_, err := NewStacks(StacksOptions{Names: names})
		g.Expect(err).To(MatchError(ContainSubstring(complaint)))
	}
}

func TestInventory(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	var want []AppImage
	for _, guid := range []string{"a", "b"} {
		d := dropletOf(t, guid, 10)
		c.push(d, "")
		assembled, err := c.assemble(d)
		g.Expect(err).NotTo(HaveOccurred())
		want = append(want, AppImage{guid, d.Checksum.Value, assembled.Stack.Revision})
	}
	// What others have in the registry is none of ours.
	g.Expect(remote.Write(c.registry.host.name.Repo("elsewhere/c").Tag("x-y"), imageOf(t, "", layerOf(t, file("x", "x"))))).To(Succeed())
	var found []AppImage
	for image, err := range c.registry.AllAppImages(context.Background()) {
		g.Expect(err).NotTo(HaveOccurred())
		found = append(found, image)
	}
	g.Expect(found).To(ConsistOf(want))
	for range c.registry.AllAppImages(context.Background()) {
		break
	}
	g.Expect(c.registry.AppImages(context.Background(), "none")).To(BeEmpty())
	_, err := c.registry.AppImages(context.Background(), "A B")
	g.Expect(err).To(HaveOccurred())
	_, err = c.registry.StackImages(context.Background(), "none")
	g.Expect(err).To(MatchError(opi.ErrNotFound))
	_, err = c.registry.StackImages(context.Background(), "A")
	g.Expect(err).To(MatchError(ContainSubstring("can't be the name of a stack")))

	c.hub.set(func() {
		c.hub.obstruct = failing(1<<30, 401, "", func(request *http.Request) bool { return strings.HasSuffix(request.URL.Path, "_catalog") })
	})
	var failure error
	for _, failure = range c.registry.AllAppImages(context.Background()) {
	}
	g.Expect(failure).To(failWith(opi.ErrUnavailable, "read the registry's catalog"))
}
