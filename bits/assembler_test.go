package bits

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"

	"github.com/irene-cf/irene/opi"
)

func TestAssemblyOfANewDropletMovesNoLayer(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	for _, guid := range []string{"warm-up", "droplet"} {
		d := dropletOf(t, guid, 2<<20)
		c.push(d, "")
		assembled, err := c.assemble(d)
		g.Expect(err).NotTo(HaveOccurred())
		tag := d.Checksum.Value + "-" + revisionOf(c.stack, c.lifecycle.Digest())
		if guid == "droplet" {
			repository := "cloudfoundry/droplet"
			blob, mount := "HEAD "+repository+"/blobs", "POST "+repository+"/uploads?mount"
			g.Expect(c.hub.seen()).To(Equal([]string{
				"GET cloudfoundry/droplets:" + d.Checksum.Value,
				blob, blob, blob, blob, blob,
				"HEAD " + repository + ":" + tag,
				"PATCH " + repository + "/uploads", // the config
				"POST " + repository + "/uploads",
				mount, mount, mount, mount,
				"PUT " + repository + "/uploads",
				"PUT " + repository + ":" + tag,
			}))
			received, sent := c.hub.bytes()
			g.Expect(received).To(BeNumerically("<", 5000), "config and manifest")
			g.Expect(sent).To(BeNumerically("<", 2000), "the droplet's manifest")
		}
		g.Expect(assembled).To(Equal(Assembled{
			Repository: "cloudfoundry/" + guid, Tag: tag, Digest: assembled.Digest,
			Stack: Stack{Name: "cflinuxfs4", Digest: c.stack, Revision: revisionOf(c.stack, c.lifecycle.Digest())},
		}))
		config, err := c.pull(assembled).ConfigFile()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(config.Config.User).To(Equal("2000:2000"))
	}
}

func TestAnImageThatIsThereCostsOneRequest(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	d := dropletOf(t, "d", 1000)
	c.push(d, "")
	first, err := c.assemble(d)
	g.Expect(err).NotTo(HaveOccurred())

	c.hub.forget()
	g.Expect(c.assemble(d)).To(Equal(first))
	g.Expect(c.hub.seen()).To(BeEmpty())

	c.start() // nothing is remembered
	_, err = c.stacks.Current(context.Background(), "")
	g.Expect(err).NotTo(HaveOccurred())
	c.hub.forget()
	named := AssemblyRequest{Droplet: d.Droplet, Stack: "cflinuxfs4"}
	g.Expect(c.assembler.Assemble(context.Background(), named)).To(Equal(first))
	g.Expect(c.hub.seen()).To(Equal([]string{"HEAD cloudfoundry/d:" + first.Tag}))
	// Without a stack's name the droplet is asked for it.
	c.hub.forget()
	g.Expect(c.assemble(d)).To(Equal(first))
	g.Expect(c.hub.seen()).To(Equal([]string{"GET cloudfoundry/droplets:" + d.Checksum.Value, "HEAD cloudfoundry/d:" + first.Tag}))
}

