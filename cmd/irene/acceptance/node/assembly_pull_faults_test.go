//go:build node

package node_test

import (
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/droplet"
	"github.com/irene-cf/irene/fixtures/registryserver"
)

var _ = Describe("a node whose way to irene's registry is bad", Ordered, ContinueOnFailure, func() {
	var place *assembling
	BeforeAll(func(ctx SpecContext) { place = newAssembling(ctx, "bad-ways") }, NodeTimeout(time.Minute))
	AfterEach(func() { place.works.Nodes.Heal() })

	blobsOf := func(d droplet.Droplet) func(*http.Request) bool {
		return func(r *http.Request) bool {
			return r.Method == http.MethodGet && registryserver.Path("/"+d.GUID+"/blobs/")(r)
		}
	}

	It("gets layers that are slow in coming, and goes on where they were cut off", func(ctx SpecContext) {
		place.run(ctx, newApp("whole", place.newDroplet())) // the node has the stack now

		d := place.newDroplet()
		place.works.Nodes.Fail(registryserver.Slow(1 << 20).On(blobsOf(d)))
		began := time.Now()
		place.run(ctx, newApp("slow", d))
		took := time.Since(began)
		AddReportEntry("a droplet's layer at 1 MiB/s: desired → RUNNING", took.Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
		Expect(took).To(BeNumerically(">", 2*time.Second))

		d = place.newDroplet()
		place.works.Nodes.Forget()
		place.works.Nodes.Fail(registryserver.CutAnswer(1 << 20).Times(2).On(blobsOf(d)))
		began = time.Now()
		place.run(ctx, newApp("cut", d))
		seen := place.works.Nodes.Traffic()
		AddReportEntry("a layer cut off at 1 MiB: desired → RUNNING", time.Since(began).Round(time.Millisecond).String()+"\n"+seen.String(), ReportEntryVisibilityAlways)
		Expect(seen.Exchanges).To(ContainElements(
			And(HaveField("Status", http.StatusOK), HaveField("Received", BeEquivalentTo(1<<20))),
			HaveField("Status", http.StatusPartialContent),
		))
	}, SpecTimeout(2*time.Minute))

	It("says what the registry answers, and has the image soon after that has passed", func(ctx SpecContext) {
		d := place.newDroplet()
		place.works.Nodes.Fail(registryserver.Status(http.StatusInternalServerError).On(registryserver.Path("/" + d.GUID + "/")))
		a := place.push(ctx, newApp("failing", d))
		Eventually(a.instance(0)).WithContext(ctx).Should(beCrashed(Equal("the platform can't fetch the app's image at present (500 Internal Server Error); it tries again")))
		place.works.Nodes.Heal()
		began := time.Now()
		a.awaitRunning(ctx)
		AddReportEntry("500s for the node over → RUNNING", time.Since(began).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
	}, SpecTimeout(2*time.Minute))
})
