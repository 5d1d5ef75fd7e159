//go:build controlplane

package controlplane_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
	"github.com/irene-cf/irene/fixtures/router"
)

// discovery listens as service discovery does.
type discovery struct {
	mutex sync.Mutex
	names map[string]map[string]bool
}

func newDiscovery(r *routing) *discovery {
	GinkgoHelper()
	s := &discovery{names: map[string]map[string]bool{}}
	connection, err := nats.Connect(r.bus.URL(), nats.UserInfo("irene", "secret"))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(connection.Close)
	_, err = connection.Subscribe("service-discovery.*", s.handle)
	Expect(err).NotTo(HaveOccurred())
	Expect(connection.Flush()).To(Succeed())
	return s
}

func (s *discovery) handle(m *nats.Msg) {
	defer GinkgoRecover()
	var message router.Registration
	Expect(json.Unmarshal(m.Data, &message)).To(Succeed())
	Expect(message.Port).To(BeZero())
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, name := range message.URIs {
		switch {
		case m.Subject == "service-discovery.unregister":
			delete(s.names[name], message.Host)
		case s.names[name] == nil:
			s.names[name] = map[string]bool{message.Host: true}
		default:
			s.names[name][message.Host] = true
		}
	}
}

// lookup is the addresses of a name, sorted.
func (s *discovery) lookup(name string) []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	hosts := slices.AppendSeq([]string{}, maps.Keys(s.names[name]))
	slices.Sort(hosts)
	return hosts
}