// A droplet without a guid is found by its checksum, and its image has the app's guid for a
// name.
func TestDropletsWithoutGUID(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	d := dropletOf(t, "d", 1000)
	c.push(d, "")
	droplet := opi.Droplet{Checksum: opi.Checksum{Algorithm: "sha1", Value: d.Checksum.Value}}
	assembled, err := c.assembler.Assemble(context.Background(), AssemblyRequest{Droplet: droplet, AppGUID: "app"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(assembled.Repository).To(Equal("cloudfoundry/app"))
	c.pull(assembled)
	_, err = c.assembler.Assemble(context.Background(), AssemblyRequest{Droplet: droplet})
	g.Expect(err).To(MatchError(opi.ErrRefused))
	_, err = c.assembler.Assemble(context.Background(), AssemblyRequest{Droplet: droplet, AppGUID: "droplets"})
	g.Expect(err).To(MatchError(opi.ErrRefused))
}

func TestRegistriesWithoutMounts(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	c.hub.set(func() { c.hub.noMounts = true })
	d := dropletOf(t, "d", 200_000)
	c.push(d, "")
	assembled, err := c.assemble(d)
	g.Expect(err).NotTo(HaveOccurred())
	c.pull(assembled)
	g.Expect(c.metric("irene_registry_blobs_total", "copied")).To(Equal(3.0))
	g.Expect(c.metric("irene_registry_blobs_total", "mounted")).To(Equal(0.0))
}

func TestConcurrentCallersShareTheWork(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	d := dropletOf(t, "d", 1000)
	c.push(d, "")
	gate := make(chan struct{})
	c.hub.set(func() {
		c.hub.obstruct = func(_ http.ResponseWriter, request *http.Request) bool {
			if strings.Contains(request.URL.Path, "/d/manifests/") {
				<-gate
			}
			return false
		}
	})
	impatient, leave := context.WithCancel(context.Background())
	left := make(chan error, 1)
	go func() {
		_, err := c.assembler.Assemble(impatient, AssemblyRequest{Droplet: d.Droplet})
		left <- err
	}()
	g.Eventually(func() int { return c.hub.count("HEAD cloudfoundry/d:") }).Should(Equal(1))
	var others sync.WaitGroup
	results := make(chan Assembled, 50)
	for range cap(results) {
		others.Go(func() {
			assembled, err := c.assembler.Assemble(context.Background(), AssemblyRequest{Droplet: d.Droplet})
			if err == nil {
				results <- assembled
			}
		})
	}
	g.Eventually(func() int {
		c.assembler.mu.Lock()
		defer c.assembler.mu.Unlock()
		for _, f := range c.assembler.underWay {
			return f.waiting
		}
		return 0
	}).Should(Equal(51))
	leave()
	g.Eventually(left).Should(Receive(And(
		failWith(opi.ErrUnavailable, "it goes on in the background, at present with asking the registry"),
		WithTransform(opi.Message, Equal("the app's image is not ready yet; the platform is still asking the registry")))))
	close(gate)
	others.Wait()
	close(results)
	g.Expect(results).To(HaveLen(50))
	g.Expect(c.hub.count("PUT cloudfoundry/d:")).To(Equal(1))
	g.Expect(c.hub.count("HEAD cloudfoundry/d:")).To(Equal(1))
	_, failed := c.assembler.LastFailure(d.Droplet)
	g.Expect(failed).To(BeFalse())
}

func TestSlowWorkIsFoundDoneByTheNextCall(t *testing.T) {
	g := NewWithT(t)
	gate := make(chan struct{})
	d := dropletOf(t, "d", 100_000)
	c := newCloud(t, func(_ *cloud, o *AssemblerOptions) {
		o.Patience = 30 * time.Millisecond
		o.Source = sourceFunc(func(context.Context) (io.ReadCloser, error) {
			<-gate
			return io.NopCloser(d.reader()), nil
		})
	})
	g.Eventually(func() error { _, err := c.assemble(d); return err }).Should(failWith(opi.ErrUnavailable, "fetching the droplet"))
	_, failed := c.assembler.LastFailure(d.Droplet)
	g.Expect(failed).To(BeFalse(), "that it takes long is no failure")
	close(gate)
	g.Eventually(func() error { _, err := c.assemble(d); return err }).Should(Succeed())
	g.Expect(c.metric("irene_droplet_fetches_total", "fetched")).To(Equal(1.0))
}

// sourceFunc is a DropletSource that is a function.
type sourceFunc func(context.Context) (io.ReadCloser, error)

// Open implements DropletSource.
func (f sourceFunc) Open(ctx context.Context, _ opi.Droplet, _ string) (io.ReadCloser, error) {
	return f(ctx)
}

// holding is a source that counts how often it was asked for a content.
func holding(content []byte, asked *atomic.Int32) DropletSource {
	return sourceFunc(func(context.Context) (io.ReadCloser, error) {
		asked.Add(1)
		return io.NopCloser(bytes.NewReader(content)), nil
	})
}

func TestMissingDropletsAreFetched(t *testing.T) {
	for _, algorithm := range []string{"sha1", "sha256"} {
		t.Run(algorithm, func(t *testing.T) {
			g := NewWithT(t)
			d := dropletOf(t, "d", 200_000)
			if algorithm == "sha256" {
				d.Checksum = opi.Checksum{Algorithm: "sha256", Value: d.sha256}
			}
			var asked atomic.Int32
			c := newCloud(t, withSource(holding(d.content, &asked)))
			assembled, err := c.assemble(d)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(assembled.Tag).To(HavePrefix(d.Checksum.Value + "-"))
			c.pull(assembled)
			g.Expect(c.metric("irene_droplet_fetch_bytes_total")).To(Equal(float64(len(d.content))))

			c.start(withSource(holding(d.content, &asked)))
			other := d
			other.GUID = "same-bytes"
			_, err = c.assemble(other)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(asked.Load()).To(Equal(int32(1)), "the droplet is in the registry now")
		})
	}
}

func TestRefusals(t *testing.T) {
	d := dropletOf(t, "d", 1000)
	var asked atomic.Int32
	var archive bytes.Buffer
	archive.WriteString("no archive")
	broken := dropletOfContent("broken", archive.Bytes())
	unverifiable := d
	unverifiable.Checksum.Value = "d_haash"
	for name, example := range map[string]struct {
		droplet testDroplet
		source  DropletSource
		stack   string
		reason  string
		// fetches is how often the source is asked by two calls.
		fetches int32
	}{
		"no source":     {droplet: d, reason: "stage the app again"},
		"other content": {droplet: d, source: holding(dropletOf(t, "x", 1000).content, &asked), reason: "was promised", fetches: 1},
		"broken":        {droplet: broken, source: holding(broken.content, &asked), reason: "the droplet", fetches: 1},
		"no such droplet": {droplet: d, source: sourceFunc(func(context.Context) (io.ReadCloser, error) {
			asked.Add(1)
			return nil, fmt.Errorf("%w: none", opi.ErrRefused)
		}), reason: "none", fetches: 2},
		"unknown stack":    {droplet: d, stack: "windows", reason: `there is no stack "windows" on this platform, only cflinuxfs4, other`},
		"strange checksum": {droplet: unverifiable, source: holding(d.content, &asked), reason: `"d_haash" is not a sha1`, fetches: 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			c := newCloud(t, withSource(example.source))
			asked.Store(0)
			request := AssemblyRequest{Droplet: example.droplet.Droplet, Stack: example.stack}
			for range 2 {
				_, err := c.assembler.Assemble(context.Background(), request)
				g.Expect(err).To(failWith(opi.ErrRefused, example.reason))
				g.Expect(err).NotTo(MatchError(opi.ErrUnavailable))
				g.Expect(opi.Message(err)).NotTo(Or(ContainSubstring("assemble the image"), ContainSubstring(opi.ErrRefused.Error())))
			}
			g.Expect(asked.Load()).To(Equal(example.fetches), "a refusal that cost a download holds for a while")
			failure, known := c.assembler.LastFailure(example.droplet.Droplet)
			g.Expect(known).To(BeTrue())
			g.Expect(failure.Refused).To(BeTrue())
			g.Expect(failure.Reason).To(ContainSubstring(example.reason))
			g.Expect(failure.At).To(BeTemporally("~", time.Now(), time.Minute))
			g.Expect(c.hub.count("PUT cloudfoundry/" + example.droplet.GUID)).To(BeZero())
		})
	}
	t.Run("of one stack", func(t *testing.T) {
		g := NewWithT(t)
		c := newCloud(t)
		c.push(d, "")
		_, err := c.assembler.Assemble(context.Background(), AssemblyRequest{Droplet: d.Droplet, Stack: "windows"})
		g.Expect(err).To(MatchError(opi.ErrRefused))
		_, err = c.assemble(d)
		g.Expect(err).NotTo(HaveOccurred(), "says nothing of another")
	})
	g := NewWithT(t)
	c := newCloud(t)
	for guid, reason := range map[string]string{"droplets": "repository of Irene's own", "stacks": "Irene's own", "lifecycle": "Irene's own", "A": "can't be part of an image name"} {
		wrong := d
		wrong.GUID = guid
		_, err := c.assemble(wrong)
		g.Expect(err).To(failWith(opi.ErrRefused, reason))
	}
	g.Expect(c.hub.seen()).To(BeEmpty())
}

func TestWhatIsUnavailableIsTriedAgain(t *testing.T) {
	g := NewWithT(t)
	d := dropletOf(t, "d", 1000)
	var asked atomic.Int32
	c := newCloud(t, withSource(sourceFunc(func(context.Context) (io.ReadCloser, error) {
		if asked.Add(1) == 1 {
			return nil, errors.New(strings.Repeat("the blobstore sleeps ", 100))
		}
		return io.NopCloser(d.reader()), nil
	})))
	_, err := c.assemble(d)
	g.Expect(err).To(failWith(opi.ErrUnavailable, "the blobstore sleeps"))
	g.Expect(opi.Message(err)).To(Equal("the platform can't get the app's image ready at present; it goes on trying"))
	failure, known := c.assembler.LastFailure(d.Droplet)
	g.Expect(known).To(BeTrue())
	g.Expect(failure.Refused).To(BeFalse())
	g.Expect(len(failure.Reason)).To(BeNumerically("<=", maxReasonBytes))
	_, err = c.assemble(d)
	g.Expect(err).NotTo(HaveOccurred())
	_, known = c.assembler.LastFailure(d.Droplet)
	g.Expect(known).To(BeFalse())
}

func TestStacksThatDropletsName(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	d := dropletOf(t, "d", 1000)
	c.push(d, "other")
	_, err := c.assemble(d)
	g.Expect(err).To(failWith(opi.ErrUnavailable, "stack other is not in the registry"))

	path := writeLayout(t, imageOf(t, "", layerOf(t, file("etc/x", "other stack"))))
	_, err = c.registry.ImportStack(context.Background(), "other", StackSource{Location: path})
	g.Expect(err).NotTo(HaveOccurred())
	assembled, err := c.assemble(d)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(assembled.Stack.Name).To(Equal("other"))

	elsewhere, err := c.assembler.Assemble(context.Background(), AssemblyRequest{Droplet: d.Droplet, Stack: "cflinuxfs4"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(elsewhere.Stack.Name).To(Equal("cflinuxfs4"), "who asks for a stack gets it")
	g.Expect(elsewhere.Tag).NotTo(Equal(assembled.Tag))
}

func TestANewStackMakesNewImages(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	d := dropletOf(t, "d", 1000)
	c.push(d, "")
	old, err := c.assemble(d)
	g.Expect(err).NotTo(HaveOccurred())
	c.importStack("two")
	g.Expect(c.assemble(d)).To(Equal(old), "until the new digest is seen")
	_, err = c.stacks.Refresh(context.Background(), "cflinuxfs4")
	g.Expect(err).NotTo(HaveOccurred())
	fresh, err := c.assemble(d)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(fresh.Stack.Revision).NotTo(Equal(old.Stack.Revision))
	c.pull(old)
	c.pull(fresh)
	g.Expect(c.registry.AppImages(context.Background(), "d")).To(ConsistOf(
		AppImage{"d", d.Checksum.Value, old.Stack.Revision}, AppImage{"d", d.Checksum.Value, fresh.Stack.Revision}))
}

func TestDeletedStacks(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	d := dropletOf(t, "d", 1000)
	c.push(d, "")
	_, err := c.stacks.Current(context.Background(), "")
	g.Expect(err).NotTo(HaveOccurred())
	gone := c.stack
	g.Expect(remote.Delete(c.registry.stack("cflinuxfs4").Digest(gone.String()))).To(Succeed())
	_, err = c.assemble(d)
	g.Expect(err).To(failWith(opi.ErrUnavailable, "the stack's image is gone from the registry"))
	g.Expect(err).To(MatchError(ContainSubstring("until the stack is imported again")))

	c.importStack("two")
	fresh, err := c.assemble(d)
	g.Expect(err).NotTo(HaveOccurred(), "what came instead is used at once")
	g.Expect(fresh.Stack.Digest).To(Equal(c.stack))

	g.Expect(remote.Delete(c.registry.stack("cflinuxfs4").Tag("latest"))).To(Succeed())
	c.start()
	_, err = c.assemble(d)
	g.Expect(err).To(failWith(opi.ErrUnavailable, "stack cflinuxfs4 is not in the registry"))
}

func TestRepair(t *testing.T) {
	for name, lose := range map[string]func(*cloud, testDroplet, Assembled){
		"tag": func(c *cloud, _ testDroplet, assembled Assembled) {
			check(c.t, remote.Delete(c.registry.host.name.Repo(assembled.Repository).Tag(assembled.Tag)))
		},
		"the image's blobs": func(c *cloud, _ testDroplet, _ Assembled) { c.hub.blobs.lose("cloudfoundry/d@") },
		"the droplet's layer": func(c *cloud, _ testDroplet, _ Assembled) {
			c.hub.blobs.lose("cloudfoundry/d@")
			c.hub.blobs.lose("cloudfoundry/droplets@")
		},
		"the droplet": func(c *cloud, d testDroplet, _ Assembled) {
			c.hub.blobs.lose("cloudfoundry/d@")
			c.hub.blobs.lose("cloudfoundry/droplets@")
			check(c.t, remote.Delete(c.registry.droplets().Tag(d.Checksum.Value)))
		},
		"the lifecycle layer": func(c *cloud, _ testDroplet, _ Assembled) {
			c.hub.blobs.lose("cloudfoundry/d@")
			c.hub.blobs.lose("cloudfoundry/lifecycle@")
		},
		"nothing": func(*cloud, testDroplet, Assembled) {},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			d := dropletOf(t, "d", 100_000)
			c := newCloud(t, withSource(holding(d.content, new(atomic.Int32))))
			c.push(d, "")
			assembled, err := c.assemble(d)
			g.Expect(err).NotTo(HaveOccurred())
			lose(c, d, assembled)
			repaired, err := c.assembler.Repair(context.Background(), AssemblyRequest{Droplet: d.Droplet})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(repaired).To(Equal(assembled), "a tag never changes its meaning")
			c.pull(repaired)
		})
	}
	t.Run("the stack's layers", func(t *testing.T) {
		g := NewWithT(t)
		c := newCloud(t)
		d := dropletOf(t, "d", 1000)
		c.push(d, "")
		c.hub.blobs.lose("cloudfoundry/stacks/cflinuxfs4@" + layerDigest(c, 0))
		_, err := c.assemble(d)
		g.Expect(err).To(failWith(opi.ErrUnavailable, "stack cflinuxfs4"))
		g.Expect(err).To(MatchError(ContainSubstring("until it is imported again: ")))
		g.Expect(err).To(MatchError(ContainSubstring("the registry has lost")))
	})
}

func layerDigest(c *cloud, layer int) string {
	base, err := c.registry.base(context.Background(), "cflinuxfs4", c.stack)
	check(c.t, err)
	return base.layers[layer].descriptor.Digest.String()
}

func TestShutdownEndsTheWork(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	started := make(chan struct{})
	assembler, err := NewAssembler(AssemblerOptions{Stacks: c.stacks, Logger: c.logger, Source: sourceFunc(func(ctx context.Context) (io.ReadCloser, error) {
		close(started)
		<-ctx.Done()
		return nil, ctx.Err()
	})})
	g.Expect(err).NotTo(HaveOccurred())
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- assembler.Run(ctx) }()
	waiting := make(chan error, 1)
	request := AssemblyRequest{Droplet: dropletOf(t, "d", 10).Droplet}
	go func() {
		_, err := assembler.Assemble(context.Background(), request)
		waiting <- err
	}()
	<-started
	stop()
	g.Eventually(ended).Should(Receive(BeNil()))
	g.Eventually(waiting).Should(Receive(failWith(opi.ErrUnavailable, "shutting down")))
	_, err = assembler.Assemble(context.Background(), request)
	g.Expect(err).To(failWith(opi.ErrUnavailable, "shutting down"))
	_, failed := assembler.LastFailure(request.Droplet)
	g.Expect(failed).To(BeFalse())
}

