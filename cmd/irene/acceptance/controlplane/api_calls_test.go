//go:build controlplane

package controlplane_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
)

// quiet waits until the watch of StatefulSets has told nothing for so long that
// irene no longer believes it when an app is missing, but asks.
func quiet(ctx context.Context, irene *ireneprocess.Process) {
	GinkgoHelper()
	Eventually(func() float64 {
		for _, series := range controlplane.Metrics(ctx, irene)["irene_view_seconds_since_progress"].GetMetric() {
			if series.GetLabel()[0].GetValue() == "statefulsets" {
				return series.GetGauge().GetValue()
			}
		}
		return 0
	}).Should(BeNumerically(">", 1.05))
}

var _ = Describe("Calls to the API server", Ordered, func() {
	var irene *ireneprocess.Process
	BeforeAll(func(ctx context.Context) {
		place := newPlatform(ctx, direct(), nil)
		// Somebody else leads, so that only the API itself makes calls.
		now := metav1.NowMicro()
		_, err := api.CoordinationV1().Leases(place.Namespace).Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: "irene"},
			Spec: coordinationv1.LeaseSpec{
				HolderIdentity: ptr.To("somebody else"), LeaseDurationSeconds: ptr.To(int32(3600)), AcquireTime: &now, RenewTime: &now,
			},
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		irene = place.Start(ctx)
		// The first app of a namespace costs the making of the key of digests.
		controlplane.DesireApp(ctx, irene, controlplane.App("first"))
	}, NodeTimeout(3*time.Minute))

	// count is what was called so far, by verb and resource.
	count := func(ctx context.Context) map[string]int {
		GinkgoHelper()
		counts := map[string]int{}
		for _, series := range controlplane.Metrics(ctx, irene)["irene_kubernetes_calls_total"].GetMetric() {
			labels := map[string]string{}
			for _, label := range series.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			if labels["verb"] == "watch" || labels["resource"] == "leases" || labels["resource"] == "events" {
				continue
			}
			counts[labels["verb"]+" "+labels["resource"]] += int(series.GetCounter().GetValue())
		}
		return counts
	}
	costs := func(ctx context.Context, do func()) map[string]int {
		GinkgoHelper()
		before := count(ctx)
		do()
		made := map[string]int{}
		for call, total := range count(ctx) {
			if total > before[call] {
				made[call] = total - before[call]
			}
		}
		return made
	}
	nothing := map[string]int{}

	It("are none for reads of what is there, a list for what is not", func(ctx context.Context) {
		d := controlplane.App("read")
		controlplane.RunApp(ctx, irene, d)
		Expect(costs(ctx, func() {
			for range 10 {
				Expect(irene.Get(ctx, d.GUID(), d.Version())).To(controlplane.Answered(200))
				Expect(irene.List(ctx)).To(HaveKey(d.ProcessGUID()))
				Expect(irene.Instances(ctx, d.GUID(), d.Version())).To(HaveLen(1))
			}
		})).To(Equal(nothing))
		Expect(costs(ctx, func() {
			Expect(irene.Get(ctx, cloudcontroller.NewGUID(), d.Version())).To(controlplane.Answered(404))
		})).To(Equal(map[string]int{"list statefulsets": 1}))
	}, patience)

	It("are two for a new app, one if it has nothing to hide, with a look first when little happens, and none for the same again", func(ctx context.Context) {
		d := controlplane.App("new")
		quiet(ctx, irene)
		Expect(costs(ctx, func() { controlplane.DesireApp(ctx, irene, d) })).
			To(Equal(map[string]int{"list statefulsets": 1, "create secrets": 1, "create statefulsets": 1}))
		Expect(costs(ctx, func() { controlplane.DesireApp(ctx, irene, d) })).To(Equal(nothing))
		plain := cloudcontroller.NewBuildpack("plain")
		quiet(ctx, irene)
		Expect(costs(ctx, func() { controlplane.DesireApp(ctx, irene, plain) })).
			To(Equal(map[string]int{"list statefulsets": 1, "create statefulsets": 1}))
		Expect(costs(ctx, func() { controlplane.DesireApp(ctx, irene, plain.Clone().With("instances", 2)) })).
			To(Equal(map[string]int{"patch statefulsets": 1}))
		By("starting many at once")
		made := costs(ctx, func() {
			for range 20 {
				controlplane.DesireApp(ctx, irene, controlplane.App("many"))
			}
		})
		Expect(made).To(HaveKeyWithValue("create secrets", 20))
		Expect(made).To(HaveKeyWithValue("create statefulsets", 20))
		Expect(made["list statefulsets"]).To(BeNumerically("<=", 2))
		Expect(len(made)).To(BeNumerically("<=", 3))
	}, patience)

	It("are one for an update, one for a stop, one for stopping an instance, none for a request that is refused", func(ctx context.Context) {
		d := controlplane.App("changed")
		controlplane.RunApp(ctx, irene, d)
		Expect(costs(ctx, func() {
			Expect(irene.Update(ctx, d.GUID(), d.Version(), map[string]any{"instances": 2, "annotation": "2.0"})).To(controlplane.Answered(200))
		})).To(Equal(map[string]int{"patch statefulsets": 1}))
		controlplane.AwaitRunning(ctx, irene, d, 2)
		Expect(costs(ctx, func() {
			Expect(irene.StopInstance(ctx, d.GUID(), d.Version(), "1")).To(controlplane.Answered(200))
		})).To(Equal(map[string]int{"delete pods": 1}))
		Expect(costs(ctx, func() {
			Expect(irene.StopInstance(ctx, d.GUID(), d.Version(), "7")).To(controlplane.Answered(400))
			Expect(irene.Desire(ctx, d.Clone().With("memory_mb", -1))).To(controlplane.Answered(422))
			Expect(irene.Update(ctx, d.GUID(), d.Version(), nil)).To(controlplane.Answered(400))
		})).To(Equal(nothing))
		Expect(costs(ctx, func() {
			Expect(irene.Client.Stop(ctx, d.GUID(), d.Version())).To(controlplane.Answered(200))
		})).To(Equal(map[string]int{"delete statefulsets": 1}))
	}, patience)
})
