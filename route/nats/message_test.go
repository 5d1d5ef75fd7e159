package nats

import (
	"encoding/json"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/routing"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/route"
)

func TestMessageHasEveryField(t *testing.T) {
	g := NewWithT(t)
	s := routing.WithInstance(routing.LRP("dora"), 2, "10.0.0.7")
	s.LRP.HTTP = []opi.HTTPRoute{{Hostname: "Dora.Example.com/Path/", Port: 8080, Protocol: "http2",
		RouteServiceURL: "https://rs.example.com", IsolationSegment: "shard", Options: map[string]json.RawMessage{"loadbalancing": json.RawMessage(`"least-connection"`)}}}
	s.Instances[0].TLSPorts, s.Instances[0].SAN = map[int32]int32{8080: 61001}, "guid.san"
	changes := route.NewTable().Apply(s)
	g.Expect(changes.Unregister).To(BeEmpty())
	g.Expect(changes.Register).To(HaveLen(1))
	e := changes.Register[0]
	g.Expect(marshalRegister(e, e.URIs)).To(MatchJSON(`{
		"host":"10.0.0.7","port":8080,"tls_port":61001,"server_cert_domain_san":"guid.san",
		"uris":["dora.example.com/path"],"app":"dora-app","private_instance_id":"dora-process-2-10.0.0.7",
		"private_instance_index":"2","isolation_segment":"shard","availability_zone":"z1","protocol":"http2",
		"route_service_url":"https://rs.example.com","endpoint_updated_at_ns":1000000000005,
		"tags":{"source_id":"dora-app","app_id":"dora-app","app_name":"dora","process_id":"dora-process",
			"process_type":"web","process_instance_id":"dora-process-2-10.0.0.7","instance_id":"2",
			"space_id":"space-guid","space_name":"space","organization_id":"org-guid","organization_name":"org",
			"component":"route-emitter"},
		"options":{"loadbalancing":"least-connection"}}`))
	g.Expect(e.DialledPort()).To(BeEquivalentTo(61001))
}

// Replicas of different versions compare nothing, but what a router has seen should not
// change with an upgrade.
func TestBytesOfMessages(t *testing.T) {
	g := NewWithT(t)
	s := routing.WithInstance(routing.LRP("dora", "dora.example.com"), 2, "10.0.0.7")
	s.LRP.App.Name = "<dora & friends>"
	s.LRP.Internal = []opi.InternalRoute{{Hostname: "dora.apps.internal"}}
	table := route.NewTable(s)
	const common = `"app":"dora-app","private_instance_id":"dora-process-2-10.0.0.7","private_instance_index":"2",`
	const rest = `"endpoint_updated_at_ns":1000000000005,"tags":{"app_id":"dora-app",` +
		`"app_name":"\u003cdora \u0026 friends\u003e","component":"route-emitter","instance_id":"2",` +
		`"organization_id":"org-guid","organization_name":"org","process_id":"dora-process",` +
		`"process_instance_id":"dora-process-2-10.0.0.7","process_type":"web","source_id":"dora-app",` +
		`"space_id":"space-guid","space_name":"space"}}`
	var messages []string
	for e := range table.Endpoints() {
		messages = append(messages, registerSubjectOf(e.Kind)+" "+string(marshalRegister(e, e.URIs)))
	}
	g.Expect(messages).To(ConsistOf(
		`router.register {"host":"10.0.0.7","port":8080,"uris":["dora.example.com"],`+common+
			`"availability_zone":"z1","protocol":"http1",`+rest,
		`service-discovery.register {"host":"10.0.0.7","port":0,"uris":["2.dora.apps.internal","dora.apps.internal"],`+common+
			`"availability_zone":"z1",`+rest))

	gone := routing.LRP("dora")
	gone.Revision = route.Revision{LRP: 5, Instances: 7}
	messages = nil
	for _, r := range table.Apply(gone).Unregister {
		messages = append(messages, unregisterSubjectOf(r.Endpoint.Kind)+" "+string(newUnregistration(r).marshal("me")))
	}
	const origin = `"irene":{"emitter":"me","revision":{"lrp":5,"instances":7}}}`
	g.Expect(messages).To(ConsistOf(
		`router.unregister {"host":"10.0.0.7","port":8080,"uris":["dora.example.com"],`+common+origin,
		`service-discovery.unregister {"host":"10.0.0.7","port":0,"uris":["2.dora.apps.internal","dora.apps.internal"],`+common+origin))
}

func TestUnregisterMessage(t *testing.T) {
	g := NewWithT(t)
	table := route.NewTable(routing.WithInstance(routing.LRP("dora", "a.example.com", "b.example.com"), 0, "10.0.0.1"))
	moved := routing.WithInstance(routing.LRP("dora", "b.example.com", "c.example.com"), 0, "10.0.0.1")
	moved.Revision = route.Revision{LRP: 5, Instances: 7}
	changes := table.Apply(moved)
	g.Expect(changes.Unregister).To(HaveLen(1))
	g.Expect(newUnregistration(changes.Unregister[0]).marshal("me")).To(MatchJSON(`{"host":"10.0.0.1","port":8080,"uris":["a.example.com"],
		"app":"dora-app","private_instance_id":"dora-process-0-10.0.0.1","private_instance_index":"0",
		"irene":{"emitter":"me","revision":{"lrp":5,"instances":7}}}`))
}
