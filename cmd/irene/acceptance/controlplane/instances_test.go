//go:build controlplane

package controlplane_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/opi"
)

var _ = Describe("An instance's state", func() {
	instance := func(ctx context.Context, d cloudcontroller.Desire, index int) cloudcontroller.Instance {
		GinkgoHelper()
		instances, err := irene.Instances(ctx, d.GUID(), d.Version())
		Expect(err).NotTo(HaveOccurred())
		Expect(instances).To(HaveLen(instancesOf(d)))
		Expect(instances[index].Index).To(Equal(index))
		Expect(instances[index].SinceTime()).To(BeTemporally("~", time.Now(), 2*time.Minute), "since is always a time")
		return instances[index]
	}
	shows := func(ctx context.Context, d cloudcontroller.Desire, index int, state, reason string, since time.Time) {
		GinkgoHelper()
		Eventually(func(g Gomega) {
			shown := instance(ctx, d, index)
			g.Expect(shown.State).To(Equal(state))
			g.Expect(shown.PlacementError).To(Equal(reason))
			if !since.IsZero() {
				g.Expect(shown.SinceTime()).To(BeTemporally("==", since.Truncate(time.Second)))
			}
		}).Should(Succeed())
	}
	ended := func(code int32, reason string, at time.Time) *corev1.ContainerStateTerminated {
		return &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, FinishedAt: metav1.NewTime(at), StartedAt: metav1.NewTime(at.Add(-time.Second))}
	}

	It("is CLAIMED until its startup check has passed, and then RUNNING, ready or not", func(ctx context.Context) {
		d := app("starting")
		settle(ctx, controlplane.NewSilentNode(ctx, api), d)
		common.ReportStatus(ctx, d, "0", waits("ContainerCreating", "", nil))
		shows(ctx, d, 0, "CLAIMED", "", time.Time{})
		since := time.Now().Add(-20 * time.Second)
		common.ReportStatus(ctx, d, "0", runs(since, false, false))
		shows(ctx, d, 0, "CLAIMED", "", since)
		common.ReportStatus(ctx, d, "0", runs(since, true, false))
		shows(ctx, d, 0, "RUNNING", "", since)
		common.ReportStatus(ctx, d, "0", runs(since, true, true))
		shows(ctx, d, 0, "RUNNING", "", since)
	}, patience)

	It("is CRASHED with the exit status while it waits to be restarted, and RUNNING again after", func(ctx context.Context) {
		d := app("crashing")
		settle(ctx, controlplane.NewSilentNode(ctx, api), d)
		crashed := time.Now().Add(-15 * time.Second)
		common.ReportStatus(ctx, d, "0", waits("CrashLoopBackOff", "back-off 10s restarting failed container", ended(3, "Error", crashed)))
		shows(ctx, d, 0, "CRASHED", "exited with status 3", crashed)
		common.ReportStatus(ctx, d, "0", waits("CrashLoopBackOff", "", ended(0, "Completed", crashed)))
		shows(ctx, d, 0, "CRASHED", "exited with status 0", crashed)
		restarted := time.Now().Add(-5 * time.Second)
		common.ReportStatus(ctx, d, "0", runs(restarted, true, true))
		shows(ctx, d, 0, "RUNNING", "", restarted)
	}, patience)

	It("is CRASHED with the memory limit when it took too much", func(ctx context.Context) {
		d := app("hungry").With("memory_mb", 256)
		settle(ctx, controlplane.NewSilentNode(ctx, api), d)
		crashed := time.Now().Add(-10 * time.Second)
		common.ReportStatus(ctx, d, "0", waits("CrashLoopBackOff", "", ended(137, "OOMKilled", crashed)))
		shows(ctx, d, 0, "CRASHED", "out of memory: limit 256M", crashed)
	}, patience)

	It("is CRASHED with the cause, without the platform's names, when its image can't be pulled or it can't be started", func(ctx context.Context) {
		d := app("unpullable")
		settle(ctx, controlplane.NewSilentNode(ctx, api), d)
		common.ReportStatus(ctx, d, "0", waits("ErrImagePull", `failed to pull and unpack image "registry.internal/d:1": registry.internal/d:1: not found`, nil))
		shows(ctx, d, 0, "CRASHED", "the platform can't fetch the app's image at present (not found); it tries again", time.Time{})
		common.ReportStatus(ctx, d, "0", waits("ImagePullBackOff", `Back-off pulling image "registry.internal/d:1"`, nil))
		shows(ctx, d, 0, "CRASHED", "the platform can't fetch the app's image at present; it tries again", time.Time{})
		common.ReportStatus(ctx, d, "0", waits("CreateContainerConfigError", "container has runAsNonRoot and image will run as root", nil))
		shows(ctx, d, 0, "CRASHED", "can't be started: "+opi.ImageRunsAsRoot, time.Time{})
		common.ReportStatus(ctx, d, "0", waits("CreateContainerConfigError", `secret "missing" not found`, nil))
		shows(ctx, d, 0, "CRASHED", "can't be started: the platform can't set it up at present", time.Time{})
	}, patience)

	It("is UNCLAIMED from the moment when it is stopped", func(ctx context.Context) {
		d := app("stopping").With("instances", 2)
		settle(ctx, controlplane.NewSilentNode(ctx, api), d)
		for _, index := range []string{"0", "1"} {
			common.ReportStatus(ctx, d, index, runs(time.Now().Add(-30*time.Second), true, true))
		}
		running(ctx, irene, d, 2)
		stopped := time.Now()
		Expect(irene.StopInstance(ctx, d.GUID(), d.Version(), "1")).To(answered(200))
		Expect(instance(ctx, d, 1).State).To(Equal("UNCLAIMED"), "the next read knows of the stop")
		shows(ctx, d, 1, "UNCLAIMED", "", time.Time{})
		Expect(instance(ctx, d, 1).SinceTime()).To(BeTemporally("~", stopped, 3*time.Second))
		shows(ctx, d, 0, "RUNNING", "", time.Time{})
	}, patience)

	It("is told for each index apart, in order", func(ctx context.Context) {
		d := app("mixed").With("instances", 4)
		settle(ctx, controlplane.NewSilentNode(ctx, api), d)
		since := time.Now().Add(-10 * time.Second)
		common.ReportStatus(ctx, d, "0", runs(since, true, true))
		common.ReportStatus(ctx, d, "1", waits("CrashLoopBackOff", "", ended(1, "Error", since)))
		common.ReportStatus(ctx, d, "3", waits("ImagePullBackOff", "no", nil))
		states(ctx, irene, d, "RUNNING", "CRASHED", "CLAIMED", "CRASHED")
		for index := range 4 {
			instance(ctx, d, index)
		}
	}, patience)

	It("is UNCLAIMED for every desired index even if no pod can be made", func(ctx context.Context) {
		place := alone(ctx, direct())
		irene := place.Start(ctx)
		_, err := api.CoreV1().ResourceQuotas(place.Namespace).Create(ctx, &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Name: "none"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(func() corev1.ResourceList {
			quota, err := api.CoreV1().ResourceQuotas(place.Namespace).Get(ctx, "none", metav1.GetOptions{})
			Expect(err).NotTo(HaveOccurred())
			return quota.Status.Hard
		}).ShouldNot(BeEmpty())
		desired := time.Now()
		d := app("podless").With("instances", 3)
		desire(ctx, irene, d)
		states(ctx, irene, d, "UNCLAIMED", "UNCLAIMED", "UNCLAIMED")
		instances, err := irene.Instances(ctx, d.GUID(), d.Version())
		Expect(err).NotTo(HaveOccurred())
		Expect(instances).To(HaveEach(WithTransform(cloudcontroller.Instance.SinceTime, BeTemporally("~", desired, 3*time.Second))))
	}, patience)
})

// settle desires an app on the node and waits until its instances are CLAIMED.
func settle(ctx context.Context, node *controlplane.SilentNode, d cloudcontroller.Desire) {
	GinkgoHelper()
	DeferCleanup(func(ctx context.Context) {
		Expect(irene.Client.Stop(ctx, d.GUID(), d.Version())).To(answered(200))
		Eventually(func(g Gomega) { // there is no kubelet to end the pods
			pods := common.Pods(ctx, d.GUID())
			for _, pod := range pods {
				_ = api.CoreV1().Pods(common.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))})
			}
			g.Expect(pods).To(BeEmpty())
			g.Expect(common.StatefulSets(ctx, d.GUID())).To(BeEmpty())
		}).Should(Succeed())
	})
	desire(ctx, irene, d.With("placement_tags", []string{node.Segment}))
	claimed := []string{}
	for range instancesOf(d) {
		claimed = append(claimed, "CLAIMED")
	}
	states(ctx, irene, d, claimed...)
}
