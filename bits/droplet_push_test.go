package bits

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/bits/droplet"
	"github.com/irene-cf/irene/opi"
)

func promised(d testDroplet) droplet.Options {
	return droplet.Options{Expect: []opi.Checksum{d.Checksum}}
}

func TestPushDroplet(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	d := dropletOf(t, "d", 300_000)
	result := []byte(`{"processes":[{"type":"web","command":"./run"}]}`)
	stored, err := c.registry.PushDroplet(context.Background(), d.reader(), DropletPush{Stack: "cflinuxfs4", Result: result, Conversion: promised(d)})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(stored.SHA1).To(Equal(d.Checksum.Value))
	g.Expect(stored.SHA256).To(Equal(d.sha256))
	g.Expect(c.hub.count("PATCH")).To(Equal(2), "layer and result")

	for _, checksum := range []opi.Checksum{d.Checksum, {Algorithm: "sha256", Value: d.sha256}} {
		read, err := c.registry.Droplet(context.Background(), checksum)
		g.Expect(err).NotTo(HaveOccurred())
		read.Layer.Annotations = nil
		g.Expect(read).To(Equal(stored))
	}
	g.Expect(c.registry.Result(context.Background(), stored.Result.Digest)).To(Equal(result))

	manifest, found := manifestAt(t, c.hub, prefix+"/droplets:"+d.Checksum.Value)
	g.Expect(found).To(BeTrue())
	g.Expect(manifest).To(HaveKeyWithValue("artifactType", "application/vnd.irene.cloudfoundry.droplet.v1+json"))
	g.Expect(manifest["annotations"]).To(HaveKeyWithValue("irene.cloudfoundry.org/stack", "cflinuxfs4"))
	g.Expect(manifest["config"]).To(HaveKeyWithValue("mediaType", "application/vnd.irene.cloudfoundry.staging-result.v1+json"))
}

func TestASecondPushSendsNothing(t *testing.T) {
	for how, push := range map[string]func(*Registry, testDroplet) (StoredDroplet, error){
		"promised": func(r *Registry, d testDroplet) (StoredDroplet, error) {
			return r.PushDroplet(context.Background(), iotest.ErrReader(errors.New("must not be read")), DropletPush{Stack: "s", Conversion: promised(d)})
		},
		"promised sha256": func(r *Registry, d testDroplet) (StoredDroplet, error) {
			return r.PushDroplet(context.Background(), iotest.ErrReader(errors.New("must not be read")), DropletPush{Stack: "s",
				Conversion: droplet.Options{Expect: []opi.Checksum{{Algorithm: "sha256", Value: strings.ToUpper(d.sha256)}}}})
		},
		"read twice": func(r *Registry, d testDroplet) (StoredDroplet, error) {
			return r.PushDroplet(context.Background(), bytes.NewReader(d.content), DropletPush{Stack: "s"})
		},
	} {
		t.Run(how, func(t *testing.T) {
			g := NewWithT(t)
			c := newCloud(t)
			d := dropletOf(t, "d", 100_000)
			stored, err := c.registry.PushDroplet(context.Background(), d.reader(), DropletPush{Stack: "s", Result: []byte("{}")})
			g.Expect(err).NotTo(HaveOccurred())
			c.hub.forget()
			again, err := push(c.registry, d)
			g.Expect(err).NotTo(HaveOccurred())
			again.Layer.Annotations = nil
			g.Expect(again).To(Equal(stored))
			received, _ := c.hub.bytes()
			g.Expect(received).To(BeZero())
			g.Expect(c.hub.seen()).To(HaveLen(4), "one manifest, whether its layer is there, and two tags")
		})
	}
}

