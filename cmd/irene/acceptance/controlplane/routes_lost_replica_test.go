//go:build controlplane

package controlplane_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
	"github.com/irene-cf/irene/fixtures/loopback"
	"github.com/irene-cf/irene/fixtures/router"
)

// The Lease has the times of an installation, the routers a twentieth of their usual
// ones: they forget in six seconds what is not registered again.
var _ = Describe("Losing the replica that registers routes", func() {
	const pruneThreshold = 6 * time.Second
	var (
		place *routing
		nodes *controlplane.Kubelet
		gates map[*ireneprocess.Process]*loopback.Gate
		// gateways lead to the API server.
		gateways map[*ireneprocess.Process]*controlplane.Gateway
	)
	startReplica := func() *ireneprocess.Process {
		GinkgoHelper()
		gate, err := loopback.StartGate(place.bus.URL())
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(gate.Stop)
		place.Settings["nats"].(map[string]any)["servers"] = []string{gate.URL()}
		gateway := controlplane.NewGateway(apiConfig)
		place.Kubeconfig = gateway.Kubeconfig()
		replica := place.Launch()
		gates[replica], gateways[replica] = gate, gateway
		return replica
	}
	registers := func(ctx context.Context, replica *ireneprocess.Process) float64 {
		return controlplane.Gauge(ctx, replica, "irene_route_emitter_active")
	}
	BeforeEach(func(ctx context.Context) {
		place = newRouting(ctx, direct(), router.Options{RegisterInterval: 2 * time.Second, PruneThreshold: pruneThreshold, PruneInterval: time.Second})
		place.Settings["leader_election"] = map[string]any{"lease_duration": "15s", "renew_deadline": "10s", "retry_period": "2s"}
		nodes = controlplane.NewKubelet(ctx, api, place.Namespace, 2)
		gates, gateways = map[*ireneprocess.Process]*loopback.Gate{}, map[*ireneprocess.Process]*controlplane.Gateway{}
	})

	DescribeTable("costs no request to an app, and an instance that gets ready a few seconds", func(ctx context.Context,
		lose func(ctx context.Context, registrar, other *ireneprocess.Process)) {
		registrar, other := startReplica(), startReplica()
		for _, replica := range []*ireneprocess.Process{registrar, other} {
			Expect(replica.AwaitReady(ctx)).To(Succeed())
		}
		stays, starts := nodes.App("stays", 2), nodes.App("starts", 1)
		controlplane.DesireApp(ctx, registrar, stays)
		controlplane.DesireApp(ctx, other, starts)
		place.routed(ctx, stays, "stays.example.com", nodes.Port, 2)
		place.routed(ctx, starts, "starts.example.com", nodes.Port, 1)
		Eventually(func() float64 { return registers(ctx, registrar) + registers(ctx, other) }).Should(BeEquivalentTo(1))
		if registers(ctx, other) == 1 {
			registrar, other = other, registrar
		}
		instance := nodes.Pod(ctx, place.StatefulSet(ctx, starts.GUID()).Name, 0)
		nodes.ReportReady(ctx, instance, false)
		place.unrouted("starts.example.com")
		staying := place.load(stays, "stays.example.com")
		staying.goesOn(50)

		lost := time.Now()
		lose(ctx, registrar, other)
		nodes.ReportReady(ctx, instance, true)
		starting := place.load(starts, "starts.example.com")
		ready := time.Now()
		var gap time.Duration
		DeferCleanup(func() {
			AddReportEntry(fmt.Sprintf("an instance that got ready is routed after %s; of %d requests to it %d failed, of %d to an app that stayed %d",
				gap.Round(10*time.Millisecond), starting.sent, len(starting.stop()), staying.sent, len(staying.stop())))
		})
		for _, w := range place.routers {
			Eventually(func() []string { return w.addresses("starts.example.com") }, "30s", "10ms").Should(HaveLen(1))
			gap = max(gap, time.Since(ready))
		}
		starting.goesOn(50)
		Eventually(func() time.Duration { return time.Since(lost) }, "30s", "100ms").Should(BeNumerically(">", 2*pruneThreshold))
		starting.stop()
		Expect(staying.stop()).To(BeEmpty())
		// The Lease takes 15 s to run out.
		Expect(gap).To(BeNumerically("<", 10*time.Second))
	},
		Entry("its connection to NATS breaks", patience, func(_ context.Context, registrar, _ *ireneprocess.Process) {
			gates[registrar].Cut()
		}),
		Entry("NATS hears nothing of it any more", patience, func(_ context.Context, registrar, _ *ireneprocess.Process) {
			gates[registrar].Stall()
		}),
		Entry("it loses the API server", patience, func(_ context.Context, registrar, _ *ireneprocess.Process) {
			gateways[registrar].Close()
		}),
		Entry("it is killed", patience, func(_ context.Context, registrar, _ *ireneprocess.Process) {
			registrar.Kill()
		}),
		Entry("it hangs", patience, func(_ context.Context, registrar, _ *ireneprocess.Process) {
			Expect(registrar.Freeze()).To(Succeed())
		}),
		Entry("all are killed, and one is started again", patience, func(_ context.Context, registrar, other *ireneprocess.Process) {
			registrar.Kill()
			other.Kill()
			startReplica()
		}),
	)
})
