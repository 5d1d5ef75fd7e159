//go:build controlplane

package controlplane_test

import (
	"archive/tar"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/droplet"
	"github.com/irene-cf/irene/fixtures/registryserver"
)

// imageNotReady matches what users are told while the platform can't make an app's image.
var imageNotReady = Equal("the platform can't get the app's image ready at present; it goes on trying")

// maxUnpacked is what droplets of these specs may have unpacked.
const maxUnpacked = 4 << 20

var _ = Describe("An app's image, when something is wrong", Ordered, ContinueOnFailure, func() {
	var place *assembling
	BeforeAll(func(ctx context.Context) {
		place = newAssembling(ctx, map[string]any{"max_unpacked_bytes": maxUnpacked})
	}, NodeTimeout(3*time.Minute))
	AfterEach(func() { place.Irene.Heal() })

	noise := func() []byte {
		content := make([]byte, 2<<20)
		random := rand.NewChaCha8([32]byte{1})
		_, _ = random.Read(content) // never fails
		return content
	}

	DescribeTable("is there all the same when the registry fails for a moment",
		func(ctx context.Context, fault registryserver.Fault, times int) {
			d := place.newDroplet()
			place.Irene.Fail(fault.Times(times).On(registryserver.Path("/" + d.GUID + "/")))
			place.runs(ctx, place.app("patient", d), d)
		},
		Entry("and is busy", patience, registryserver.Busy(1), 2),
		Entry("with an error of its own", patience, registryserver.Status(http.StatusInternalServerError), 3),
		Entry("with an error of its proxy", patience, registryserver.Status(http.StatusBadGateway), 3),
		Entry("and closes the connection", patience, registryserver.Fault(registryserver.Hangup), 3),
	)

	It("is there when the registry answers again, and until then users are told that it is being tried", func(ctx context.Context) {
		var group sync.WaitGroup
		faults := map[string]registryserver.Fault{}
		examples := []struct {
			what  string
			fault registryserver.Fault
			quick bool
		}{
			{"unauthorized", registryserver.Status(http.StatusUnauthorized), true},
			{"forbidden", registryserver.Status(http.StatusForbidden), true},
			{"not found", registryserver.Status(http.StatusNotFound), true},
			{"busy", registryserver.Busy(0), false},
			{"busy for long", registryserver.Busy(3600), true},
			{"failing", registryserver.Status(http.StatusInternalServerError), false},
			{"gone", registryserver.Hangup, false},
			{"failing when blobs come", registryserver.Status(http.StatusInternalServerError).On(registryserver.Method(http.MethodPost)), false},
			{"gone when the manifest comes", registryserver.Fault(registryserver.Hangup).On(registryserver.Method(http.MethodPut)), false},
		}
		droplets := map[string]droplet.Droplet{}
		for _, example := range examples {
			d := place.newDroplet()
			droplets[example.what], faults[d.GUID] = d, example.fault
		}
		place.Irene.Fail(func(p registryserver.Played) {
			for guid, fault := range faults {
				if registryserver.Path("/" + guid + "/")(p.Request) {
					fault(p)
					return
				}
			}
			p.Pass()
		})
		told := make([]string, len(examples))
		for i, example := range examples {
			group.Go(func() {
				defer GinkgoRecover()
				d := droplets[example.what]
				desired := place.app("unlucky", d)
				began := time.Now()
				answer, err := place.irene.Desire(ctx, desired)
				took := time.Since(began)
				Expect(err).NotTo(HaveOccurred())
				Expect(answer).To(controlplane.Answered(http.StatusServiceUnavailable), example.what)
				Expect(answer.Message()).To(imageNotReady, example.what)
				place.shows(ctx, desired, answer)
				Expect(place.StatefulSets(ctx, desired.GUID())).To(BeEmpty())
				Expect(place.Tags(ctx, d.GUID)).To(BeEmpty())
				Expect(took < 2*time.Second).To(Equal(example.quick), "%s took %s", example.what, took)
				told[i] = fmt.Sprintf("%s, after %s: %s", example.what, took.Round(100*time.Millisecond), answer.Message())
			})
		}
		group.Wait()
		AddReportEntry("what users are told", strings.Join(told, "\n"), ReportEntryVisibilityAlways)
		place.Irene.Heal()
		for _, d := range droplets {
			place.runs(ctx, place.app("lucky", d), d)
		}
	}, patience)

	It("is made in the background when the registry stands still for a while", func(ctx context.Context) {
		place := newAssembling(ctx, map[string]any{"patience": "1s"})
		d := place.newDroplet()
		desired := place.app("stalled", d)
		place.Irene.Fail(registryserver.Fault(registryserver.Silence).On(registryserver.Path("/" + d.GUID + "/")))
		took := place.fails(ctx, desired, d, http.StatusServiceUnavailable, ContainSubstring("the app's image is not ready yet"))
		Expect(took).To(BeNumerically("~", time.Second, 500*time.Millisecond))
		place.Irene.Heal() // cuts what stood still
		Eventually(func() ([]string, error) { return place.Tags(ctx, d.GUID) }).Should(HaveLen(1))
		place.runs(ctx, desired, d)
		Expect(place.Droplets.Requests(d.GUID)).To(Equal(1))
	}, patience)

	It("is made in the background when the registry is slow", func(ctx context.Context) {
		place := newAssembling(ctx, map[string]any{"patience": "1s"})
		d := place.newDroplet(droplet.Entry{Name: "./app/noise", Content: noise()})
		desired := place.app("slow-registry", d)
		place.Irene.Fail(registryserver.Slow(1 << 20).On(registryserver.Method(http.MethodPatch)))
		place.fails(ctx, desired, d, http.StatusServiceUnavailable, ContainSubstring("the app's image is not ready yet"))
		Eventually(func() ([]string, error) { return place.Tags(ctx, d.GUID) }).Should(HaveLen(1))
		place.runs(ctx, desired, d)
		Expect(place.Droplets.Requests(d.GUID)).To(Equal(1))
	}, patience)

	It("waits for irene to be told the registry's new password, which needs no restart", func(ctx context.Context) {
		place := newAssembling(ctx, nil)
		Expect(place.Writer.Grant("rotated")).To(Succeed())
		d := place.newDroplet()
		desired := place.app("rotated", d)
		Eventually(place.Admits).WithContext(ctx).WithArguments(place.Writer).Should(BeFalse())
		place.fails(ctx, desired, d, http.StatusServiceUnavailable, imageNotReady)
		Expect(place.Writer.Tell("rotated")).To(Succeed())
		place.runs(ctx, desired, d)
	}, patience)

	It("survives an upload that is cut in the middle, and leaves nothing behind when none gets through", func(ctx context.Context) {
		// A droplet that doesn't compress: its layer is as large.
		d := place.newDroplet(droplet.Entry{Name: "./app/noise", Content: noise()})
		cut := registryserver.CutBody(1 << 20)
		uploads := func(r *http.Request) bool {
			return r.Method == http.MethodPatch && registryserver.Path("/droplets/")(r)
		}
		place.Irene.Fail(cut.Times(1).On(uploads))
		place.runs(ctx, place.app("cut-once", d), d)
		Expect(place.Droplets.Requests(d.GUID)).To(Equal(2), "it is read again")

		d = place.newDroplet(droplet.Entry{Name: "./app/noise", Content: noise()})
		desired := place.app("cut-always", d)
		place.Irene.Fail(cut.On(uploads))
		place.fails(ctx, desired, d, http.StatusServiceUnavailable, imageNotReady)
		Expect(place.Droplets.Requests(d.GUID)).To(Equal(3))
		place.Irene.Heal()
		place.runs(ctx, desired, d)
	}, patience)

	DescribeTable("can't be made of a bad droplet, for a reason that names what is wrong with it",
		func(ctx context.Context, content func() []byte, reason string) {
			bad := droplet.Of(content())
			place.Droplets.Put(bad)
			desired := place.app("bad", bad).With("instances", 2)
			message := And(HavePrefix("the droplet"), ContainSubstring(reason), Not(ContainSubstring(bad.GUID)))
			place.fails(ctx, desired, bad, http.StatusUnprocessableEntity, message)
			place.fails(ctx, desired, bad, http.StatusUnprocessableEntity, message)
			Expect(place.Droplets.Requests(bad.GUID)).To(Equal(1), "it is not read again and again")
			good := place.newDroplet()
			restaged := place.app("good", good).Identify(desired.GUID(), "restaged")
			place.runs(ctx, restaged, good)
		},
		Entry("truncated", patience, func() []byte {
			whole, err := droplet.Pack("./server", droplet.Entry{Name: "./app/noise", Content: noise()})
			Expect(err).NotTo(HaveOccurred())
			return whole[:len(whole)/2]
		}, "is cut off"),
		Entry("no archive", patience, func() []byte { return []byte(strings.Repeat("no archive at all ", 1000)) }, "the droplet is"),
		Entry("a path that leads out of it", patience, packed(droplet.File("./app/../../../etc/cron.d/job", "* * * * * root id")), `the droplet's entry "./app/../../../etc/cron.d/job"`),
		Entry("the removal of a file", patience, packed(droplet.File("./app/.wh.server", "")), `the droplet's entry "./app/.wh.server"`),
		Entry("a path through a link", patience, packed(
			droplet.Entry{Name: "./app/out", Kind: tar.TypeSymlink, Link: "/etc"}, droplet.File("./app/out/passwd", "root::0:0")), `the droplet's entry "./app/out/passwd"`),
		Entry("a bomb", patience, packed(droplet.Entry{Name: "./app/zeros", Content: make([]byte, 64<<20)}), fmt.Sprint(maxUnpacked)),
	)

	It("is not made of another droplet than the promised one, or of none", func(ctx context.Context) {
		d := place.newDroplet()
		other := d
		other.Hash = strings.Repeat("0", 40)
		desired := place.app("other", other)
		place.fails(ctx, desired, other, http.StatusUnprocessableEntity,
			ContainSubstring("the droplet's sha1 is "+d.Hash+", but "+other.Hash+" was promised"))
		none := droplet.Of([]byte("never stored"))
		place.fails(ctx, place.app("none", none), none, http.StatusUnprocessableEntity, Equal("this platform does not have the app's droplet any more; stage the app again"))
	}, patience)

	It("waits for a droplet that is slow in coming, and for a source that fails", func(ctx context.Context) {
		place := newAssembling(ctx, map[string]any{"patience": "1s"})
		slow := place.newDroplet()
		place.Droplets.Fail(slow.GUID, slowly(2*time.Second, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(slow.Content) // irene may be gone
		})))
		desired := place.app("slow", slow)
		place.fails(ctx, desired, slow, http.StatusServiceUnavailable, Equal("the app's image is not ready yet; the platform is still fetching the droplet"))
		Eventually(func() ([]string, error) { return place.Tags(ctx, slow.GUID) }).Should(HaveLen(1))
		place.runs(ctx, desired, slow)

		failing := place.newDroplet()
		place.Droplets.Fail(failing.GUID, controlplane.AnswerStatus(http.StatusForbidden))
		desired = place.app("failing", failing)
		place.fails(ctx, desired, failing, http.StatusServiceUnavailable, imageNotReady)
		place.Droplets.Fail(failing.GUID, nil)
		place.runs(ctx, desired, failing)
	}, patience)
})

func packed(entries ...droplet.Entry) func() []byte {
	return func() []byte {
		content, err := droplet.PackAsIs(entries...)
		Expect(err).NotTo(HaveOccurred())
		return content
	}
}