func TestAPushAfterAnotherBuild(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	d := dropletOf(t, "d", 100_000)
	push := func(p DropletPush) StoredDroplet {
		p.Conversion = promised(d)
		_, err := c.registry.PushDroplet(context.Background(), d.reader(), p)
		g.Expect(err).NotTo(HaveOccurred())
		stored, err := c.registry.Droplet(context.Background(), d.Checksum)
		g.Expect(err).NotTo(HaveOccurred())
		return stored
	}
	push(DropletPush{Stack: "one", Result: []byte(`{"a":1}`)})
	c.hub.forget()
	two := push(DropletPush{Stack: "two", Result: []byte(`{"b":1}`)})
	g.Expect(two.Stack).To(Equal("two"))
	g.Expect(c.registry.Result(context.Background(), two.Result.Digest)).To(Equal([]byte(`{"b":1}`)))
	g.Expect(c.hub.count("PATCH")).To(Equal(1), "the result alone is new")

	g.Expect(push(DropletPush{})).To(Equal(two), "what is not known stays")
	c.hub.forget()
	g.Expect(push(DropletPush{Renew: true})).To(Equal(two), "and so does it when the layer is sent again")
	g.Expect(c.hub.count("PATCH")).To(Equal(1), "the layer")

	c.hub.blobs.lose(prefix + "/droplets@")
	renewed := push(DropletPush{Renew: true})
	g.Expect(renewed.Stack).To(Equal("two"))
	g.Expect(c.registry.Result(context.Background(), renewed.Result.Digest)).To(Equal([]byte(`{}`)), "what is lost is lost")
}

// A build leaves tags as they are that exist already; Irene moves them when the build has
// succeeded.
func TestABuildMovesNoTags(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	d := dropletOf(t, "d", 100_000)
	push := func(p DropletPush) StoredDroplet {
		p.Conversion = promised(d)
		stored, err := c.registry.PushDroplet(context.Background(), bytes.NewReader(d.content), p)
		g.Expect(err).NotTo(HaveOccurred())
		return stored
	}
	tagged := func() StoredDroplet {
		found, err := c.registry.Droplet(context.Background(), d.Checksum)
		g.Expect(err).NotTo(HaveOccurred())
		return found
	}
	one := push(DropletPush{Stack: "one", Result: []byte(`{"a":1}`), AsBuild: true})
	g.Expect(tagged().Digest).To(Equal(one.Digest), "a tag that there is not yet it sets")
	c.hub.forget()
	g.Expect(push(DropletPush{Stack: "one", Result: []byte(`{"a":1}`), AsBuild: true}).Digest).To(Equal(one.Digest))
	received, _ := c.hub.bytes()
	g.Expect(received).To(BeZero(), "a second push sends nothing")

	two := push(DropletPush{Stack: "two", Result: []byte(`{"b":1}`), AsBuild: true})
	g.Expect(two.Digest).NotTo(Equal(one.Digest))
	g.Expect(tagged().Digest).To(Equal(one.Digest))
	for range 2 {
		g.Expect(c.registry.TagDroplet(context.Background(), two.Digest, two.SHA1, two.SHA256)).To(Succeed())
		g.Expect(tagged()).To(And(HaveField("Digest", two.Digest), HaveField("Stack", "two")))
	}
	g.Expect(c.registry.Result(context.Background(), two.Result.Digest)).To(Equal([]byte(`{"b":1}`)))

	g.Expect(c.registry.TagDroplet(context.Background(), two.Digest, two.SHA1, strings.Repeat("0", 64))).To(MatchError(opi.ErrRefused))
	g.Expect(c.registry.TagDroplet(context.Background(), two.Layer.Digest, two.SHA1, two.SHA256)).To(MatchError(opi.ErrNotFound))
}

// Another build may have put something else under the tags of a droplet that it guessed.
func TestABuildTrustsNoTags(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	mine, hostile := dropletOf(t, "mine", 1000), dropletOf(t, "hostile", 1000)
	forged, err := c.registry.PushDroplet(context.Background(), hostile.reader(), DropletPush{Stack: "s"})
	g.Expect(err).NotTo(HaveOccurred())
	forged.SHA1, forged.SHA256 = mine.Checksum.Value, mine.sha256
	manifest, err := forged.manifest()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.registry.storeManifest(context.Background(), forged, manifest, nil, true)).To(Succeed())

	stored, err := c.registry.PushDroplet(context.Background(), bytes.NewReader(mine.content), DropletPush{Stack: "s", Conversion: promised(mine), AsBuild: true})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(stored.Layer.Digest).NotTo(Equal(forged.Layer.Digest))
	g.Expect(c.registry.TagDroplet(context.Background(), stored.Digest, stored.SHA1, stored.SHA256)).To(Succeed())
	found, err := c.registry.Droplet(context.Background(), mine.Checksum)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found.Layer.Digest).To(Equal(stored.Layer.Digest))
}

