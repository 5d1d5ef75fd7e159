//go:build controlplane

package controlplane_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
	"github.com/irene-cf/irene/fixtures/router"
)

// noticed is how long Kubernetes takes at most to find a node lost, see the set-up.
const noticed = 40 * time.Second

var _ = Describe("Instances on lost nodes", func() {
	var place *routing
	address := 0

	// settled desires an app with one instance on a node.
	settled := func(ctx context.Context, irene *ireneprocess.Process, node *controlplane.SilentNode, name string, edits ...func(cloudcontroller.Desire)) cloudcontroller.Desire {
		GinkgoHelper()
		d := controlplane.App(name).With("placement_tags", []string{node.Segment})
		for _, edit := range edits {
			edit(d)
		}
		controlplane.DesireApp(ctx, irene, d)
		controlplane.AwaitStates(ctx, irene, d, "CLAIMED")
		return d
	}
	// ready reports that the app's instance runs, and waits for its route.
	ready := func(ctx context.Context, d cloudcontroller.Desire) {
		GinkgoHelper()
		address++
		ip := fmt.Sprintf("10.215.249.%d", address)
		place.ReportStatus(ctx, d, "0", func(s *corev1.PodStatus) {
			controlplane.Running(time.Now().Add(-10*time.Second), true, true)(s)
			s.PodIP, s.PodIPs = ip, []corev1.PodIP{{IP: ip}}
		})
		place.routed(ctx, d, uriOf(d), 8080, 1)
	}
	uid := func(ctx context.Context, d cloudcontroller.Desire) func() types.UID {
		return func() types.UID {
			pods := place.Pods(ctx, d.GUID())
			if len(pods) == 0 {
				return ""
			}
			Expect(pods).To(HaveLen(1))
			return pods[0].UID
		}
	}
	unrouted := func(ds ...cloudcontroller.Desire) {
		GinkgoHelper()
		for _, d := range ds {
			for _, w := range place.routers {
				Eventually(w.addresses).WithArguments(uriOf(d)).WithTimeout(noticed).WithPolling(10 * time.Millisecond).Should(BeEmpty())
			}
		}
	}
	// leave ends what no kubelet ends.
	leave := func() {
		DeferCleanup(func(ctx context.Context) {
			sets, pods, jobs := api.AppsV1().StatefulSets(place.Namespace), api.CoreV1().Pods(place.Namespace), api.BatchV1().Jobs(place.Namespace)
			Eventually(func(g Gomega) {
				g.Expect(sets.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})).To(Succeed())
				g.Expect(jobs.DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}, metav1.ListOptions{})).To(Succeed())
				g.Expect(pods.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}, metav1.ListOptions{})).To(Succeed())
				left, err := pods.List(ctx, metav1.ListOptions{})
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(left.Items).To(BeEmpty())
			}).Should(Succeed())
		})
	}

	It("lose their routes at once and are replaced after the grace, whichever replica leads by then; those with volumes stay", func(ctx context.Context) {
		const grace = 10 * time.Second
		place = newRouting(ctx, direct(), router.Options{})
		place.Settings["kubernetes"] = map[string]any{"lost_node_grace": grace.String()}
		cc, err := standin.Start(standin.Options{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(cc.Close)
		place.Settings["cloud_controller"] = map[string]any{"url": cc.URL()}
		leader := place.Start(ctx)
		Eventually(func() float64 { return controlplane.Gauge(ctx, leader, "irene_leader") }).Should(BeEquivalentTo(1))
		lost, brief := controlplane.NewSilentNode(ctx, api), controlplane.NewSilentNode(ctx, api)
		leave()
		app := settled(ctx, leader, lost, "lost")
		cc.AddProcess(app.GUID())
		stateful := settled(ctx, leader, lost, "stateful", func(d cloudcontroller.Desire) {
			d.With("volume_mounts", []any{map[string]any{"volume_id": boundClaim(ctx, place.Namespace), "mount_dir": "/data"}})
		})
		spared := settled(ctx, leader, brief, "spared")
		task := place.task(ctx, lost)
		for _, d := range []cloudcontroller.Desire{app, stateful, spared} {
			ready(ctx, d)
		}
		before, kept, same := uid(ctx, app)(), uid(ctx, stateful)(), uid(ctx, spared)()

		unrouted(app, stateful, spared)
		By("letting one node report again, and killing the leader")
		Expect(uid(ctx, app)()).To(Equal(before), "the grace has only begun")
		brief.KeepReady(ctx)
		follower := place.Start(ctx)
		leader.Kill()
		ready(ctx, spared)
		heir := controlplane.NewSilentNodeIn(ctx, api, lost.Segment, lost.Name+"-heir")

		Eventually(uid(ctx, app), grace+10*time.Second).ShouldNot(BeElementOf(before, types.UID("")))
		Eventually(func(g Gomega) {
			g.Expect(place.Pods(ctx, app.GUID())).To(HaveEach(HaveField("Spec.NodeName", heir.Name)))
			job, err := api.BatchV1().Jobs(place.Namespace).Get(ctx, task.Name, metav1.GetOptions{})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(job.Status.Failed).To(BeEquivalentTo(1))
			pods, err := api.CoreV1().Pods(place.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "job-name=" + task.Name})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(pods.Items).To(BeEmpty())
		}).Should(Succeed())
		ready(ctx, app)
		controlplane.AwaitStates(ctx, follower, app, "RUNNING")
		Eventually(place.Events(ctx, place.StatefulSet(ctx, app.GUID()).UID)).Should(ContainElement(
			MatchRegexp(`^instance 0 was on node ` + lost.Name + `, which has not reported for [\d.]+s: its pod was deleted by force`)))

		moved := cc.Received(standin.AppRescheduling, "")
		Expect(moved).To(HaveLen(1))
		Expect(moved[0].GUID).To(Equal(app.GUID() + "-" + app.Version()))
		Expect(string(moved[0].Body)).To(And(ContainSubstring(string(before)), MatchRegexp(`"reason":"cell `+lost.Name+` has not reported for [\d.]+s"`)))
		Expect(cc.Received(standin.AppCrashed, "")).To(BeEmpty())

		By("leaving what has volumes, and what is back")
		controlplane.AwaitStates(ctx, follower, stateful, "UNKNOWN")
		Consistently(uid(ctx, stateful), "3s").Should(Equal(kept))
		Expect(uid(ctx, spared)()).To(Equal(same))
		Eventually(controlplane.Gauge).WithArguments(ctx, follower, "irene_lost_nodes").Should(BeEquivalentTo(1))
		Eventually(func() float64 {
			return controlplane.Metrics(ctx, follower)["irene_lost_node_pods_deleted_total"].GetMetric()[0].GetCounter().GetValue()
		}).Should(BeEquivalentTo(2))
		Eventually(place.Events(ctx, place.StatefulSet(ctx, stateful.GUID()).UID)).Should(ContainElement(ContainSubstring("its pod stays, because it has volumes")))

		By("unless the operator wants them replaced, too")
		Expect(follower.Stop()).To(Succeed())
		place.Settings["kubernetes"] = map[string]any{"lost_node_grace": grace.String(), "replace_pods_with_claims": true}
		place.Start(ctx)
		Eventually(uid(ctx, stateful), "10s").ShouldNot(Equal(kept))
	}, SpecTimeout(4*time.Minute))

	It("stay as they are while most nodes are lost", func(ctx context.Context) {
		const grace = 8 * time.Second // longer than between two looks of Kubernetes at all nodes
		place = aloneRouting(ctx)
		place.Settings["kubernetes"] = map[string]any{"lost_node_grace": grace.String()}
		irene := place.Start(ctx)
		leave()
		// The suite's other nodes are three.
		nodes := []*controlplane.SilentNode{controlplane.NewSilentNode(ctx, api), controlplane.NewSilentNode(ctx, api), controlplane.NewSilentNode(ctx, api), controlplane.NewSilentNode(ctx, api)}
		var apps []cloudcontroller.Desire
		var before []types.UID
		for n, node := range nodes {
			apps = append(apps, settled(ctx, irene, node, fmt.Sprintf("cut-off-%d", n)))
			ready(ctx, apps[n])
			before = append(before, uid(ctx, apps[n])())
		}
		// With two more, most nodes are lost until the second one reports again.
		nodes = append(nodes, controlplane.NewSilentNode(ctx, api), controlplane.NewSilentNode(ctx, api))
		for _, node := range nodes {
			Eventually(node.Readiness(ctx), noticed).Should(Equal(corev1.ConditionUnknown))
		}
		unchanged := func(g Gomega, indexes ...int) {
			for _, n := range indexes {
				g.Expect(uid(ctx, apps[n])()).To(Equal(before[n]))
				for _, w := range place.routers {
					g.Expect(w.addresses(uriOf(apps[n]))).To(HaveLen(1), "%s", uriOf(apps[n]))
				}
			}
		}
		Eventually(func(g Gomega) {
			for _, d := range apps {
				g.Expect(place.instances(ctx, d, 8080)).To(BeEmpty(), "Kubernetes has made them unready")
			}
			unchanged(g, 0, 1, 2, 3)
		}).Should(Succeed())
		Consistently(func(g Gomega) { unchanged(g, 0, 1, 2, 3) }, 2*grace).WithPolling(200 * time.Millisecond).Should(Succeed())

		for _, d := range apps {
			controlplane.AwaitStates(ctx, irene, d, "UNKNOWN")
		}

		By("letting most nodes report again")
		for _, n := range []int{2, 3} {
			nodes[n].KeepReady(ctx)
			place.ReportStatus(ctx, apps[n], "0", func(s *corev1.PodStatus) { controlplane.SetReady(s, true) })
		}
		unrouted(apps[0], apps[1])
		for _, n := range []int{0, 1} {
			Eventually(uid(ctx, apps[n])).ShouldNot(Equal(before[n]))
		}
		unchanged(Default, 2, 3)
		controlplane.AwaitStates(ctx, irene, apps[2], "RUNNING")
		controlplane.AwaitStates(ctx, irene, apps[3], "RUNNING")
	}, SpecTimeout(4*time.Minute))
})