var _ = Describe("A change of routes", Ordered, ContinueOnFailure, func() {
	var (
		place *routing
		nodes *controlplane.Kubelet
		irene *ireneprocess.Process
		// d has two instances that listen on port and other.
		d           cloudcontroller.Desire
		port, other int
	)
	BeforeAll(func(ctx context.Context) {
		place = aloneRouting(ctx)
		nodes = controlplane.NewKubelet(ctx, api, place.Namespace, 1)
		irene = place.Start(ctx)
		port, other = nodes.Port, nodes.Port-1
	}, NodeTimeout(3*time.Minute))
	BeforeEach(func(ctx context.Context) {
		d = nodes.App("changed", 2).With("ports", []int{port, other})
		desire(ctx, irene, d)
		place.routed(ctx, d, "changed.example.com", port, 2)
	}, NodeTimeout(3*time.Minute))
	AfterEach(func(ctx context.Context) {
		Expect(irene.Client.Stop(ctx, d.GUID(), d.Version())).To(answered(200))
		place.unrouted("changed.example.com")
		// The next one may have an instance of the same name.
		Eventually(place.NothingLeftOf(ctx, d.GUID())).Should(Succeed())
	}, NodeTimeout(3*time.Minute))

	// neighboured is another app with an instance and a route.
	neighboured := func(ctx context.Context) {
		GinkgoHelper()
		neighbour := nodes.App("neighbour", 1)
		desire(ctx, irene, neighbour)
		DeferCleanup(func(ctx context.Context) {
			Expect(irene.Client.Stop(ctx, neighbour.GUID(), neighbour.Version())).To(answered(200))
			place.unrouted("neighbour.example.com")
		})
		place.routed(ctx, neighbour, "neighbour.example.com", port, 1)
	}
	update := func(ctx context.Context, routes map[string]any) {
		GinkgoHelper()
		Expect(irene.Update(ctx, d.GUID(), d.Version(), map[string]any{
			"instances": 2, "routes": routes, "annotation": fmt.Sprint(time.Now().UnixNano()),
		})).To(answered(200))
	}
	http := func(lists ...[]any) map[string]any {
		return map[string]any{"cf-router": append([]any{}, slices.Concat(lists...)...)}
	}
	tables := func(uris ...string) {
		GinkgoHelper()
		for _, w := range place.routers {
			Eventually(func() []string { return slices.Sorted(maps.Keys(w.Table())) }).Should(ConsistOf(uris))
		}
	}
	// inOrder is that everything new came before anything old went, at each router.
	inOrder := func(since []int, came, went []func(router.Message) bool) {
		GinkgoHelper()
		for i, w := range place.routers {
			var last, first time.Time
			for _, matches := range came {
				if at := w.hears(since[i], matches).At; at.After(last) {
					last = at
				}
			}
			for _, matches := range went {
				if at := w.hears(since[i], matches).At; first.IsZero() || at.Before(first) {
					first = at
				}
			}
			Expect(first).To(BeTemporally(">", last))
		}
	}

	It("brings what is new before it takes what is old", func(ctx context.Context) {
		addresses := place.instances(ctx, d, port)
		since := place.now()
		update(ctx, http(cfRoutes(port, "new.example.com", "second.example.com")))
		tables("new.example.com", "second.example.com")
		var came, went []func(router.Message) bool
		for _, address := range addresses {
			came = append(came, registers("new.example.com", address), registers("second.example.com", address))
			went = append(went, unregisters("changed.example.com", address))
		}
		inOrder(since, came, went)
		Expect(place.routed(ctx, d, "new.example.com", port, 2)).To(Equal(addresses))

		By("taking one away and leaving the other alone")
		since = place.now()
		update(ctx, http(cfRoutes(port, "second.example.com")))
		tables("second.example.com")
		Expect(place.routers[0].heard(since[0], unregisters("second.example.com", ""))).To(BeEmpty())
		update(ctx, http())
		tables()
	}, patience)

	It("moves a route to another port without a moment between", func(ctx context.Context) {
		before := place.instances(ctx, d, port)
		requests := place.load(d, "changed.example.com")
		requests.goesOn(50)
		since := place.now()
		update(ctx, http(cfRoutes(other, "changed.example.com")))
		after := place.routed(ctx, d, "changed.example.com", other, 2)
		inOrder(since,
			[]func(router.Message) bool{registers("changed.example.com", after[0]), registers("changed.example.com", after[1])},
			[]func(router.Message) bool{unregisters("changed.example.com", before[0]), unregisters("changed.example.com", before[1])})
		requests.goesOn(50)
		requests.lostNothing(2)
	}, patience)

	It("moves a route to the routers of another isolation segment, and the app's end takes it from all", func(ctx context.Context) {
		const uri = "moving.example.com"
		serving := func(segments ...string) *witness {
			GinkgoHelper()
			options := place.routers[0].options
			options.Sharding, options.Segments = router.OnlySegments, segments
			return newWitness(options)
		}
		gold, silver, both := serving("gold"), serving("silver"), serving("gold", "silver")
		addresses := place.instances(ctx, d, port)
		moves := func(segment string, to, from *witness) {
			GinkgoHelper()
			update(ctx, http([]any{map[string]any{"hostname": uri, "port": port, "isolation_segment": segment}}))
			for _, w := range append([]*witness{to, both}, place.routers...) {
				Eventually(w.addresses).WithArguments(uri).Should(Equal(addresses))
				Eventually(func() []router.Endpoint { return w.Endpoints(uri) }).Should(HaveEach(HaveField("IsolationSegment", segment)))
			}
			Eventually(from.addresses).WithArguments(uri).Should(BeEmpty())

			By("staying there when endpoints are registered again")
			since := from.now()
			for _, address := range addresses {
				from.hears(since, registers(uri, address))
			}
			Expect(from.addresses(uri)).To(BeEmpty())
			for _, w := range append([]*witness{to, both}, place.routers...) {
				Expect(w.addresses(uri)).To(Equal(addresses))
			}
		}
		moves("gold", gold, silver)
		moves("silver", silver, gold)
		moves("gold", gold, silver)

		Expect(irene.Client.Stop(ctx, d.GUID(), d.Version())).To(answered(200))
		for _, w := range append([]*witness{gold, silver, both}, place.routers...) {
			Eventually(w.addresses).WithArguments(uri).Should(BeEmpty())
		}
	}, patience)

	It("takes paths, wildcards and any case", func(ctx context.Context) {
		neighboured(ctx)
		update(ctx, http(cfRoutes(port, "Changed.Example.COM", "neighbour.example.com/Deep/path", "*.wild.example.com"), cfRoutes(other, "changed.example.com/admin")))
		tables("changed.example.com", "changed.example.com/admin", "neighbour.example.com", "neighbour.example.com/deep/path", "*.wild.example.com")
		app := func(url string) string {
			GinkgoHelper()
			response, err := place.routers[1].Client().Get("http://" + url)
			Expect(err).NotTo(HaveOccurred())
			defer response.Body.Close()
			var from controlplane.Identity
			Expect(json.NewDecoder(response.Body).Decode(&from)).To(Succeed())
			return from.App
		}
		Expect(app("changed.example.com")).To(Equal("changed"))
		Expect(app("changed.example.com/admin/users")).To(Equal("changed"))
		Expect(app("any.wild.example.com/")).To(Equal("changed"))
		Expect(app("neighbour.example.com/deep/path/x")).To(Equal("changed"))
		Expect(app("neighbour.example.com/deep")).To(Equal("neighbour"))
	}, patience)

	It("tells service discovery of internal routes, and of each instance by its index", func(ctx context.Context) {
		names := newDiscovery(place)
		hosts := []string{}
		for _, address := range place.instances(ctx, d, port) {
			hosts = append(hosts, strings.TrimSuffix(address, fmt.Sprintf(":%d", port)))
		}
		set := place.StatefulSet(ctx, d.GUID()).Name
		own := func(index int) []string {
			return []string{strings.TrimSuffix(nodes.Pod(ctx, set, index).Address(port), fmt.Sprintf(":%d", port))}
		}
		update(ctx, map[string]any{"internal-router": []any{map[string]any{"hostname": "changed.apps.internal"}}})
		Eventually(names.lookup).WithArguments("changed.apps.internal").Should(Equal(hosts))
		Eventually(names.lookup).WithArguments("0.changed.apps.internal").Should(Equal(own(0)))
		Eventually(names.lookup).WithArguments("1.changed.apps.internal").Should(Equal(own(1)))
		tables("changed.example.com") // HTTP routes were not spoken of

		By("when an instance goes and comes")
		nodes.ReportReady(ctx, nodes.Pod(ctx, set, 1), false)
		Eventually(names.lookup).WithArguments("changed.apps.internal").Should(Equal(own(0)))
		Eventually(names.lookup).WithArguments("1.changed.apps.internal").Should(BeEmpty())
		nodes.ReportReady(ctx, nodes.Pod(ctx, set, 1), true)
		Eventually(names.lookup).WithArguments("changed.apps.internal").Should(Equal(hosts))

		By("when the route goes")
		update(ctx, map[string]any{"internal-router": []any{}})
		for _, name := range []string{"changed.apps.internal", "0.changed.apps.internal", "1.changed.apps.internal"} {
			Eventually(names.lookup).WithArguments(name).Should(BeEmpty())
		}
		tables("changed.example.com")
	}, patience)

	DescribeTable("by hand that is malformed costs its neighbours nothing",
		func(ctx context.Context, uris []string, text string) {
			neighboured(ctx)
			since := place.routers[0].now()
			text = strings.ReplaceAll(text, "PORT", fmt.Sprint(port))
			patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{"cloudfoundry.org/routes": text}}})
			Expect(err).NotTo(HaveOccurred())
			_, err = api.AppsV1().StatefulSets(place.Namespace).Patch(ctx, place.StatefulSet(ctx, d.GUID()).Name, types.MergePatchType, patch, metav1.PatchOptions{})
			Expect(err).NotTo(HaveOccurred())
			tables(append(uris, "neighbour.example.com")...)
			Expect(place.routers[0].heard(since, unregisters("neighbour.example.com", ""))).To(BeEmpty())
			for _, w := range place.routers {
				Expect(w.Counts().Malformed).To(BeZero())
			}

			By("being mended by the next sync")
			update(ctx, http(cfRoutes(port, "changed.example.com")))
			tables("changed.example.com", "neighbour.example.com")
		},
		Entry("hosts and ports that are none", patience, []string{"new.example.com"}, `[{"hostname":"not a host","port":PORT},{"hostname":"","port":PORT},
			{"hostname":"zero.example.com","port":0},{"hostname":"far.example.com","port":99999},{"hostname":"https://x.example.com","port":PORT},
			{"hostname":"*","port":PORT},{},{"hostname":"new.example.com","port":PORT}]`),
		Entry("a route service that is none", patience, []string{"new.example.com"},
			`[{"hostname":"served.example.com","port":PORT,"route_service_url":"http://x"},{"hostname":"new.example.com","port":PORT}]`),
		Entry("members of the wrong type", patience, []string{"new.example.com"},
			`[{"hostname":"text.example.com","port":"8080"},{"hostname":["x"],"port":PORT},5,null,{"hostname":"new.example.com","port":PORT}]`),
		Entry("no list", patience, []string{}, `{"hostname":"changed.example.com"}`),
		Entry("no JSON", patience, []string{}, `changed.example.com`),
	)
})