func TestAPushBringsBackALostLayer(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	d := dropletOf(t, "d", 1000)
	stored := c.push(d, "")
	c.hub.blobs.lose(prefix + "/droplets@" + stored.Layer.Digest.String())
	_, err := c.registry.PushDroplet(context.Background(), d.reader(), DropletPush{Conversion: promised(d)})
	g.Expect(err).NotTo(HaveOccurred())
	assembled, err := c.assemble(d)
	g.Expect(err).NotTo(HaveOccurred())
	c.pull(assembled)
}

// A killed process may have left one tag of two.
func TestAPushAddsWhatIsMissing(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	d := dropletOf(t, "d", 1000)
	c.push(d, "s")
	repository := c.registry.droplets()
	g.Expect(remote.Delete(repository.Tag(d.Checksum.Value))).To(Succeed())
	_, err := c.registry.PushDroplet(context.Background(), d.reader(), DropletPush{Stack: "s", Conversion: droplet.Options{Expect: []opi.Checksum{{Algorithm: "sha256", Value: d.sha256}}}})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.hub.count("PUT cloudfoundry/droplets:")).To(Equal(1))
	_, err = c.registry.Droplet(context.Background(), d.Checksum)
	g.Expect(err).NotTo(HaveOccurred())
}

func TestPushIsSentWhileItIsRead(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	d := dropletOf(t, "d", 8<<20)
	arrived := make(chan struct{})
	var once sync.Once
	c.hub.set(func() {
		c.hub.obstruct = func(_ http.ResponseWriter, request *http.Request) bool {
			if request.Method == http.MethodPatch && request.ContentLength < 0 {
				first := make([]byte, 1000)
				_, _ = io.ReadFull(request.Body, first)
				once.Do(func() { close(arrived) })
				request.Body = struct {
					io.Reader
					io.Closer
				}{io.MultiReader(bytes.NewReader(first), request.Body), request.Body}
			}
			return false
		}
	})
	reader, writer := io.Pipe()
	go func() {
		_, _ = writer.Write(d.content[:7<<20])
		<-arrived
		_, err := writer.Write(d.content[7<<20:])
		_ = writer.CloseWithError(err)
	}()
	_, err := c.registry.PushDroplet(context.Background(), reader, DropletPush{Conversion: promised(d)})
	g.Expect(err).NotTo(HaveOccurred())
}

func TestBrokenDropletsAreRefused(t *testing.T) {
	good := dropletOf(t, "d", 100_000)
	for name, example := range map[string]struct {
		content  []byte
		push     DropletPush
		complain string
	}{
		"another":        {dropletOf(t, "other", 10).content, DropletPush{Conversion: promised(good)}, "was promised"},
		"cut off":        {good.content[:50_000], DropletPush{Conversion: promised(good)}, "was promised"},
		"no archive":     {[]byte("x"), DropletPush{}, "the droplet"},
		"too large":      {good.content, DropletPush{Conversion: droplet.Options{MaxUncompressedBytes: 1000}}, "more than 1000 bytes"},
		"no checksum":    {good.content, DropletPush{Conversion: droplet.Options{Expect: []opi.Checksum{{Algorithm: "sha1", Value: "d_haash"}}}}, "hex digits"},
		"wrong stack":    {good.content, DropletPush{Stack: "A/B"}, "can't be the name of a stack"},
		"no JSON result": {good.content, DropletPush{Result: []byte("[1]")}, "no JSON object"},
		"huge result":    {good.content, DropletPush{Result: make([]byte, MaxResultBytes+1)}, "more than 1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			c := newCloud(t)
			_, err := c.registry.PushDroplet(context.Background(), bytes.NewReader(example.content), example.push)
			g.Expect(err).To(failWith(opi.ErrRefused, example.complain))
			g.Expect(c.hub.count("PUT")).To(BeZero(), "no tag, and no blob was completed")
		})
	}
}

