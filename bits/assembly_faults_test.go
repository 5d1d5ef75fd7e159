package bits

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/platform"
)

var errKilled = errors.New("killed")

// dying lets the first n requests through. The next one fails, before or after it
// reached the registry, and so do all that follow, as if the process had been killed.
type dying struct {
	n     int32
	after bool
	sent  atomic.Int32
}

// RoundTrip implements http.RoundTripper.
func (d *dying) RoundTrip(request *http.Request) (*http.Response, error) {
	switch at := d.sent.Add(1); {
	case at <= d.n:
		return http.DefaultTransport.RoundTrip(request)
	case at == d.n+1 && d.after:
		response, err := http.DefaultTransport.RoundTrip(request)
		if err == nil {
			platform.Discard(response)
		}
	case request.Body != nil:
		_ = request.Body.Close()
	}
	return nil, &permanent{errKilled}
}

// wholeOrAbsent fails when a tag is there that doesn't mean what it should.
func wholeOrAbsent(c *cloud, want Assembled) {
	c.t.Helper()
	_, err := remote.Head(c.registry.host.name.Repo(want.Repository).Tag(want.Tag))
	if isNotFound(err) {
		return
	}
	check(c.t, err)
	c.pull(want)
}

// Whatever request is the last one of a process, no tag is ever seen that is wrong,
// and the next process finishes the work.
func TestKilledAtEveryRequest(t *testing.T) {
	d := dropletOf(t, "d", 2_000)
	reference := newCloud(t, withSource(holding(d.content, new(atomic.Int32))))
	want, err := reference.assemble(d)
	check(t, err)

	for name, work := range map[string]func(*cloud) error{
		"push and assemble": func(c *cloud) error {
			_, err := c.registry.PushDroplet(context.Background(), bytes.NewReader(d.content), DropletPush{Stack: "cflinuxfs4", Conversion: promised(d)})
			if err != nil {
				return err
			}
			_, err = c.assemble(d)
			return err
		},
		"fetch and assemble without mounts": func(c *cloud) error {
			c.hub.set(func() { c.hub.noMounts = true })
			_, err := c.assemble(d)
			return err
		},
	} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after %t", name, after), func(t *testing.T) {
				g := NewWithT(t)
				source := withSource(holding(d.content, new(atomic.Int32)))
				for n := int32(0); ; n++ {
					c := newCloud(t)
					death := &dying{n: n, after: after}
					c.options.network = death
					c.start(source)
					err := work(c)
					if err == nil {
						g.Expect(n).To(BeNumerically(">", 20), "every step was killed once")
						return
					}
					g.Expect(err).To(MatchError(ContainSubstring(errKilled.Error())))
					c.options.network = nil
					wholeOrAbsent(c, want)
					stored, err := registryOf(t, c.hub.options()).Droplet(context.Background(), d.Checksum)
					if err == nil {
						g.Expect(c.hub.blobs.Stat(context.Background(), prefix+"/droplets", stored.Layer.Digest)).To(Equal(stored.Layer.Size))
					}
					c.start(source)
					g.Expect(work(c)).To(Succeed(), "after being killed at request %d", n)
					got, err := c.assemble(d)
					g.Expect(err).NotTo(HaveOccurred())
					g.Expect(got).To(Equal(want))
					c.pull(got)
				}
			})
		}
	}
}

// The same with callers that leave: the work goes on without them.
func TestCancelledAtEveryRequest(t *testing.T) {
	d := dropletOf(t, "d", 2_000)
	for n := int32(0); ; n++ {
		c := newCloud(t, withSource(holding(d.content, new(atomic.Int32))))
		ctx, leave := context.WithCancel(context.Background())
		var seen atomic.Int32
		c.hub.set(func() {
			c.hub.obstruct = func(http.ResponseWriter, *http.Request) bool {
				if seen.Add(1) == n+1 {
					leave()
				}
				return false
			}
		})
		_, err := c.assembler.Assemble(ctx, AssemblyRequest{Droplet: d.Droplet})
		leave()
		g := NewWithT(t)
		if err == nil {
			g.Expect(seen.Load()).To(BeNumerically(">", 20))
			return
		}
		g.Expect(err).To(MatchError(context.Canceled))
		assembled, err := c.assemble(d)
		g.Expect(err).NotTo(HaveOccurred())
		c.pull(assembled)
	}
}

// A push that is cancelled leaves nothing that is wrong, and nothing running.
func TestPushCancelledAtEveryRequest(t *testing.T) {
	d := dropletOf(t, "d", 2_000)
	for n := int32(0); ; n++ {
		c := newCloud(t)
		ctx, cancel := context.WithCancel(context.Background())
		var seen atomic.Int32
		c.options.network = roundTripper(func(request *http.Request) (*http.Response, error) {
			if seen.Add(1) == n+1 {
				cancel()
			}
			return http.DefaultTransport.RoundTrip(request)
		})
		c.start()
		_, err := c.registry.PushDroplet(ctx, d.reader(), DropletPush{Conversion: promised(d)})
		cancel()
		g := NewWithT(t)
		if err == nil {
			g.Expect(seen.Load()).To(BeNumerically(">", 10))
			return
		}
		g.Expect(err).To(MatchError(context.Canceled))
		c.options.network = nil
		c.start()
		_, err = c.registry.PushDroplet(context.Background(), d.reader(), DropletPush{Conversion: promised(d)})
		g.Expect(err).NotTo(HaveOccurred())
		assembled, err := c.assemble(d)
		g.Expect(err).NotTo(HaveOccurred())
		c.pull(assembled)
	}
}