// uriOf is where the app's only route leads.
func uriOf(d cloudcontroller.Desire) string { return d["app_name"].(string) + ".apps.example.com" }

// task is a Job as tasks are, with its pod on a node.
func (r *routing) task(ctx context.Context, node *controlplane.SilentNode) *batchv1.Job {
	GinkgoHelper()
	labels := map[string]string{"cloudfoundry.org/source_type": "TASK", controlplane.GUIDLabel: cloudcontroller.NewGUID()}
	job, err := api.BatchV1().Jobs(r.Namespace).Create(ctx, &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "task-", Labels: labels},
		Spec: batchv1.JobSpec{
			BackoffLimit: ptr.To(int32(0)),
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				RestartPolicy:   corev1.RestartPolicyNever,
				NodeSelector:    map[string]string{controlplane.SegmentLabel: node.Segment},
				SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: ptr.To(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
				Containers: []corev1.Container{{Name: "task", Image: "task", SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				}}},
			}},
		},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	Eventually(func(g Gomega) {
		pods, err := api.CoreV1().Pods(r.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "job-name=" + job.Name})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(pods.Items).To(ConsistOf(HaveField("Spec.NodeName", node.Name)))
	}).Should(Succeed())
	return job
}

// boundClaim is a claim that any node may mount.
func boundClaim(ctx context.Context, namespace string) string {
	GinkgoHelper()
	name := "data-" + cloudcontroller.NewGUID()[:8]
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	_, err := api.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			ClaimRef:                      &corev1.ObjectReference{Namespace: namespace, Name: name},
			PersistentVolumeSource:        corev1.PersistentVolumeSource{NFS: &corev1.NFSVolumeSource{Server: "nowhere.invalid", Path: "/"}},
		},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx context.Context) {
		err := api.CoreV1().PersistentVolumes().Delete(ctx, name, metav1.DeleteOptions{})
		Expect(err == nil || apierrors.IsNotFound(err)).To(BeTrue(), "%v", err)
	})
	_, err = api.CoreV1().PersistentVolumeClaims(namespace).Create(ctx, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}, StorageClassName: ptr.To(""), VolumeName: name,
			Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	return name
}
