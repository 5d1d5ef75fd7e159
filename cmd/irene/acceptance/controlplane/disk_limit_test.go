//go:build controlplane

package controlplane_test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
)

const (
	crashBackoff = "irene.cloudfoundry.org/crash-backoff"
	diskCrashes  = "irene.cloudfoundry.org/disk-crashes"
)

// greedy is a platform on which apps use more disk than they may.
type greedy struct{ *telling }

func newGreedy(ctx context.Context, elected bool) greedy {
	GinkgoHelper()
	place := greedy{newTelling(ctx, elected)}
	// Before the nodes are cleared, and when no irene runs any more.
	DeferCleanup(func(ctx context.Context) { place.uninstall(ctx) })
	return place
}

// uninstall runs "irene uninstall" as an administrator.
func (g greedy) uninstall(ctx context.Context) (stdout string) {
	GinkgoHelper()
	session, err := gexec.Start(exec.CommandContext(ctx, filepath.Join(binaries, "irene"), "uninstall", "--namespace", g.Namespace, "--kubeconfig", g.Kubeconfig), GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	Eventually(session).WithContext(ctx).WithTimeout(time.Minute).Should(gexec.Exit(0))
	return string(session.Out.Contents())
}

// overDisk ends a pod as a kubelet does that finds it over its limit: the containers are
// killed before anybody is told.
func (g greedy) overDisk(ctx context.Context, p *controlplane.LoopbackPod) {
	GinkgoHelper()
	limit := g.diskLimit(ctx, p.GUID)
	Expect(g.nodes.Report(ctx, p, func(s *corev1.PodStatus) {
		s.Phase, s.Reason = corev1.PodFailed, "Evicted"
		s.Message = fmt.Sprintf("Pod ephemeral local storage usage exceeds the total limit of containers %dMi. ", limit)
		s.ContainerStatuses[0].State = corev1.ContainerState{Terminated: controlplane.Exited(137, "Error", time.Now())}
		s.ContainerStatuses[0].Started, s.ContainerStatuses[0].Ready = ptr.To(false), false
		controlplane.SetReady(s, false)
	})).To(Succeed())
	g.nodes.Stop(p)
}

// diskLimit is the limit of an app's instances in MiB.
func (g greedy) diskLimit(ctx context.Context, guid string) int64 {
	GinkgoHelper()
	return g.StatefulSet(ctx, guid).Spec.Template.Spec.Containers[0].Resources.Limits.StorageEphemeral().Value() >> 20
}

// live is the app's pod at an index; its uid is empty if there is none.
func (g greedy) live(ctx context.Context, d cloudcontroller.Desire, index int) *corev1.Pod {
	GinkgoHelper()
	pod, err := api.CoreV1().Pods(g.Namespace).Get(ctx, fmt.Sprintf("%s-%d", g.StatefulSet(ctx, d.GUID()).Name, index), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return &corev1.Pod{}
	}
	Expect(err).NotTo(HaveOccurred())
	return pod
}

// guarded runs an app whose instance 0 was over its disk limit seven times already, so that
// the next time is followed by the longest back-off, and waits until its pod has the
// finalizer.
func (g greedy) guarded(ctx context.Context, name string, instances int) (d cloudcontroller.Desire, pod *controlplane.LoopbackPod) {
	GinkgoHelper()
	d = g.runs(ctx, name, instances)
	text := fmt.Sprintf(`{"0":{"count":7,"at":%q,"pod":"gone"}}`, time.Now().UTC().Format(time.RFC3339))
	_, err := api.AppsV1().StatefulSets(g.Namespace).Patch(ctx, g.StatefulSet(ctx, d.GUID()).Name, types.MergePatchType,
		fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, diskCrashes, text), metav1.PatchOptions{})
	Expect(err).NotTo(HaveOccurred())
	Eventually(func() []string { return g.live(ctx, d, 0).Finalizers }).Should(ConsistOf(crashBackoff))
	return d, g.pod(ctx, d, 0)
}

// waiting is guarded for an app whose instance 0 waits for its back-off.
func (g greedy) waiting(ctx context.Context, name string, instances int) (d cloudcontroller.Desire, pod *controlplane.LoopbackPod) {
	GinkgoHelper()
	d, pod = g.guarded(ctx, name, instances)
	g.overDisk(ctx, pod)
	g.waits(ctx, d, pod)
	return d, pod
}

