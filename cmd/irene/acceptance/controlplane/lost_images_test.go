//go:build controlplane

package controlplane_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/client-go/tools/record"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
	"github.com/irene-cf/irene/k8s/control"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// lostImages is the controller on a platform of its own, with a registry that the spec
// plays and a time that it tells.
type lostImages struct {
	*patchedStack
	node    *controlplane.ImageKubelet
	irene   *ireneprocess.Process
	clock   *testingclock.FakeClock
	events  *record.FakeRecorder
	metrics *prometheus.Registry
	// stop ends the first leader.
	stop func()

	mutex    sync.Mutex
	repairs  []opi.LRP
	revision string
	failure  error
}

func newLostImages(ctx context.Context) *lostImages {
	GinkgoHelper()
	p := alone(ctx, direct())
	l := &lostImages{
		patchedStack: newPatchedStack(p), irene: p.Start(ctx), node: controlplane.NewImageKubelet(ctx, api, p.Namespace),
		clock: testingclock.NewFakeClock(time.Now()), events: record.NewFakeRecorder(100),
	}
	l.stop = l.lead()
	return l
}

// lead runs a leader, until it is stopped or the spec ends.
func (l *lostImages) lead() (stop func()) {
	GinkgoHelper()
	b := l.backEnd(l.clock)
	l.metrics = prometheus.NewRegistry()
	controller := control.NewLostImages(control.LostImagesOptions{
		View: b.view, StatefulSets: b.statefulSets, Pods: b.client.CoreV1(), Events: l.events, Logger: b.logger, Registerer: l.metrics, Clock: l.clock,
		Images: l, Registry: render.RegistrySettings{PullAddress: "127.0.0.1:1", Prefix: "cloudfoundry"},
	})
	return alongside(b.view.Run, controller.Run)
}

// Repair implements control.ImageRepair.
func (l *lostImages) Repair(_ context.Context, lrp opi.LRP) (render.AppImage, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.repairs = append(l.repairs, lrp)
	return render.AppImage{Stack: l.name, Revision: l.revision}, l.failure
}

// registry makes images of the stack be on a revision, or fail.
func (l *lostImages) registry(revision string, failure error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.revision, l.failure = revision, failure
}

func (l *lostImages) repaired() int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return len(l.repairs)
}

func (l *lostImages) told() (events []string) {
	for {
		select {
		case event := <-l.events.Events:
			events = append(events, event)
		default:
			return events
		}
	}
}

// started is an app that runs.
func (l *lostImages) started(ctx context.Context, name string, instances int) (cloudcontroller.Desire, appsv1.StatefulSet) {
	GinkgoHelper()
	d := l.node.App(name, instances)
	run(ctx, l.irene, d)
	set := l.takes(ctx, d)
	l.registry(set.Labels[revisionLabel], nil)
	return d, set
}

// restarts ends an instance.
func (l *lostImages) restarts(ctx context.Context, d cloudcontroller.Desire, index string) {
	GinkgoHelper()
	Expect(l.irene.StopInstance(ctx, d.GUID(), d.Version(), index)).To(answered(200))
}

// stuck waits until an instance can't pull.
func (l *lostImages) stuck(ctx context.Context, d cloudcontroller.Desire, index int) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		instances, err := l.irene.Instances(ctx, d.GUID(), d.Version())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(instances[index].PlacementError).To(Or(ContainSubstring("can't fetch the app's image"), ContainSubstring("can't be pulled")))
	}).Should(Succeed())
}

// after lets time pass and waits for so many repairs altogether, and no more.
func (l *lostImages) after(d time.Duration, repairs int) {
	GinkgoHelper()
	l.clock.Step(d - time.Second)
	Consistently(l.repaired).Should(Equal(repairs - 1))
	l.clock.Step(time.Second)
	Eventually(l.repaired).Should(Equal(repairs))
	Consistently(l.repaired).Should(Equal(repairs))
}

