//go:build controlplane

package controlplane_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
	"github.com/irene-cf/irene/fixtures/router"
)

var _ = Describe("Routers", Ordered, ContinueOnFailure, func() {
	var (
		place *routing
		nodes *controlplane.Kubelet
		irene *ireneprocess.Process
	)
	BeforeAll(func(ctx context.Context) {
		place = aloneRouting(ctx)
		nodes = controlplane.NewKubelet(ctx, api, place.Namespace, 2)
		irene = place.Start(ctx)
	}, NodeTimeout(3*time.Minute))

	// started is a routed app with its URI and the addresses of its instances.
	started := func(ctx context.Context, name string, instances int) (d cloudcontroller.Desire, uri string, addresses []string) {
		GinkgoHelper()
		d, uri = nodes.App(name, instances), name+".example.com"
		controlplane.DesireApp(ctx, irene, d)
		return d, uri, place.routed(ctx, d, uri, nodes.Port, instances)
	}
	pod := func(ctx context.Context, d cloudcontroller.Desire, index int) *controlplane.LoopbackPod {
		GinkgoHelper()
		return nodes.Pod(ctx, place.StatefulSet(ctx, d.GUID()).Name, index)
	}
	answers := func(d cloudcontroller.Desire, uri string) {
		GinkgoHelper()
		l := load{app: d["app_name"].(string), url: "http://" + uri}
		for _, w := range place.routers {
			_, err := l.ask(w.Client())
			Expect(err).NotTo(HaveOccurred())
		}
	}

	It("learn everything of an instance that Irene knows", func(ctx context.Context) {
		d, uri, _ := started(ctx, "described", 2)
		for _, pod := range place.Pods(ctx, d.GUID()) {
			index := pod.Labels["apps.kubernetes.io/pod-index"]
			node, err := api.CoreV1().Nodes().Get(ctx, pod.Spec.NodeName, metav1.GetOptions{})
			Expect(err).NotTo(HaveOccurred())
			Expect(node.Labels[corev1.LabelTopologyZone]).To(HavePrefix("zone-"))
			var ready time.Time
			for _, condition := range pod.Status.Conditions {
				if condition.Type == corev1.PodReady {
					ready = condition.LastTransitionTime.Time
				}
			}
			text := func(field string) string { return d[field].(string) }
			for _, w := range place.routers {
				Expect(w.Endpoints(uri)).To(ContainElement(HaveField("Registration", router.Registration{
					Host: pod.Status.PodIP, Port: uint16(nodes.Port), URIs: []string{uri},
					App: text("app_guid"), PrivateInstanceID: string(pod.UID), PrivateInstanceIndex: index,
					IsolationSegment: nodes.Segment, AvailabilityZone: node.Labels[corev1.LabelTopologyZone],
					Protocol: "http1", EndpointUpdatedAtNS: ready.UnixNano(),
					Tags: map[string]string{
						"source_id": text("app_guid"), "app_id": text("app_guid"), "app_name": text("app_name"),
						"process_id": d.GUID(), "process_type": text("process_type"),
						"process_instance_id": string(pod.UID), "instance_id": index,
						"space_id": text("space_guid"), "space_name": text("space_name"),
						"organization_id": text("organization_guid"), "organization_name": text("organization_name"),
						"component": "route-emitter",
					},
				})))
			}
		}
		answers(d, uri)
	}, patience)

	It("learn no isolation segment of an app that has none, and the zone of its node", func(ctx context.Context) {
		d := cloudcontroller.NewBuildpack("shared") // on a node of kwok
		controlplane.DesireApp(ctx, irene, d)
		place.routed(ctx, d, "shared.apps.example.com", 8080, 1)
		Expect(place.routers[0].Endpoints("shared.apps.example.com")).To(ConsistOf(SatisfyAll(
			HaveField("IsolationSegment", ""), HaveField("AvailabilityZone", MatchRegexp(`^z\d$`)))))
	}, patience)

	It("lose an instance that is not ready, and have it back when it is, at once", func(ctx context.Context) {
		d, uri, addresses := started(ctx, "wavering", 2)
		began := time.Now()
		kept, wavering := pod(ctx, d, 0), pod(ctx, d, 1)
		address := wavering.Address(nodes.Port)
		var out, in []time.Duration
		for range 20 {
			since, told := place.routers[0].now(), time.Now()
			nodes.ReportReady(ctx, wavering, false)
			out = append(out, place.routers[0].hears(since, unregisters(uri, address)).At.Sub(told))
			since, told = place.routers[0].now(), time.Now()
			nodes.ReportReady(ctx, wavering, true)
			in = append(in, place.routers[0].hears(since, registers(uri, address)).At.Sub(told))
		}
		reportTimes("from writing that a pod is not ready to the router without it", out)
		reportTimes("from writing that a pod is ready to the router with it", in)
		Expect(place.routed(ctx, d, uri, nodes.Port, 2)).To(Equal(addresses))

		// Times in a pod's status are whole seconds. Who is not ready since the second in
		// which it started counts as not ready yet.
		Eventually(time.Now).Should(BeTemporally(">", began.Add(time.Second)))
		nodes.ReportReady(ctx, wavering, false)
		Expect(place.routed(ctx, d, uri, nodes.Port, 1)).To(ConsistOf(kept.Address(nodes.Port)))
		controlplane.AwaitStates(ctx, irene, d, "RUNNING", "RUNNING")
	}, patience)

	It("lose an app that is stopped with the request, before its pods end", func(ctx context.Context) {
		d, uri, addresses := started(ctx, "stopped", 3)
		since := place.routers[0].now()
		Expect(irene.Client.Stop(ctx, d.GUID(), d.Version())).To(controlplane.Answered(200))
		for _, address := range addresses {
			place.routers[0].hears(since, unregisters(uri, address))
		}
		place.unrouted(uri)
		Expect(place.Pods(ctx, d.GUID())).NotTo(BeEmpty(), "pods that still serve")
		Eventually(place.NothingLeftOf(ctx, d.GUID())).Should(Succeed())
	}, patience)

	It("lose an instance that is deleted with the first event, while it still serves", func(ctx context.Context) {
		d, uri, _ := started(ctx, "deleted", 2)
		leaving := pod(ctx, d, 1)
		since := place.routers[0].now()
		Expect(api.CoreV1().Pods(place.Namespace).Delete(ctx, leaving.Name, metav1.DeleteOptions{})).To(Succeed())
		gone := place.routers[0].hears(since, unregisters(uri, leaving.Address(nodes.Port)))
		Expect(gone.Registration.PrivateInstanceID).To(BeEquivalentTo(leaving.UID))
		still, err := api.CoreV1().Pods(place.Namespace).Get(ctx, leaving.Name, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(still.UID).To(Equal(leaving.UID), "it is in its preStop sleep")
		Expect(place.routed(ctx, d, uri, nodes.Port, 2)).NotTo(ContainElement(gone.Registration.Address()), "its successor has another address")
	}, patience)

	It("lose an instance that is deleted by force", func(ctx context.Context) {
		d, uri, addresses := started(ctx, "forced", 1)
		Expect(api.CoreV1().Pods(place.Namespace).Delete(ctx, pod(ctx, d, 0).Name,
			metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))})).To(Succeed())
		place.routers[0].hears(0, unregisters(uri, addresses[0]))
		Expect(place.routed(ctx, d, uri, nodes.Port, 1)).NotTo(Equal(addresses))
	}, patience)

	It("lose an instance that is evicted", func(ctx context.Context) {
		d, uri, addresses := started(ctx, "evicted", 1)
		nodes.Evict(ctx, pod(ctx, d, 0))
		place.routers[0].hears(0, unregisters(uri, addresses[0]))
		Expect(place.routed(ctx, d, uri, nodes.Port, 1)).NotTo(Equal(addresses))
	}, patience)

	It("follow a pod that keeps its name and gets another address", func(ctx context.Context) {
		d, uri, addresses := started(ctx, "moved", 1)
		nodes.Move(ctx, pod(ctx, d, 0))
		place.routers[0].hears(0, unregisters(uri, addresses[0]))
		Expect(place.routed(ctx, d, uri, nodes.Port, 1)).NotTo(Equal(addresses))
		answers(d, uri)
	}, patience)

	It("never lead to another app that gets the address of an instance", func(ctx context.Context) {
		d, uri, addresses := started(ctx, "owner", 1)
		heir, heirs := nodes.AppOnFreedAddresses("heir", 3), "heir.example.com"
		controlplane.DesireApp(ctx, irene, heir)
		inherited := []string{}
		for range 3 {
			left, since := addresses[0], place.routers[0].now()
			Expect(irene.StopInstance(ctx, d.GUID(), d.Version(), "0")).To(controlplane.Answered(200))
			inherited = append(inherited, left)
			Expect(place.routed(ctx, heir, heirs, nodes.Port, len(inherited))).To(ConsistOf(inherited))
			addresses = place.routed(ctx, d, uri, nodes.Port, 1)
			Expect(addresses).NotTo(ContainElement(left))
			answers(d, uri)
			answers(heir, heirs)
			said := place.routers[0].heard(since, func(m router.Message) bool {
				return unregisters(uri, left)(m) || registers(heirs, left)(m)
			})
			Expect(said[0].Subject).To(Equal("router.unregister"), "before the address is another's")
		}
	}, patience)
})