// refusing answers PATCH requests of unknown size with status, after some bytes if
// careless.
func refusing(status int, careless bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, request *http.Request) bool {
		if request.Method != http.MethodPatch || request.ContentLength >= 0 {
			return false
		}
		if careless {
			_, _ = io.ReadFull(request.Body, make([]byte, 10_000))
		}
		w.WriteHeader(status)
		return true
	}
}

func TestRegistriesThatTakeNoStreams(t *testing.T) {
	for name, status := range map[string]int{"length required": 411, "not implemented": 501, "bad request": 400} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			c := newCloud(t)
			c.options.SpoolDir = t.TempDir()
			c.start()
			c.hub.set(func() { c.hub.obstruct = refusing(status, false) })
			for _, guid := range []string{"one", "two"} {
				c.hub.forget()
				d := dropletOf(t, guid, 300_000)
				_, err := c.registry.PushDroplet(context.Background(), d.reader(), DropletPush{})
				g.Expect(err).NotTo(HaveOccurred())
				assembled, err := c.assemble(d)
				g.Expect(err).NotTo(HaveOccurred())
				c.pull(assembled)
			}
			g.Expect(c.hub.count("PATCH cloudfoundry/droplets")).To(Equal(1), "the second time nothing was tried in vain")
			left, err := os.ReadDir(c.options.SpoolDir)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(left).To(BeEmpty())
		})
	}
	t.Run("after some bytes", func(t *testing.T) {
		g := NewWithT(t)
		c := newCloud(t)
		c.hub.set(func() { c.hub.obstruct = refusing(411, true) })
		// Few enough for net/http to read what its handler left. Of more it resets the
		// connection, and then the answer may be lost on its way.
		d := dropletOf(t, "d", 100_000)
		_, err := c.registry.PushDroplet(context.Background(), d.reader(), DropletPush{})
		g.Expect(err).To(failWith(opi.ErrUnavailable, "wants to know a blob's size"))
		_, err = c.registry.PushDroplet(context.Background(), d.reader(), DropletPush{})
		g.Expect(err).NotTo(HaveOccurred(), "it was learnt")

		c.start()
		d = dropletOf(t, "e", 300_000)
		_, err = c.registry.PushDroplet(context.Background(), bytes.NewReader(d.content), DropletPush{})
		g.Expect(err).NotTo(HaveOccurred(), "what can be read again is")
	})
	t.Run("without room for a file", func(t *testing.T) {
		g := NewWithT(t)
		c := newCloud(t)
		c.options.SpoolDir = "/nowhere"
		c.start()
		c.hub.set(func() { c.hub.obstruct = refusing(411, false) })
		_, err := c.registry.PushDroplet(context.Background(), dropletOf(t, "d", 1000).reader(), DropletPush{})
		g.Expect(err).To(failWith(opi.ErrUnavailable, "keep the droplet's layer: open /nowhere"))
	})
}

