//go:build node

package node_test

import (
	"context"
	"encoding/json"
	"os"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"

	"github.com/irene-cf/irene/fixtures/imageworks"
)

var _ = Describe("a stack that is imported anew", Ordered, func() {
	var (
		place  *assembling
		single *app
		double *app
	)
	BeforeAll(func(ctx SpecContext) {
		place = newAssembling(ctx, "patched-stack")
		single = place.run(ctx, newApp("single", place.newDroplet()))
		double = place.run(ctx, newApp("double", place.newDroplet()).With("instances", 2.0))
		place.patchStack(ctx, "second")
	}, NodeTimeout(time.Minute))

	It("is taken by a restarted app without staging, and by no app that runs", func(ctx SpecContext) {
		current := place.currentRevision(ctx)
		Eventually(place.Metrics).WithContext(ctx).Should(ContainSubstring(`revision="` + current + `"`))
		a := place.run(ctx, newApp("restarted", place.newDroplet()))
		Expect(a.onStack(ctx, 0)).To(Equal("second"))
		fetched := place.works.Droplets.Requests("")
		place.works.Irene.Forget()
		place.works.Nodes.Forget()
		began := time.Now()
		again := place.run(ctx, anotherVersion(single))
		AddReportEntry("restarted on the patched stack", "irene: "+ofApps(place.works.Irene.Traffic()).String()+
			"\nnode:  "+place.works.Nodes.Traffic().String()+"\ndesired → RUNNING: "+time.Since(began).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
		Expect(again.onStack(ctx, 0)).To(Equal("second"))
		Expect(again.imageTag(ctx)).To(HaveSuffix("-" + current))
		Expect(place.works.Droplets.Requests("")).To(Equal(fetched), "no droplet is fetched, let alone staged")
		Expect(place.works.Nodes.Traffic().Received).To(BeNumerically("<", stackBytes/2), "only the patch is pulled")
		Expect(single.onStack(ctx, 0)).To(Equal("first"))
		Expect(double.onStack(ctx, 1)).To(Equal("first"))
	}, SpecTimeout(time.Minute))

	It("is brought to running apps by irene stack roll, which may be interrupted, without a lost request", func(ctx SpecContext) {
		single.awaitRouted(ctx, HaveLen(1))
		double.awaitRouted(ctx, HaveLen(2))
		loads := []*load{startLoad(ctx, "single.apps.example.com"), startLoad(ctx, "double.apps.example.com")}
		AddReportEntry("irene stack list, before", place.stack(ctx, "list"), ReportEntryVisibilityAlways)
		Expect(place.listed(ctx)).To(ConsistOf(
			listedStack{Stack: imageworks.StackName, Revision: place.currentRevision(ctx), Current: true},
			And(HaveField("Current", false), HaveField("LRPs", 2), HaveField("Apps", ConsistOf("single", "double"))),
		))

		By("being interrupted in the middle")
		interrupted := place.startRoll(ctx)
		Eventually(single.uids).WithContext(ctx).WithPolling(5 * time.Millisecond).Should(HaveLen(2))
		interrupted.Signal(os.Interrupt)
		Eventually(interrupted).WithContext(ctx).Should(gexec.Exit(1))
		AddReportEntry("irene stack roll, interrupted", string(interrupted.Out.Contents())+string(interrupted.Err.Contents()), ReportEntryVisibilityAlways)

		By("being run again")
		began := time.Now()
		rolled := place.startRoll(ctx)
		Eventually(rolled).WithContext(ctx).Should(gexec.Exit(0))
		AddReportEntry("irene stack roll, again", string(rolled.Out.Contents())+time.Since(began).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
		Expect(rolled).To(gbytes.Say("0 failed, 0 left"))
		for _, load := range loads {
			load.report("rolled to the patched stack")
			load.stop()
		}
		single.awaitRouted(ctx, HaveLen(1))
		Expect(single.onStack(ctx, 0)).To(Equal("second"))
		Expect(double.onStack(ctx, 0)).To(Equal("second"))
		Expect(double.onStack(ctx, 1)).To(Equal("second"))
		AddReportEntry("irene stack list, after", place.stack(ctx, "list"), ReportEntryVisibilityAlways)
		Expect(place.listed(ctx)).To(ConsistOf(And(HaveField("Current", true), HaveField("LRPs", 2))))
	}, SpecTimeout(2*time.Minute))
})

// startRoll runs "irene stack roll" with both apps at a time. It ends with the spec.
func (a *assembling) startRoll(ctx context.Context) *gexec.Session {
	GinkgoHelper()
	command := a.stackCommand(ctx, "roll", "--stack", imageworks.StackName, "--parallel", "2")
	session, err := gexec.Start(command, GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { session.Kill().Wait() })
	return session
}

// listedStack is what "irene stack list -o json" says of a stack.
type listedStack struct {
	Stack, Revision string
	Current         bool
	LRPs            int
	Apps            []string
}

func (a *assembling) listed(ctx context.Context) []listedStack {
	GinkgoHelper()
	var listed []listedStack
	Expect(json.Unmarshal([]byte(a.stack(ctx, "list", "-o", "json")), &listed)).To(Succeed())
	return listed
}

func (a *assembling) currentRevision(ctx context.Context) string {
	GinkgoHelper()
	for _, stack := range a.listed(ctx) {
		if stack.Current {
			return stack.Revision
		}
	}
	Fail("no stack is current")
	return ""
}
