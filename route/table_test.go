package route_test

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/routing"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/route"
)

// registered returns the instance of each key of a table.
func registered(t *route.Table) map[route.Key]string {
	result := map[route.Key]string{}
	for e := range t.Endpoints() {
		for _, uri := range e.URIs {
			if _, twice := result[e.Key(uri)]; twice {
				panic(fmt.Sprintf("%v is registered twice", e.Key(uri)))
			}
			result[e.Key(uri)] = e.Instance
		}
	}
	return result
}

func TestRoutesShareEndpointsByAttributes(t *testing.T) {
	g := NewWithT(t)
	s := routing.WithInstance(routing.LRP("dora", "b.example.com", "A.example.com", "*.example.com", "a.example.com/"), 0, "10.0.0.1")
	s.LRP.HTTP = append(s.LRP.HTTP,
		opi.HTTPRoute{Hostname: "c.example.com", Port: 8080, Protocol: "http1"},
		opi.HTTPRoute{Hostname: "d.example.com", Port: 8080, IsolationSegment: "shard"},
		opi.HTTPRoute{Hostname: "a.example.com", Port: 9090},
		opi.HTTPRoute{Hostname: "a.example.com", Port: 8080, Protocol: "http2"},
		opi.HTTPRoute{Hostname: "bad host", Port: 8080},
		opi.HTTPRoute{Hostname: "e.example.com", Port: 8080, RouteServiceURL: "http://plain"},
	)
	table := route.NewTable(s)
	var uris [][]string
	for e := range table.Endpoints() {
		uris = append(uris, e.URIs)
	}
	g.Expect(uris).To(ConsistOf(
		[]string{"*.example.com", "a.example.com", "b.example.com", "c.example.com"},
		[]string{"d.example.com"}, []string{"a.example.com"}))
	g.Expect(table.Len()).To(Equal(3))
}

func TestInternalRoutes(t *testing.T) {
	g := NewWithT(t)
	s := routing.WithInstance(routing.LRP("dora"), 3, "10.0.0.1")
	s.LRP.Internal = []opi.InternalRoute{{Hostname: "Dora.apps.internal"}}
	changes := route.NewTable().Apply(s)
	g.Expect(changes.Register).To(HaveLen(1))
	e := changes.Register[0]
	g.Expect(e.Kind).To(Equal(route.Internal))
	g.Expect(e.URIs).To(Equal([]string{"3.dora.apps.internal", "dora.apps.internal"}))
	g.Expect(e.Port).To(BeEquivalentTo(0))
	g.Expect(e.Host).To(Equal("10.0.0.1"))
}

func TestOnlyRoutableInstances(t *testing.T) {
	g := NewWithT(t)
	s := routing.WithInstance(routing.WithInstance(routing.WithInstance(routing.WithInstance(routing.LRP("dora", "a.example.com"), 0, "10.0.0.1"), 1, "10.0.0.2"), 2, ""), 3, "10.0.0.4")
	s.Instances[0].Ready = false
	s.Instances[1].Terminating = true
	g.Expect(registered(route.NewTable(s))).To(HaveLen(1))
}

func TestManyURIsAreSplit(t *testing.T) {
	g := NewWithT(t)
	s := routing.WithInstance(routing.LRP("dora"), 0, "10.0.0.1")
	for i := range 1000 {
		s.LRP.HTTP = append(s.LRP.HTTP, opi.HTTPRoute{Hostname: fmt.Sprintf("h%d.example.com", i), Port: 8080})
	}
	table := route.NewTable(s)
	g.Expect(table.Len()).To(Equal(4))
	g.Expect(registered(table)).To(HaveLen(1000))
}

func TestChanges(t *testing.T) {
	g := NewWithT(t)
	base := routing.WithInstance(routing.LRP("dora", "a.example.com", "b.example.com"), 0, "10.0.0.1")
	table := route.NewTable(base)
	g.Expect(table.Apply(base)).To(BeZero(), "the same again changes nothing")

	moved := routing.WithInstance(routing.LRP("dora", "b.example.com", "c.example.com"), 0, "10.0.0.1")
	moved.Revision = route.Revision{LRP: 5, Instances: 7}
	changes := table.Apply(moved)
	g.Expect(changes.Register).To(HaveLen(1))
	g.Expect(changes.Unregister).To(HaveLen(1))
	g.Expect(changes.Unregister[0].URIs).To(Equal([]string{"a.example.com"}), "b stays registered")
	g.Expect(changes.Unregister[0].Endpoint.Instance).To(Equal("dora-process-0-10.0.0.1"))
	g.Expect(changes.Unregister[0].Revision).To(Equal(route.Revision{LRP: 5, Instances: 7}))

	port := routing.WithInstance(routing.LRP("dora"), 0, "10.0.0.1")
	port.LRP.HTTP = []opi.HTTPRoute{{Hostname: "b.example.com", Port: 9090}}
	changes = table.Apply(port)
	g.Expect(changes.Register[0].Port).To(BeEquivalentTo(9090))
	g.Expect(changes.Unregister[0].Endpoint.Port).To(BeEquivalentTo(8080))

	changes = table.Replace()
	g.Expect(changes.Register).To(BeEmpty())
	g.Expect(changes.Unregister).To(HaveLen(1))
	g.Expect(table.Len()).To(BeZero())
	g.Expect(table.Holds()).To(BeZero())
}

func TestAddressReusedByAnotherTenant(t *testing.T) {
	g := NewWithT(t)
	old := routing.WithInstance(routing.LRP("dora", "shared.example.com", "dora.example.com"), 0, "10.0.0.1")
	next := routing.WithInstance(routing.LRP("other", "shared.example.com", "other.example.com"), 0, "10.0.0.1")
	next.Instances[0].UpdatedAt = old.Instances[0].UpdatedAt.Add(time.Second)
	table := route.NewTable(old)
	changes := table.Apply(next) // before the old one is known to be gone
	g.Expect(changes.Unregister).To(HaveLen(1))
	g.Expect(changes.Unregister[0].URIs).To(Equal([]string{"dora.example.com"}))
	g.Expect(registered(table)).To(HaveKeyWithValue(route.Key{Kind: route.HTTP, Host: "10.0.0.1", Port: 8080, URI: "shared.example.com"}, "other-process-0-10.0.0.1"))
	g.Expect(table.Apply(routing.LRP("dora"))).To(BeZero())
}

func TestDiffOfTwoTables(t *testing.T) {
	g := NewWithT(t)
	from := route.NewTable(routing.WithInstance(routing.LRP("a", "a.example.com"), 0, "10.0.0.1"), routing.WithInstance(routing.LRP("b", "b.example.com"), 0, "10.0.0.2"))
	to := route.NewTable(routing.WithInstance(routing.WithInstance(routing.LRP("b", "b.example.com"), 0, "10.0.0.2"), 1, "10.0.0.3"))
	changes := route.Diff(from, to)
	g.Expect(changes.Register).To(HaveLen(1))
	g.Expect(changes.Unregister).To(HaveLen(1))
	g.Expect(changes.Unregister[0].Endpoint.Host).To(Equal("10.0.0.1"))
	g.Expect(route.Diff(to, to)).To(BeZero())
}