// waits expects the pod to stay, although it is being deleted, as a crash of the app.
func (g greedy) waits(ctx context.Context, d cloudcontroller.Desire, p *controlplane.LoopbackPod) {
	GinkgoHelper()
	Eventually(func(e Gomega) {
		pod := g.live(ctx, d, 0)
		e.Expect(pod.UID).To(Equal(p.UID))
		e.Expect(pod.DeletionTimestamp).NotTo(BeNil())
		e.Expect(pod.DeletionGracePeriodSeconds).To(HaveValue(BeZero()), "the kubelet has done its part")
		instances, err := g.irene.Instances(ctx, d.GUID(), d.Version())
		e.Expect(err).NotTo(HaveOccurred())
		e.Expect(instances[0].State).To(Equal("CRASHED"))
		e.Expect(instances[0].PlacementError).To(Equal(fmt.Sprintf("out of disk: limit %dM", g.diskLimit(ctx, d.GUID()))))
	}).Should(Succeed())
	Consistently(func() types.UID { return g.live(ctx, d, 0).UID }, "2s").Should(Equal(p.UID))
}

// replaced expects another pod to take the place of one.
func (g greedy) replaced(ctx context.Context, d cloudcontroller.Desire, p *controlplane.LoopbackPod) {
	GinkgoHelper()
	Eventually(func() types.UID { return g.live(ctx, d, 0).UID }).Should(And(Not(BeEmpty()), Not(Equal(p.UID))))
}