func TestBrokenConnections(t *testing.T) {
	cut := func(n int32) func(http.ResponseWriter, *http.Request) bool {
		var left atomic.Int32
		left.Store(n)
		return func(_ http.ResponseWriter, request *http.Request) bool {
			if request.Method == http.MethodPatch && left.Add(-1) >= 0 {
				_, _ = io.ReadFull(request.Body, make([]byte, 100_000))
				panic(http.ErrAbortHandler)
			}
			return false
		}
	}
	g := NewWithT(t)
	c := newCloud(t)
	d := dropletOf(t, "d", 1<<20)
	c.hub.set(func() { c.hub.obstruct = cut(2) })
	stored, err := c.registry.PushDroplet(context.Background(), bytes.NewReader(d.content), DropletPush{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(stored.SHA1).To(Equal(d.Checksum.Value))

	c = newCloud(t)
	c.hub.set(func() { c.hub.obstruct = cut(1) })
	_, err = c.registry.PushDroplet(context.Background(), d.reader(), DropletPush{})
	g.Expect(err).To(MatchError(opi.ErrUnavailable))
	_, err = c.registry.Droplet(context.Background(), d.Checksum)
	g.Expect(err).To(MatchError(opi.ErrNotFound))
	_, err = c.registry.PushDroplet(context.Background(), d.reader(), DropletPush{})
	g.Expect(err).NotTo(HaveOccurred())
}

// The answer to the last request of an upload gets lost.
func TestLostAnswers(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	var lost atomic.Int32
	c.options.network = roundTripper(func(request *http.Request) (*http.Response, error) {
		response, err := http.DefaultTransport.RoundTrip(request)
		if err == nil && request.Method == http.MethodPut && strings.Contains(request.URL.Path, "/uploads/") && lost.Add(1) == 1 {
			return nil, errors.Join(io.ErrUnexpectedEOF, response.Body.Close())
		}
		return response, err
	})
	c.start()
	d := dropletOf(t, "d", 100_000)
	_, err := c.registry.PushDroplet(context.Background(), d.reader(), DropletPush{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.hub.count("PATCH")).To(Equal(2), "layer and result, once each")

	lost.Store(0)
	c.hub.forget()
	assembled, err := c.assemble(d)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.hub.count("PATCH cloudfoundry/lifecycle")+c.hub.count("PATCH cloudfoundry/d/")).To(Equal(3), "nothing twice")
	c.pull(assembled)
}

func TestACancelledPushEnds(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	ctx, cancel := context.WithCancel(context.Background())
	c.hub.set(func() {
		c.hub.obstruct = func(_ http.ResponseWriter, request *http.Request) bool {
			if request.Method == http.MethodPatch {
				_, _ = io.ReadFull(request.Body, make([]byte, 100))
				cancel()
				_, _ = io.Copy(io.Discard, request.Body)
			}
			return request.Method == http.MethodPatch
		}
	})
	_, err := c.registry.PushDroplet(ctx, dropletOf(t, "d", 1<<20).reader(), DropletPush{})
	g.Expect(err).To(MatchError(context.Canceled))
	g.Expect(c.hub.count("PUT")).To(BeZero())
}

func TestReadingWhatIsNotThere(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	_, err := c.registry.Droplet(context.Background(), opi.Checksum{Value: "none"})
	g.Expect(err).To(MatchError(opi.ErrNotFound))
	_, err = c.registry.Droplet(context.Background(), opi.Checksum{Value: "a b"})
	g.Expect(err).To(HaveOccurred())
	_, err = c.registry.Result(context.Background(), v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)})
	g.Expect(err).To(MatchError(opi.ErrNotFound))
}

func TestForeignManifestsAreNoDroplets(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	d := dropletOf(t, "d", 10)
	stored := c.push(d, "s")
	put := func(change func(*StoredDroplet)) error {
		wrong := stored
		change(&wrong)
		manifest, err := wrong.manifest()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(remote.Put(c.registry.droplets().Tag("other"), manifest)).To(Succeed())
		_, err = c.registry.Droplet(context.Background(), opi.Checksum{Value: "other"})
		return err
	}
	g.Expect(put(func(*StoredDroplet) {})).To(failWith(opi.ErrUnavailable, "it is of another droplet"))
	g.Expect(put(func(d *StoredDroplet) { d.DiffID = v1.Hash{} })).To(failWith(opi.ErrUnavailable, "diff-id"))
	g.Expect(put(func(d *StoredDroplet) { d.Stack = "../x" })).To(failWith(opi.ErrUnavailable, "can't be the name of a stack"))
	g.Expect(put(func(d *StoredDroplet) { d.Layer.MediaType = "text/plain" })).To(failWith(opi.ErrUnavailable, "no file system"))
	g.Expect(remote.Write(c.registry.droplets().Tag("other"), imageOf(t, "", layerOf(t, file("x", "x"))))).To(Succeed())
	_, err := c.registry.Droplet(context.Background(), opi.Checksum{Value: "other"})
	g.Expect(err).To(failWith(opi.ErrUnavailable, "it is no droplet"))
}
