//go:build controlplane

package controlplane_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/k8s/control"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

var _ = Describe("Rolling a stack", func() {
	var (
		stack *patchedStack
		node  *controlplane.ImageKubelet
	)
	BeforeEach(func(ctx context.Context) {
		stack = newPatchedStack(common)
		node = controlplane.NewImageKubelet(ctx, api, common.Namespace)
	})
	started := func(ctx context.Context, name string, instances int) (cloudcontroller.Desire, appsv1.StatefulSet) {
		GinkgoHelper()
		return stack.started(ctx, node, name, instances)
	}

	It("moves an app of one instance and never lets it down", func(ctx context.Context) {
		d, before := started(ctx, "single", 1)
		other, _ := started(ctx, "other", 1)
		newPatchedStack(common).takes(ctx, other)
		ready := node.WatchReady(d)
		wait := meanwhile(ctx, func() bool { return stack.replicas(ctx, d)() == 2 }, func() {
			set := common.StatefulSet(ctx, d.GUID())
			Expect(set.Annotations).To(HaveKeyWithValue(surgeAnnotation, "1"))
			for set.Annotations[surgeAnnotation] != "" {
				Expect(irene.Instances(ctx, d.GUID(), d.Version())).To(HaveLen(1), "the second is nobody's business")
				Expect(irene.StopInstance(ctx, d.GUID(), d.Version(), "1")).To(controlplane.Answered(400))
				Expect(common.Budgets(ctx, d.GUID())).To(BeEmpty())
				set = common.StatefulSet(ctx, d.GUID())
			}
		})
		lrps := stack.rolls(ctx, control.RollDone)
		wait()
		Expect(lrps[0]).To(SatisfyAll(
			HaveField("GUID", d.GUID()), HaveField("Version", d.Version()), HaveField("AppName", "single"),
			HaveField("From", before.Labels[revisionLabel]), HaveField("To", newRevision),
			HaveField("Note", ""), HaveField("Number", 1), HaveField("Total", 1),
		))
		stack.onNew(ctx, d, 1)
		lowest, most := ready()
		Expect([]int{lowest, most}).To(Equal([]int{1, 2}))
		controlplane.AwaitRunning(ctx, irene, d, 1)

		after := common.StatefulSet(ctx, d.GUID())
		Expect(after.Annotations[lrpAnnotation]).To(MatchJSON(strings.Replace(before.Annotations[lrpAnnotation],
			`"stackRevision":"`+before.Labels[revisionLabel]+`"`, `"stackRevision":"`+newRevision+`","stack":"`+stack.name+`"`, 1)))
		Expect(after.Spec.Template.Spec.Containers[0].Image).To(Equal(newImage(before)))
		after.Spec.Template.Spec.Containers[0].Image = before.Spec.Template.Spec.Containers[0].Image
		after.Spec.Template.Labels[revisionLabel] = before.Labels[revisionLabel]
		Expect(after.Spec).To(Equal(before.Spec), "nothing else changes")
		Expect(common.Events(ctx, before.UID)()).To(ContainElement(ContainSubstring(
			"The LRP was moved from revision " + before.Labels[revisionLabel] + " to " + newRevision + " of stack " + stack.name)))
		Expect(stack.rolls(ctx)).To(BeEmpty(), "a second time")
		Expect(common.StatefulSet(ctx, other.GUID()).Labels[revisionLabel]).To(Equal(before.Labels[revisionLabel]))
	}, patience)

	It("moves the instances of an app one at a time", func(ctx context.Context) {
		d, _ := started(ctx, "triple", 3)
		ready := node.WatchReady(d)
		stack.rolls(ctx, control.RollDone)
		stack.onNew(ctx, d, 3)
		lowest, most := ready()
		Expect([]int{lowest, most}).To(Equal([]int{2, 3}))
	}, patience)

	It("puts an app back that does not come up, and goes on", func(ctx context.Context) {
		single, before := started(ctx, "spoiled-single", 1)
		triple, beforeTriple := started(ctx, "spoiled-triple", 3)
		node.FailReadiness(newImage(before))
		Expect(newImage(beforeTriple)).To(Equal(newImage(before)), "one droplet")
		ready, readyTriple := node.WatchReady(single), node.WatchReady(triple)
		kept := common.PodUIDs(ctx, single.GUID())
		lrps, err := stack.roll(ctx, func(o *control.StackRollOptions) { o.Patience, o.Parallel = time.Second, 2 })
		Expect(err).NotTo(HaveOccurred())
		Expect(lrps).To(HaveEach(SatisfyAll(HaveField("Outcome", control.RollBack), HaveField("Err", MatchError(ContainSubstring("is not ready"))))))
		Expect(lrps).To(HaveLen(2))
		for _, set := range []appsv1.StatefulSet{before, beforeTriple} {
			guid := set.Labels[controlplane.GUIDLabel]
			after := common.StatefulSet(ctx, guid)
			Expect(after.Spec).To(Equal(set.Spec))
			Expect(after.Annotations).NotTo(Or(HaveKey(surgeAnnotation), HaveKey(rollAnnotation)))
			Expect(after.Annotations[lrpAnnotation]).To(ContainSubstring(`"stackRevision":"` + set.Labels[revisionLabel] + `"`))
			Expect(after.Labels).To(Equal(set.Labels))
			Expect(common.Events(ctx, set.UID)()).To(ContainElement(ContainSubstring("The LRP is back on revision " + set.Labels[revisionLabel])))
		}
		lowest, _ := ready()
		Expect(lowest).To(Equal(1))
		lowest, _ = readyTriple()
		Expect(lowest).To(Equal(2))
		Eventually(common.PodUIDs).WithContext(ctx).WithArguments(single.GUID()).Should(Equal(kept), "the old instance was left alone")
		controlplane.AwaitRunning(ctx, irene, triple, 3)
	}, SpecTimeout(3*time.Minute))

	It("stops after a failure when it is asked to", func(ctx context.Context) {
		for n := range 3 {
			started(ctx, fmt.Sprintf("unassembled-%d", n), 1)
		}
		stack.assemble = func(opi.LRP) (render.AppImage, error) {
			return render.AppImage{}, fmt.Errorf("%w: no such droplet", opi.ErrRefused)
		}
		lrps, err := stack.roll(ctx, func(o *control.StackRollOptions) { o.StopOnFailure = true })
		Expect(err).NotTo(HaveOccurred())
		Expect(lrps).To(HaveLen(1))
		Expect(lrps[0]).To(SatisfyAll(HaveField("Outcome", control.RollFailed), HaveField("Err", MatchError(opi.ErrRefused))))
		Expect(stack.rolls(ctx, control.RollFailed, control.RollFailed, control.RollFailed)).To(HaveLen(3))
	}, patience)

	It("moves what does not run without waiting, and what has volumes without a second instance", func(ctx context.Context) {
		zero, _ := started(ctx, "zero", 1)
		Expect(irene.Update(ctx, zero.GUID(), zero.Version(), map[string]any{"instances": 0})).To(controlplane.Answered(200))
		Eventually(func() int { return len(common.Pods(ctx, zero.GUID())) }).Should(BeZero())

		crashing := node.App("crashing", 2)
		controlplane.DesireApp(ctx, irene, crashing)
		controlplane.AwaitRunning(ctx, irene, crashing, 2)
		crashingSet := stack.takes(ctx, crashing)
		for _, index := range []string{"0", "1"} {
			common.ReportStatus(ctx, crashing, index, controlplane.Waiting("CrashLoopBackOff", "", &corev1.ContainerStateTerminated{ExitCode: 1}))
		}
		Eventually(func() int32 { return common.StatefulSet(ctx, crashing.GUID()).Status.ReadyReplicas }).Should(BeZero())
		node.FailReadiness(newImage(crashingSet))

		lrps := stack.rolls(ctx, control.RollDone, control.RollDone)
		Expect(lrps).To(ContainElement(SatisfyAll(HaveField("AppName", "crashing"), HaveField("Note", ContainSubstring("none of its instances was ready")))))
		stack.onNew(ctx, zero, 0)
		Eventually(func(g Gomega) {
			for _, pod := range common.Pods(ctx, crashing.GUID()) {
				g.Expect(pod.Labels).To(HaveKeyWithValue(revisionLabel, newRevision))
			}
		}).Should(Succeed())

		stack = newPatchedStack(common)
		stack.assemble = func(lrp opi.LRP) (render.AppImage, error) {
			return render.AppImage{Stack: lrp.RootFS.Stack, Revision: "ba9876543210"}, nil
		}
		d := node.App("database", 1).With("volume_mounts", []any{map[string]any{"volume_id": boundClaim(ctx, common.Namespace), "mount_dir": "/data"}})
		controlplane.RunApp(ctx, irene, d)
		Eventually(func() int32 { return common.StatefulSet(ctx, d.GUID()).Status.ReadyReplicas }).Should(BeEquivalentTo(1))
		stack.takes(ctx, d)
		ready := node.WatchReady(d)
		lrps = stack.rolls(ctx, control.RollDone)
		Expect(lrps[0].Note).To(ContainSubstring("because it has volumes"))
		lowest, most := ready()
		Expect([]int{lowest, most}).To(Equal([]int{0, 1}))
	}, patience)

	It("goes on where a roll was interrupted, wherever that was", func(ctx context.Context) {
		const steps = 12
		var group sync.WaitGroup
		for step := 1; step <= steps; step++ {
			d, _ := started(ctx, fmt.Sprintf("interrupted-%d", step), 1)
			mine := newPatchedStack(common)
			mine.takes(ctx, d)
			group.Go(func() {
				defer GinkgoRecover()
				ready := node.WatchReady(d)
				killed, kill := context.WithCancelCause(ctx)
				var requests atomic.Int64
				mine.config = rest.CopyConfig(apiConfig)
				mine.config.Wrap(func(next http.RoundTripper) http.RoundTripper {
					return roundTripper(func(r *http.Request) (*http.Response, error) {
						answer, err := next.RoundTrip(r)
						if requests.Add(1) == int64(step) { // done, and nobody hears of it
							kill(errors.New("killed"))
						}
						return answer, err
					})
				})
				_, err := mine.roll(killed)
				Expect(err == nil || context.Cause(killed) != nil).To(BeTrue())
				mine.config = apiConfig
				_, err = mine.roll(ctx)
				Expect(err).NotTo(HaveOccurred())
				mine.onNew(ctx, d, 1)
				lowest, _ := ready()
				Expect(lowest).To(Equal(1))
			})
		}
		group.Wait()
	}, SpecTimeout(4*time.Minute))

	It("is cleaned up after by the leader", func(ctx context.Context) {
		d, _ := started(ctx, "left-behind", 1)
		ready := node.WatchReady(d)
		killed, kill := context.WithCancelCause(ctx)
		wait := meanwhile(ctx, func() bool { return stack.replicas(ctx, d)() == 2 }, func() { kill(errors.New("killed")) })
		_, err := stack.roll(killed)
		Expect(err).To(MatchError("roll stack " + stack.name + ": killed"))
		wait()
		stack.settled(ctx, d)

		stack.leadLater()
		Eventually(stack.replicas(ctx, d)).Should(BeEquivalentTo(1))
		stack.onNew(ctx, d, 1)
		lowest, _ := ready()
		Expect(lowest).To(Equal(1))
	}, patience)

	It("leaves a surge that an app still needs", func(ctx context.Context) {
		d, before := started(ctx, "in-need", 1)
		node.FailReadiness(newImage(before))
		killed, kill := context.WithCancelCause(ctx)
		wait := meanwhile(ctx, func() bool { return len(common.Pods(ctx, d.GUID())) == 2 }, func() { kill(errors.New("killed")) })
		_, err := stack.roll(killed)
		Expect(err).To(HaveOccurred())
		wait()
		stack.leadLater()
		Consistently(stack.replicas(ctx, d)).WithTimeout(3 * time.Second).Should(BeEquivalentTo(2))
		// The next roll finds out that it does not come up.
		lrps, err := stack.roll(ctx, func(o *control.StackRollOptions) { o.Patience = time.Second })
		Expect(err).NotTo(HaveOccurred())
		Expect(lrps).To(ConsistOf(SatisfyAll(HaveField("Outcome", control.RollBack), HaveField("From", before.Labels[revisionLabel]))))
		Expect(common.StatefulSet(ctx, d.GUID()).Spec).To(Equal(before.Spec))
	}, SpecTimeout(4*time.Minute))
})
