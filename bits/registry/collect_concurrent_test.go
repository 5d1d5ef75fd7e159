package registry

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/gomega"
)

// aging lets time pass only while no request is running. Within a request, what was
// found is thus as young as the minimum age demands; between two it may be too old.
type aging struct {
	sync.RWMutex
	requests http.RoundTripper
}

// RoundTrip ends with the header of the answer. Requests that write have done so by
// then.
func (a *aging) RoundTrip(request *http.Request) (*http.Response, error) {
	a.RLock()
	defer a.RUnlock()
	return a.requests.RoundTrip(request)
}

// TestCollectionsWhileClientsPush lets clients push, mount, delete and push again the
// same few layers, while one collection follows another and everything that was not
// found since the last one is too old. Pushes may fail then, because what a client has
// found is gone when it refers to it. One that succeeds must last.
func TestCollectionsWhileClientsPush(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	time := &aging{requests: remote.DefaultTransport}
	layers := make([]v1.Layer, 6)
	for i := range layers {
		layers[i] = randomLayer(t, 20_000, types.OCILayer)
	}

	var pushing sync.WaitGroup
	var failed atomic.Int64
	clients := make([]*client, 6)
	for i := range clients {
		clients[i] = &client{served: s, number: i, layers: layers, time: time, failed: &failed, holds: make(map[name.Tag]v1.Hash)}
		pushing.Go(clients[i].work)
	}
	done := make(chan struct{})
	go func() { pushing.Wait(); close(done) }()
	collections := 0
	for working := true; working; collections++ {
		select {
		case <-done:
			working = false
		default:
		}
		if collections%4 == 0 {
			time.Lock()
			s.clock.Step(long)
			time.Unlock()
		}
		s.collect()
	}

	held := 0
	for _, c := range clients {
		for tag, digest := range c.holds {
			held++
			s.expectComplete(tag, digest)
		}
	}
	removed := s.metric("irene_registry_gc_removed_total", "kind=blob")
	t.Logf("%d collections removed %.0f blobs; %d pushes failed; %d tags hold", collections, removed, failed.Load(), held)
	g.Expect(removed).To(BeNumerically(">", 10))
	g.Expect(held).To(BeNumerically(">", 0))
}

// expectComplete reads the manifest, those of an index, and all blobs.
func (s *served) expectComplete(reference name.Reference, wanted v1.Hash) {
	s.t.Helper()
	g := NewWithT(s.t)
	descriptor, err := remote.Get(reference, asPuller())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(descriptor.Digest).To(Equal(wanted))
	if descriptor.MediaType.IsIndex() {
		index, err := descriptor.ImageIndex()
		g.Expect(err).NotTo(HaveOccurred())
		manifest, err := index.IndexManifest()
		g.Expect(err).NotTo(HaveOccurred())
		for _, child := range manifest.Manifests {
			s.expectComplete(reference.Context().Digest(child.Digest.String()), child.Digest)
		}
		return
	}
	image, err := descriptor.Image()
	g.Expect(err).NotTo(HaveOccurred())
	s.expectReadable(image)
}

// client pushes to tags that are its own.
type client struct {
	*served
	number int
	layers []v1.Layer
	time   http.RoundTripper
	failed *atomic.Int64
	holds  map[name.Tag]v1.Hash
}

func (c *client) work() {
	random := rand.New(rand.NewPCG(1, uint64(c.number)))
	for range 25 {
		repository := fmt.Sprintf("cloudfoundry/app%d", random.IntN(3))
		tag := c.tag(repository, fmt.Sprintf("%d-%d", c.number, random.IntN(4)))
		if random.IntN(3) == 0 {
			if err := remote.Delete(tag, asPusher(), remote.WithTransport(c.time)); err != nil && c.holds[tag] != (v1.Hash{}) {
				c.t.Errorf("delete %s: %v", tag, err)
			}
			delete(c.holds, tag)
			continue
		}
		digest, err := c.pushSome(tag, random)
		switch {
		case err == nil:
			c.holds[tag] = digest
		case strings.Contains(err.Error(), "UNKNOWN"):
			c.failed.Add(1)
		default:
			c.t.Errorf("push %s: %v", tag, err)
		}
	}
}

// pushSome pushes an image of some of the layers, or an index of it.
func (c *client) pushSome(tag name.Tag, random *rand.Rand) (v1.Hash, error) {
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, i := range random.Perm(len(c.layers))[:2] {
		layer := c.layers[i]
		if random.IntN(2) == 0 {
			layer = &remote.MountableLayer{Layer: layer, Reference: c.tag(fmt.Sprintf("cloudfoundry/app%d", random.IntN(3)), "any")}
		}
		var err error
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			return v1.Hash{}, err
		}
	}
	options := []remote.Option{asPusher(), remote.WithTransport(c.time), remote.WithRetryBackoff(remote.Backoff{Steps: 1})}
	if random.IntN(4) > 0 {
		if err := remote.Write(tag, image, options...); err != nil {
			return v1.Hash{}, err
		}
		return image.Digest()
	}
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image})
	if err := remote.WriteIndex(tag, index, options...); err != nil {
		return v1.Hash{}, err
	}
	return index.Digest()
}
