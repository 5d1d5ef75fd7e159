package route

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

func demo(name string, hosts ...string) State {
	s := State{LRP: LRP{
		ID: opi.LRPIdentifier{GUID: name + "-process", Version: "v1"}, ProcessType: "web",
		App:          opi.Owner{GUID: name + "-app", Name: name},
		Space:        opi.Owner{GUID: "space-guid", Name: "space"},
		Organization: opi.Owner{GUID: "org-guid", Name: "org"},
	}}
	for _, host := range hosts {
		s.LRP.HTTP = append(s.LRP.HTTP, opi.HTTPRoute{Hostname: host, Port: 8080})
	}
	return s
}

func (s State) with(index int, address string) State {
	s.Instances = append(s.Instances[:len(s.Instances):len(s.Instances)], Instance{
		GUID: fmt.Sprintf("%s-%d-%s", s.LRP.ID.GUID, index, address), Index: index, Address: address, Ready: true,
		Zone: "z1", UpdatedAt: time.Unix(1000, 5)})
	return s
}

// registered is the table as triples, the value telling the instance.
func registered(t *Table) map[Triple]string {
	result := map[Triple]string{}
	for m := range t.Messages() {
		for _, uri := range m.URIs {
			triple := Triple{m.Audience, m.Host, m.Port, uri}
			if _, twice := result[triple]; twice {
				panic(fmt.Sprintf("%v is registered twice", triple))
			}
			result[triple] = m.decode().InstanceID
		}
	}
	return result
}

func TestMessageHasEveryField(t *testing.T) {
	g := NewWithT(t)
	s := demo("dora").with(2, "10.0.0.7")
	s.LRP.HTTP = []opi.HTTPRoute{{Hostname: "Dora.Example.com/Path/", Port: 8080, Protocol: "http2",
		RouteServiceURL: "https://rs.example.com", IsolationSegment: "shard", Options: map[string]string{"loadbalancing": "least-connection"}}}
	s.Instances[0].TLSPorts, s.Instances[0].SAN = map[int32]int32{8080: 61001}, "guid.san"
	changes := NewTable().Apply(s)
	g.Expect(changes.Unregister).To(BeEmpty())
	g.Expect(changes.Register).To(HaveLen(1))
	g.Expect(changes.Register[0].Payload).To(MatchJSON(`{
		"host":"10.0.0.7","port":8080,"tls_port":61001,"server_cert_domain_san":"guid.san",
		"uris":["dora.example.com/path"],"app":"dora-app","private_instance_id":"dora-process-2-10.0.0.7",
		"private_instance_index":"2","isolation_segment":"shard","availability_zone":"z1","protocol":"http2",
		"route_service_url":"https://rs.example.com","endpoint_updated_at_ns":1000000000005,
		"tags":{"source_id":"dora-app","app_id":"dora-app","app_name":"dora","process_id":"dora-process",
			"process_type":"web","process_instance_id":"dora-process-2-10.0.0.7","instance_id":"2",
			"space_id":"space-guid","space_name":"space","organization_id":"org-guid","organization_name":"org",
			"component":"route-emitter"},
		"options":{"loadbalancing":"least-connection"}}`))
	g.Expect(changes.Register[0].Port).To(BeEquivalentTo(61001))
}

func TestRoutesShareMessagesByAttributes(t *testing.T) {
	g := NewWithT(t)
	s := demo("dora", "b.example.com", "A.example.com", "*.example.com", "a.example.com/").with(0, "10.0.0.1")
	s.LRP.HTTP = append(s.LRP.HTTP,
		opi.HTTPRoute{Hostname: "c.example.com", Port: 8080, Protocol: "http1"},
		opi.HTTPRoute{Hostname: "d.example.com", Port: 8080, IsolationSegment: "shard"},
		opi.HTTPRoute{Hostname: "a.example.com", Port: 9090},
		opi.HTTPRoute{Hostname: "a.example.com", Port: 8080, Protocol: "http2"},
		opi.HTTPRoute{Hostname: "bad host", Port: 8080},
		opi.HTTPRoute{Hostname: "e.example.com", Port: 8080, RouteServiceURL: "http://plain"},
	)
	table := NewTable(s)
	var uris [][]string
	for m := range table.Messages() {
		uris = append(uris, m.URIs)
	}
	g.Expect(uris).To(ConsistOf(
		[]string{"*.example.com", "a.example.com", "b.example.com", "c.example.com"},
		[]string{"d.example.com"}, []string{"a.example.com"}))
	g.Expect(table.Len()).To(Equal(3))
}

