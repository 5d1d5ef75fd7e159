//go:build node

package node_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	. "github.com/onsi/gomega/gstruct"
)

var _ = Describe("irene's own death", func() {
	It("restarts nothing, and irene knows everything when it is back", func(ctx SpecContext) {
		well := cloud.run(ctx, newBuildpackApp("well").With("instances", float64(2)).With("last_updated", "1584946309.123456"))
		stuck := cloud.push(ctx, newBuildpackApp("stuck").With("memory_mb", 1<<20))
		Eventually(stuck.instance(0)).WithContext(ctx).Should(HaveField("PlacementError", ContainSubstring("Insufficient memory")))
		before, err := well.uids(ctx)
		Expect(err).NotTo(HaveOccurred())
		known, err := well.instances(ctx)
		Expect(err).NotTo(HaveOccurred())

		DeferCleanup(func(ctx SpecContext) { // other specs need it, whatever happens here
			if !cloud.Running() {
				cloud.start(ctx)
			}
		})
		cloud.Kill()
		Expect(well.get(ctx, 1, "/health")).To(Equal("ok\n"), "apps don't need irene")
		begin := time.Now()
		cloud.start(ctx)
		AddReportEntry("irene started → ready", time.Since(begin).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)

		Expect(well.instances(ctx)).To(Equal(known), "states and their times are the same at once")
		Expect(stuck.instance(0)(ctx)).To(MatchFields(IgnoreExtras, Fields{
			"State": Equal("UNCLAIMED"), "PlacementError": ContainSubstring("Insufficient memory"),
		}))
		Expect(cloud.List(ctx)).To(HaveKeyWithValue(well.ProcessGUID(), "1584946309.123456"))
		Expect(well.uids(ctx)).To(Equal(before))
		Expect(well.restarts(0)(ctx)).To(BeZero())
		Expect(well.restarts(1)(ctx)).To(BeZero())

		By("going on: what is desired next is done")
		well.scale(ctx, 3)
		well.awaitRunning(ctx)
		Expect(well.uids(ctx)).To(And(HaveLen(3), ContainElements(before[well.pod(ctx, 0).Name], before[well.pod(ctx, 1).Name])))
	}, SpecTimeout(2*time.Minute))
})