var _ = Describe("An instance that is over its disk limit", func() {
	It("crashes with the limit, is started again at once twice, and then after a back-off", func(ctx context.Context) {
		place := newGreedy(ctx, false)
		place.begins(ctx)
		d := place.runs(ctx, "greedy", 1)
		limit := fmt.Sprintf("out of disk: limit %dM", place.diskLimit(ctx, d.GUID()))
		for n := 1; n <= 2; n++ {
			pod := place.pod(ctx, d, 0)
			if n > 1 {
				Eventually(func() []string { return place.live(ctx, d, 0).Finalizers }).Should(ConsistOf(crashBackoff))
			}
			place.overDisk(ctx, pod)
			place.replaced(ctx, d, pod)
			controlplane.AwaitRunning(ctx, place.irene, d, 1)
		}
		third := place.pod(ctx, d, 0)
		Eventually(func() []string { return place.live(ctx, d, 0).Finalizers }).Should(ConsistOf(crashBackoff))
		began := time.Now()
		place.overDisk(ctx, third)
		place.waits(ctx, d, third)
		Expect(place.StatefulSet(ctx, d.GUID()).Annotations[diskCrashes]).To(ContainSubstring(`"count":3`))
		Eventually(func() float64 { return controlplane.Gauge(ctx, place.irene, "irene_crash_backoff_instances") }).Should(BeEquivalentTo(1))
		Eventually(func() types.UID { return place.live(ctx, d, 0).UID }, "1m").Should(And(Not(BeEmpty()), Not(Equal(third.UID))))
		Expect(time.Since(began)).To(BeNumerically(">=", 9*time.Second), "10 s, kept in whole seconds")
		controlplane.AwaitRunning(ctx, place.irene, d, 1)

		Eventually(func() []report { return place.told(standin.AppCrashed) }).Should(HaveLen(3))
		for _, crash := range place.told(standin.AppCrashed) {
			Expect(crash).To(And(HaveField("ExitDescription", limit), HaveField("CrashCount", 1), HaveField("ExitStatus", HaveValue(BeEquivalentTo(137)))))
		}
		Expect(place.told(standin.AppRescheduling)).To(BeEmpty())
		Eventually(place.Events(ctx, place.StatefulSet(ctx, d.GUID()).UID)).Should(ContainElement(And(
			ContainSubstring("Instance 0 used more disk than its limit"), ContainSubstring("for the 3rd time lately. It is started again after 10s."))))
	}, SpecTimeout(3*time.Minute))

	It("is started again at once after any other end, and when it is not wanted any more", func(ctx context.Context) {
		place := newGreedy(ctx, false)
		place.begins(ctx)
		evict := func(pod *controlplane.LoopbackPod) {
			GinkgoHelper()
			Expect(api.CoreV1().Pods(place.Namespace).EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name}})).To(Succeed())
		}
		By("ends of instances that run")
		drained, drainedPod := place.guarded(ctx, "drained", 1)
		lost, lostPod := place.guarded(ctx, "lost", 1)
		pressed, pressedPod := place.guarded(ctx, "pressed", 1)
		evict(drainedPod)
		Expect(api.CoreV1().Pods(place.Namespace).Delete(ctx, lostPod.Name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))})).To(Succeed())
		place.nodes.Evict(ctx, pressedPod)
		place.replaced(ctx, drained, drainedPod)
		place.replaced(ctx, lost, lostPod)
		place.replaced(ctx, pressed, pressedPod)

		By("what happens to those that wait")
		stopped, _ := place.waiting(ctx, "stopped", 1)
		again, againPod := place.waiting(ctx, "again", 1)
		emptied, emptiedPod := place.waiting(ctx, "emptied", 1)
		scaled, _ := place.waiting(ctx, "scaled", 1)
		shrunk, shrunkPod := place.waiting(ctx, "shrunk", 3)
		remade, _ := place.waiting(ctx, "remade", 1)
		Expect(place.irene.Client.Stop(ctx, stopped.GUID(), stopped.Version())).To(controlplane.Answered(200))
		Expect(place.irene.StopInstance(ctx, again.GUID(), again.Version(), "0")).To(controlplane.Answered(200))
		evict(emptiedPod)
		scale := func(d cloudcontroller.Desire, instances int) {
			GinkgoHelper()
			Expect(place.irene.Update(ctx, d.GUID(), d.Version(), map[string]any{"instances": instances, "routes": d["routes"], "annotation": "2"})).To(controlplane.Answered(200))
		}
		scale(scaled, 0)
		scale(shrunk, 1)
		Expect(place.irene.Client.Stop(ctx, remade.GUID(), remade.Version())).To(controlplane.Answered(200))
		controlplane.DesireApp(ctx, place.irene, remade)
		Eventually(place.NothingLeftOf(ctx, stopped.GUID())).Should(Succeed())
		place.replaced(ctx, again, againPod)
		place.replaced(ctx, emptied, emptiedPod)
		Eventually(func() []corev1.Pod { return place.Pods(ctx, scaled.GUID()) }).Should(BeEmpty())
		Eventually(func() []corev1.Pod { return place.Pods(ctx, shrunk.GUID()) }).Should(HaveLen(1))
		place.waits(ctx, shrunk, shrunkPod)
		controlplane.AwaitRunning(ctx, place.irene, remade, 1)
		Eventually(func() []corev1.Pod { return place.Pods(ctx, remade.GUID()) }).Should(HaveLen(1))

		By("the end of the namespace")
		Expect(api.CoreV1().Namespaces().Delete(ctx, place.Namespace, metav1.DeleteOptions{})).To(Succeed())
		Eventually(func() error {
			_, err := api.CoreV1().Namespaces().Get(ctx, place.Namespace, metav1.GetOptions{})
			return err
		}, "1m").Should(MatchError(apierrors.IsNotFound, "not found"))
	}, SpecTimeout(4*time.Minute))

	It("waits on when leaders change, and for nobody when there is no irene any more", func(ctx context.Context) {
		place := newGreedy(ctx, true)
		replicas := []*ireneprocess.Process{place.Start(ctx), place.Start(ctx)}
		killed := place.leader(ctx, replicas)
		place.irene = replicas[1-killed]
		d, pod := place.waiting(ctx, "led", 1)
		counted := place.StatefulSet(ctx, d.GUID()).Annotations[diskCrashes]
		Expect(counted).To(ContainSubstring(`"count":8`))
		replicas[killed].Kill()
		Expect(place.leader(ctx, replicas)).To(Equal(1 - killed))
		place.waits(ctx, d, pod)
		Expect(place.StatefulSet(ctx, d.GUID()).Annotations[diskCrashes]).To(Equal(counted), "counted once")

		By("the last one ends in order, as before a rollback")
		Expect(place.irene.Stop()).To(Succeed())
		place.replaced(ctx, d, pod)
		Expect(place.live(ctx, d, 0).Finalizers).To(BeEmpty())

		By("the last one is killed")
		place.begins(ctx)
		Eventually(func() []string { return place.live(ctx, d, 0).Finalizers }).Should(ConsistOf(crashBackoff))
		pod = place.pod(ctx, d, 0)
		place.irene.Kill()
		Expect(api.CoreV1().Pods(place.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{})).To(Succeed())
		Eventually(func() *int64 { return place.live(ctx, d, 0).DeletionGracePeriodSeconds }).Should(HaveValue(BeZero()))
		Expect(place.uninstall(ctx)).To(ContainSubstring("Pods whose replacement is not delayed any more: 1\n"))
		place.replaced(ctx, d, pod)
	}, SpecTimeout(3*time.Minute))
})
