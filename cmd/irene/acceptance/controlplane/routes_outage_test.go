//go:build controlplane

package controlplane_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
	"github.com/irene-cf/irene/fixtures/router"
)

var _ = Describe("The whole table", func() {
	It("is with a router soon after its start", func(ctx context.Context) {
		place := newRouting(ctx, direct(), router.Options{RegisterInterval: 20 * time.Second})
		place.Settings["leader_election"] = map[string]any{"enabled": false}
		irene := place.Start(ctx)
		const instances = 50
		// Routes to different ports are endpoints of their own.
		routes := func(count int) map[string]any {
			list := []any{}
			for port := range count {
				list = append(list, cfRoutes(2000+port, fmt.Sprintf("large-%d.example.com", port))...)
			}
			return map[string]any{"cf-router": list}
		}
		full := func(w *witness, endpoints int) {
			GinkgoHelper()
			Eventually(func() int {
				_, known := w.Size()
				return known
			}, "40s", "2ms").Should(Equal(endpoints))
		}
		restarts := func(endpoints int) []time.Duration {
			GinkgoHelper()
			for _, w := range place.routers {
				full(w, endpoints)
			}
			times := []time.Duration{}
			for range 3 {
				w := place.routers[0]
				began := time.Now()
				w.restart()
				full(w, endpoints)
				times = append(times, time.Since(began))
				Expect(w.Counts().Lost + w.Counts().Malformed).To(BeZero())
			}
			reportTimes(fmt.Sprintf("from router.start to %d endpoints in its table", endpoints), times)
			return times
		}
		d := cloudcontroller.NewBuildpack("large").With("instances", instances).With("routes", routes(40))
		controlplane.DesireApp(ctx, irene, d)
		// Within a second, or as long again if the first answer came before the router had
		// subscribed; without the second answer, it would take the refresh interval.
		Expect(restarts(40 * instances)).To(HaveEach(BeNumerically("<", 5*time.Second)))

		// The promise holds for as many as these, but routers that share their
		// processors and a race detector with the whole suite may not keep up.
		Expect(irene.Update(ctx, d.GUID(), d.Version(), map[string]any{"instances": instances, "routes": routes(200), "annotation": "2.0"})).To(controlplane.Answered(200))
		restarts(200 * instances)
	}, SpecTimeout(4*time.Minute))
})

var _ = Describe("When NATS is away", func() {
	var place *routing
	BeforeEach(func(ctx context.Context) { place = aloneRouting(ctx) })

	// emitter is the status of /readyz/emitter and what it says.
	emitter := func(irene *ireneprocess.Process) (int, string) {
		GinkgoHelper()
		response, err := http.Get(irene.ObserveURL + "/readyz/emitter")
		Expect(err).NotTo(HaveOccurred())
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		Expect(err).NotTo(HaveOccurred())
		return response.StatusCode, string(text)
	}
	routable := func(irene *ireneprocess.Process) func(Gomega) {
		return func(g Gomega) {
			status, text := emitter(irene)
			g.Expect(status).To(Equal(200), text)
		}
	}
	unroutable := func(irene *ireneprocess.Process) func(Gomega) {
		return func(g Gomega) {
			status, text := emitter(irene)
			g.Expect(status).To(Equal(503))
			g.Expect(text).To(HavePrefix("not ready: NATS"))
		}
	}
	named := func(name string, instances int) cloudcontroller.Desire {
		return cloudcontroller.NewBuildpack(name).With("instances", instances)
	}
	const port = 8080
	uri := func(name string) string { return name + ".apps.example.com" }

	It("Irene serves its API, says so, and puts everything right when it comes back", func(ctx context.Context) {
		irene := place.Start(ctx)
		stays, stopped, scaled, moved := named("stays", 2), named("stopped", 2), named("scaled", 3), named("moved", 1)
		for _, d := range []cloudcontroller.Desire{stays, stopped, scaled, moved} {
			controlplane.DesireApp(ctx, irene, d)
		}
		for _, d := range []cloudcontroller.Desire{stays, stopped, scaled, moved} {
			place.routed(ctx, d, uri(d["app_name"].(string)), port, controlplane.InstancesOf(d))
		}
		Eventually(routable(irene)).Should(Succeed())

		place.bus.Stop()
		Eventually(unroutable(irene)).Should(Succeed())
		Expect(ready(irene)).To(Equal(200))
		Eventually(controlplane.Gauge).WithArguments(ctx, irene, "irene_route_nats_connected").Should(BeZero())
		fresh := named("fresh", 2)
		controlplane.RunApp(ctx, irene, fresh)
		Expect(irene.Client.Stop(ctx, stopped.GUID(), stopped.Version())).To(controlplane.Answered(200))
		Expect(irene.Update(ctx, scaled.GUID(), scaled.Version(), map[string]any{"instances": 1, "routes": scaled["routes"], "annotation": "2.0"})).To(controlplane.Answered(200))
		Expect(irene.Update(ctx, moved.GUID(), moved.Version(), map[string]any{"instances": 1, "annotation": "2.0",
			"routes": map[string]any{"cf-router": cfRoutes(9090, "elsewhere.example.com")}})).To(controlplane.Answered(200))
		Eventually(place.NothingLeftOf(ctx, stopped.GUID())).Should(Succeed())
		controlplane.AwaitRunning(ctx, irene, scaled, 1)
		Expect(irene.List(ctx)).To(HaveLen(4))
		// The routers, too, know nothing of all that yet.
		Expect(place.routers[0].addresses(uri("stopped"))).To(HaveLen(2))

		began := time.Now()
		Expect(place.bus.Start()).To(Succeed())
		place.routed(ctx, stays, uri("stays"), port, 2)
		place.routed(ctx, scaled, uri("scaled"), port, 1)
		place.routed(ctx, moved, "elsewhere.example.com", 9090, 1)
		place.routed(ctx, fresh, uri("fresh"), port, 2)
		place.unrouted(uri("stopped"))
		place.unrouted(uri("moved"))
		AddReportEntry(fmt.Sprintf("from the return of NATS to tables that are right, reconnecting included: %s", time.Since(began).Round(time.Millisecond)))
		for _, w := range place.routers {
			Expect(w.Table()).To(HaveLen(4))
		}
		Eventually(routable(irene)).Should(Succeed())
		Eventually(controlplane.Gauge).WithArguments(ctx, irene, "irene_route_nats_connected").Should(BeEquivalentTo(1))
	}, patience)

	It("Irene starts, serves its API, and tells routers everything when it comes", func(ctx context.Context) {
		place.bus.Stop()
		irene := place.Start(ctx)
		Eventually(unroutable(irene)).Should(Succeed())
		d := named("early", 2)
		controlplane.RunApp(ctx, irene, d)
		Expect(irene.List(ctx)).To(HaveKey(d.ProcessGUID()))
		Expect(place.bus.Start()).To(Succeed())
		place.routed(ctx, d, uri("early"), port, 2)
		Eventually(routable(irene)).Should(Succeed())
	}, patience)
})