func imageOf(set appsv1.StatefulSet) string { return set.Spec.Template.Spec.Containers[0].Image }

var _ = Describe("Images that got lost", func() {
	var lost *lostImages
	BeforeEach(func(ctx context.Context) { lost = newLostImages(ctx) })

	It("are put together again, and the pods that waited are replaced at once", func(ctx context.Context) {
		d, set := lost.started(ctx, "lost", 2)
		kept := lost.PodUIDs(ctx, d.GUID())
		lost.node.FailPulls(imageOf(set))
		lost.registry(set.Labels[revisionLabel], fmt.Errorf("%w: registry is away", opi.ErrUnavailable))
		lost.restarts(ctx, d, "0")
		lost.stuck(ctx, d, 0)
		Eventually(lost.repaired).Should(Equal(1))
		Consistently(lost.repaired).Should(Equal(1))
		lost.stuck(ctx, d, 0)
		waiting := lost.PodUIDs(ctx, d.GUID())
		Expect(lost.told()).To(ConsistOf(SatisfyAll(HavePrefix("Warning ImageLost "), ContainSubstring("registry is away"))))

		lost.after(30*time.Second, 2)
		Expect(lost.PodUIDs(ctx, d.GUID())).To(Equal(waiting), "nothing was repaired")
		Expect(lost.told()).To(BeEmpty(), "said once")
		lost.node.AllowPulls(imageOf(set))
		lost.registry(set.Labels[revisionLabel], nil)
		lost.after(time.Minute, 3)
		running(ctx, lost.irene, d, 2)
		after := lost.PodUIDs(ctx, d.GUID())
		Expect(after[set.Name+"-1"]).To(Equal(kept[set.Name+"-1"]))
		Expect(after[set.Name+"-0"]).NotTo(Equal(waiting[set.Name+"-0"]))
		Expect(lost.told()).To(ConsistOf(SatisfyAll(HavePrefix("Normal ImageRepaired "), HaveSuffix("are replaced: 0."))))
		Expect(lost.repairs).To(HaveEach(SatisfyAll(
			HaveField("GUID", d.GUID()), HaveField("RootFS.Stack", lost.name), HaveField("Droplet", HaveField("GUID", Not(BeEmpty()))))))
		Eventually(func() error {
			return testutil.GatherAndCompare(lost.metrics, strings.NewReader(`
# HELP irene_lost_image_lrps LRPs with pods that wait for an image of a droplet, or did and have not run since.
# TYPE irene_lost_image_lrps gauge
irene_lost_image_lrps 0
# HELP irene_lost_image_pods_deleted_total Pods deleted because their image was repaired and they need not wait any longer.
# TYPE irene_lost_image_pods_deleted_total counter
irene_lost_image_pods_deleted_total 1
# HELP irene_lost_image_repairs_total Images that nodes could not pull, by what became of them: repaired, moved (the LRP, to its stack's current revision), failed.
# TYPE irene_lost_image_repairs_total counter
irene_lost_image_repairs_total{outcome="failed"} 2
irene_lost_image_repairs_total{outcome="repaired"} 1
`), "irene_lost_image_lrps", "irene_lost_image_pods_deleted_total", "irene_lost_image_repairs_total")
		}).Should(Succeed())

		By("losing it again much later, which is another case")
		lost.node.FailPulls(imageOf(set))
		lost.restarts(ctx, d, "1")
		Eventually(lost.repaired).Should(Equal(4))
	}, patience)

	It("are repaired rarely when that does not help", func(ctx context.Context) {
		d, set := lost.started(ctx, "unpullable", 1)
		lost.node.FailPulls(imageOf(set))
		lost.restarts(ctx, d, "0")
		Eventually(lost.repaired).Should(Equal(1))
		Eventually(lost.told).Should(ContainElement(HavePrefix("Normal ImageRepaired ")))
		lost.stuck(ctx, d, 0)
		Consistently(lost.repaired).Should(Equal(1))
		wait := 30 * time.Second
		var seen []string
		for repairs := 2; repairs <= 9; repairs++ {
			before := lost.PodUIDs(ctx, d.GUID())
			lost.after(wait, repairs)
			Eventually(lost.PodUIDs).WithContext(ctx).WithArguments(d.GUID()).ShouldNot(Or(Equal(before), BeEmpty()))
			lost.stuck(ctx, d, 0)
			wait = min(2*wait, 30*time.Minute)
			seen = append(seen, lost.told()...)
		}
		Expect(wait).To(Equal(30 * time.Minute))
		warnings := 0
		for _, event := range seen {
			if strings.HasPrefix(event, "Warning") {
				Expect(event).To(SatisfyAll(HavePrefix("Warning ImageLost "), ContainSubstring("still can't pull"), ContainSubstring(": not found")))
				warnings++
			}
		}
		Expect(warnings).To(Equal(1))
	}, patience)

	It("lead to the stack's current revision when they can't be made any more", func(ctx context.Context) {
		d, set := lost.started(ctx, "outdated", 3)
		ready := lost.node.WatchReady(d)
		lost.node.FailPulls(imageOf(set))
		lost.registry(newRevision, nil)
		lost.restarts(ctx, d, "0")
		lost.stuck(ctx, d, 0)
		Eventually(lost.repaired).Should(Equal(1))
		Consistently(func() string { return imageOf(lost.StatefulSet(ctx, d.GUID())) }).Should(Equal(imageOf(set)))
		lost.after(30*time.Second, 2)
		Eventually(func() string { return imageOf(lost.StatefulSet(ctx, d.GUID())) }).Should(Equal(newImage(set)))
		running(ctx, lost.irene, d, 3)
		lost.patchedStack.settled(ctx, d)
		lost.onNew(ctx, d, 3)
		lowest, _ := ready()
		Expect(lowest).To(Equal(2), "the others went when it was there")
		Expect(lost.told()).To(ConsistOf(SatisfyAll(HavePrefix("Normal ImageReplaced "), ContainSubstring("to revision "+newRevision))))
	}, patience)

	It("are none of ours when they are docker images or have names that can't be", func(ctx context.Context) {
		docker := cloudcontroller.NewDocker("docker", "registry.example.com/app").With("placement_tags", []string{lost.node.Segment})
		lost.node.FailPulls("registry.example.com/app")
		desire(ctx, lost.irene, docker)
		lost.stuck(ctx, docker, 0)
		d, _ := lost.started(ctx, "invalid", 1)
		lost.ReportStatus(ctx, d, "0", waits("InvalidImageName", "", nil))
		lost.stuck(ctx, d, 0)
		Consistently(lost.repaired).WithTimeout(2 * time.Second).Should(BeZero())
		Expect(lost.Pods(ctx, docker.GUID())).To(HaveLen(1))
		Expect(testutil.GatherAndCompare(lost.metrics, strings.NewReader(`
# HELP irene_lost_image_lrps LRPs with pods that wait for an image of a droplet, or did and have not run since.
# TYPE irene_lost_image_lrps gauge
irene_lost_image_lrps 0
`), "irene_lost_image_lrps")).To(Succeed())
	}, patience)

	It("are found by a leader that begins", func(ctx context.Context) {
		d, set := lost.started(ctx, "found", 1)
		lost.registry("", fmt.Errorf("%w: stage the app again", opi.ErrRefused))
		lost.node.FailPulls(imageOf(set))
		lost.restarts(ctx, d, "0")
		lost.stuck(ctx, d, 0)
		Eventually(lost.repaired).Should(Equal(1))
		lost.node.AllowPulls(imageOf(set))
		lost.registry(set.Labels[revisionLabel], nil)
		lost.stop()
		lost.lead()
		running(ctx, lost.irene, d, 1)
		Expect(lost.repaired()).To(Equal(2))
	}, patience)
})