func TestInternalRoutes(t *testing.T) {
	g := NewWithT(t)
	s := demo("dora").with(3, "10.0.0.1")
	s.LRP.Internal = []opi.InternalRoute{{Hostname: "Dora.apps.internal"}}
	changes := NewTable().Apply(s)
	g.Expect(changes.Register).To(HaveLen(1))
	m := changes.Register[0]
	g.Expect(m.Audience.registerSubject()).To(Equal("service-discovery.register"))
	g.Expect(m.URIs).To(Equal([]string{"3.dora.apps.internal", "dora.apps.internal"}))
	var fields map[string]any
	g.Expect(json.Unmarshal(m.Payload, &fields)).To(Succeed())
	g.Expect(fields).To(HaveKeyWithValue("port", BeEquivalentTo(0)))
	g.Expect(fields).To(HaveKeyWithValue("host", "10.0.0.1"))
}

func TestOnlyRoutableInstances(t *testing.T) {
	g := NewWithT(t)
	s := demo("dora", "a.example.com").with(0, "10.0.0.1").with(1, "10.0.0.2").with(2, "").with(3, "10.0.0.4")
	s.Instances[0].Ready = false
	s.Instances[1].Terminating = true
	g.Expect(registered(NewTable(s))).To(HaveLen(1))
}

func TestManyURIsAreSplit(t *testing.T) {
	g := NewWithT(t)
	s := demo("dora").with(0, "10.0.0.1")
	for i := range 1000 {
		s.LRP.HTTP = append(s.LRP.HTTP, opi.HTTPRoute{Hostname: fmt.Sprintf("h%d.example.com", i), Port: 8080})
	}
	table := NewTable(s)
	g.Expect(table.Len()).To(Equal(4))
	g.Expect(registered(table)).To(HaveLen(1000))
}

func TestChanges(t *testing.T) {
	g := NewWithT(t)
	base := demo("dora", "a.example.com", "b.example.com").with(0, "10.0.0.1")
	table := NewTable(base)
	g.Expect(table.Apply(base)).To(BeZero(), "the same again changes nothing")

	moved := demo("dora", "b.example.com", "c.example.com").with(0, "10.0.0.1")
	moved.Revision = Revision{LRP: 5, Instances: 7}
	changes := table.Apply(moved)
	g.Expect(changes.Register).To(HaveLen(1))
	g.Expect(changes.Unregister).To(HaveLen(1))
	g.Expect(changes.Unregister[0].URIs).To(Equal([]string{"a.example.com"}), "b stays registered")
	g.Expect(changes.Unregister[0].marshal("me")).To(MatchJSON(`{"host":"10.0.0.1","port":8080,"uris":["a.example.com"],
		"app":"dora-app","private_instance_id":"dora-process-0-10.0.0.1","private_instance_index":"0",
		"irene":{"emitter":"me","revision":{"lrp":5,"instances":7}}}`))

	port := demo("dora").with(0, "10.0.0.1")
	port.LRP.HTTP = []opi.HTTPRoute{{Hostname: "b.example.com", Port: 9090}}
	changes = table.Apply(port)
	g.Expect(changes.Register[0].Port).To(BeEquivalentTo(9090))
	g.Expect(changes.Unregister[0].Port).To(BeEquivalentTo(8080))

	changes = table.Replace()
	g.Expect(changes.Register).To(BeEmpty())
	g.Expect(changes.Unregister).To(HaveLen(1))
	g.Expect(table.Len()).To(BeZero())
	g.Expect(table.lrps).To(BeEmpty())
	g.Expect(table.addresses).To(BeEmpty())
}

func TestAddressReusedByAnotherTenant(t *testing.T) {
	g := NewWithT(t)
	old := demo("dora", "shared.example.com", "dora.example.com").with(0, "10.0.0.1")
	next := demo("other", "shared.example.com", "other.example.com").with(0, "10.0.0.1")
	next.Instances[0].UpdatedAt = old.Instances[0].UpdatedAt.Add(time.Second)
	table := NewTable(old)
	changes := table.Apply(next) // before the old one is known to be gone
	g.Expect(changes.Unregister).To(HaveLen(1))
	g.Expect(changes.Unregister[0].URIs).To(Equal([]string{"dora.example.com"}))
	g.Expect(registered(table)).To(HaveKeyWithValue(Triple{Router, "10.0.0.1", 8080, "shared.example.com"}, "other-process-0-10.0.0.1"))
	g.Expect(table.Apply(demo("dora"))).To(BeZero())
}

func TestDiffOfTwoTables(t *testing.T) {
	g := NewWithT(t)
	from := NewTable(demo("a", "a.example.com").with(0, "10.0.0.1"), demo("b", "b.example.com").with(0, "10.0.0.2"))
	to := NewTable(demo("b", "b.example.com").with(0, "10.0.0.2").with(1, "10.0.0.3"))
	changes := Diff(from, to)
	g.Expect(changes.Register).To(HaveLen(1))
	g.Expect(changes.Unregister).To(HaveLen(1))
	g.Expect(changes.Unregister[0].Host).To(Equal("10.0.0.1"))
	g.Expect(Diff(to, to)).To(BeZero())
}
