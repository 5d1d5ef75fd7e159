//go:build controlplane

package controlplane_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/fixtures/controlplane"
)

var _ = Describe("Placement", func() {
	label := func(ctx context.Context, node, segment string) {
		GinkgoHelper()
		_, err := api.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType,
			[]byte(`{"metadata":{"labels":{"cloudfoundry.org/isolation-segment":`+segment+`}}}`), metav1.PatchOptions{})
		Expect(err).NotTo(HaveOccurred())
	}

	It("waits for a node of the app's isolation segment, says why, and runs there once there is one", func(ctx context.Context) {
		d := controlplane.App("isolated").With("placement_tags", []string{"Gold Segment"}).With("instances", 2)
		controlplane.DesireApp(ctx, irene, d)
		Eventually(func(g Gomega) {
			instances, err := irene.Instances(ctx, d.GUID(), d.Version())
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(instances).To(HaveLen(2))
			for _, instance := range instances {
				g.Expect(instance.State).To(Equal("UNCLAIMED"))
				g.Expect(instance.PlacementError).To(ContainSubstring("node affinity"))
				g.Expect(instance.SinceTime()).NotTo(BeZero())
			}
		}).Should(Succeed())

		label(ctx, "fake-1", `"Gold-Segment"`)
		DeferCleanup(func(ctx context.Context) { label(ctx, "fake-1", "null") })
		controlplane.AwaitRunning(ctx, irene, d, 2)
		Expect(common.Pods(ctx, d.GUID())).To(HaveEach(HaveField("Spec.NodeName", "fake-1")))

		By("keeping apps of the shared segment away, as configured here")
		shared := controlplane.App("shared").With("instances", 4)
		controlplane.RunApp(ctx, irene, shared)
		Expect(common.Pods(ctx, shared.GUID())).NotTo(ContainElement(HaveField("Spec.NodeName", "fake-1")))
	}, patience)

	It("spreads instances over nodes", func(ctx context.Context) {
		d := controlplane.App("spread").With("instances", 3)
		controlplane.RunApp(ctx, irene, d)
		nodes := map[string]bool{}
		for _, pod := range common.Pods(ctx, d.GUID()) {
			nodes[pod.Spec.NodeName] = true
		}
		Expect(nodes).To(HaveLen(3))
	}, patience)

	It("says so when no node has room", func(ctx context.Context) {
		d := controlplane.App("giant").With("memory_mb", 8<<20)
		controlplane.DesireApp(ctx, irene, d)
		Eventually(func(g Gomega) {
			instances, err := irene.Instances(ctx, d.GUID(), d.Version())
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(instances[0].State).To(Equal("UNCLAIMED"))
			g.Expect(instances[0].PlacementError).To(ContainSubstring("Insufficient memory"))
		}).Should(Succeed())
	}, patience)
})