func TestWorkIsBoundedInTime(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t, func(_ *cloud, o *AssemblerOptions) {
		o.Timeout = 50 * time.Millisecond
		o.Source = sourceFunc(func(ctx context.Context) (io.ReadCloser, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
	})
	_, err := c.assemble(dropletOf(t, "d", 10))
	g.Expect(err).To(failWith(opi.ErrUnavailable, "not done within 50ms"))
	g.Expect(err).NotTo(MatchError(context.DeadlineExceeded), "it does not go on")
}

// The last of many droplets has as much time as the first.
func TestWaitingForOtherWorkTakesNoTime(t *testing.T) {
	g := NewWithT(t)
	// It is long, so that a busy machine gets to the fetch within it.
	const timeout = 2 * time.Second
	c := newCloud(t, func(_ *cloud, o *AssemblerOptions) {
		o.ParallelFetches, o.Timeout, o.Patience = 1, timeout, 30*time.Second
		o.Source = sourceFunc(func(ctx context.Context) (io.ReadCloser, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		})
	})
	began := time.Now()
	var all sync.WaitGroup
	for i := range 2 {
		d := dropletOf(t, fmt.Sprint("queued-", i), 10)
		all.Go(func() { _, _ = c.assemble(d) })
	}
	all.Wait()
	g.Expect(time.Since(began)).To(BeNumerically(">=", 2*timeout), "one after the other")
}

// Apps may run the same droplet under different guids.
func TestADropletIsFetchedOnceForSeveralImages(t *testing.T) {
	g := NewWithT(t)
	d := dropletOf(t, "shared", 10)
	var fetches atomic.Int32
	c := newCloud(t, func(_ *cloud, o *AssemblerOptions) {
		o.Patience = 30 * time.Second
		o.Source = sourceFunc(func(context.Context) (io.ReadCloser, error) {
			fetches.Add(1)
			return io.NopCloser(bytes.NewReader(d.content)), nil
		})
	})
	var all errgroup.Group
	for i := range 5 {
		copied := d.Droplet
		copied.GUID = fmt.Sprint("copy-", i)
		all.Go(func() error {
			_, err := c.assembler.Assemble(context.Background(), AssemblyRequest{Droplet: copied})
			return err
		})
	}
	g.Expect(all.Wait()).To(Succeed())
	g.Expect(fetches.Load()).To(BeEquivalentTo(1))
}

func TestFetchesAreBoundedAndHoldUpNobodyElse(t *testing.T) {
	g := NewWithT(t)
	gate := make(chan struct{})
	var running, most atomic.Int32
	c := newCloud(t, func(_ *cloud, o *AssemblerOptions) {
		o.ParallelFetches = 2
		o.Patience = 30 * time.Second
		o.Source = sourceFunc(func(context.Context) (io.ReadCloser, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			<-gate
			return nil, errors.New("gate")
		})
	})
	there := dropletOf(t, "there", 10)
	c.push(there, "")
	var all sync.WaitGroup
	for i := range 6 {
		d := dropletOf(t, fmt.Sprint("missing-", i), 10)
		all.Go(func() { _, _ = c.assemble(d) })
	}
	g.Eventually(running.Load).Should(Equal(int32(2)))
	_, err := c.assemble(there)
	g.Expect(err).NotTo(HaveOccurred())
	close(gate)
	all.Wait()
	g.Expect(most.Load()).To(Equal(int32(2)))
}

// Work that waited for its image without knowing the stack's revision has a tag of its own.
func TestAnotherTagOfAnImage(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	d := dropletOf(t, "d", 1000)
	c.push(d, "")
	request := AssemblyRequest{Droplet: d.Droplet}
	for range 2 {
		assembled, err := c.assembler.AssembleAs(context.Background(), request, "other")
		g.Expect(err).NotTo(HaveOccurred())
		other := assembled
		other.Tag = "other"
		g.Expect(c.pull(other).Digest()).To(Equal(assembled.Digest))
		c.pull(assembled)
	}
	puts := 0
	for _, seen := range c.hub.seen() {
		if seen == "PUT cloudfoundry/d:other" {
			puts++
		}
	}
	g.Expect(puts).To(Equal(1))
}
