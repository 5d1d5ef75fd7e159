package render

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// stored returns what stands in the annotations of an LRP that has the routes.
func stored(g *WithT, routes opi.Routes) map[string]string {
	changes, err := ChangesFor(opi.LRPUpdate{Routes: opi.RoutesUpdate{HTTP: &routes.HTTP, Internal: &routes.Internal, TCP: &routes.TCP, Other: &routes.Other}})
	g.Expect(err).NotTo(HaveOccurred())
	annotations := map[string]string{}
	g.Expect(changes.Apply(annotations)).To(Succeed())
	return annotations
}

// The annotations' form outlives releases: LRPs do.
func TestFormOfStoredRoutes(t *testing.T) {
	g := NewWithT(t)
	annotations := stored(g, opi.Routes{})
	g.Expect(annotations).To(Equal(map[string]string{keys.Routes: `[]`, keys.ApplicationURIs: `[]`}))

	routes := opi.Routes{
		HTTP: []opi.HTTPRoute{
			{Hostname: "a.example.com", Port: 8080},
			{Hostname: "b.example.com/path", Port: 9090, Protocol: "http2", RouteServiceURL: "https://service", IsolationSegment: "segment",
				Options: map[string]json.RawMessage{"loadbalancing": json.RawMessage(`"least-connection"`)}},
		},
		Internal: []opi.InternalRoute{{Hostname: "a.apps.internal"}},
		TCP:      []opi.TCPRoute{{RouterGroupGUID: "group", ExternalPort: 61001, Port: 8082}},
		Other:    map[string]json.RawMessage{"new-router": json.RawMessage(`[{"any":1}]`)},
	}
	annotations = stored(g, routes)
	const text = `[{"hostname":"a.example.com","port":8080},{"hostname":"b.example.com/path","port":9090,"protocol":"http2",` +
		`"route_service_url":"https://service","isolation_segment":"segment","options":{"loadbalancing":"least-connection"}}]`
	g.Expect(annotations).To(Equal(map[string]string{
		keys.Routes: text, keys.ApplicationURIs: text, keys.InternalRoutes: `[{"hostname":"a.apps.internal"}]`,
		keys.TCPRoutes:   `[{"router_group_guid":"group","external_port":61001,"port":8082}]`,
		keys.OtherRoutes: `{"new-router":[{"any":1}]}`,
	}))
	g.Expect(DecodeRoutes(opi.RouteTexts{
		HTTP: text, Internal: annotations[keys.InternalRoutes], TCP: annotations[keys.TCPRoutes], Other: annotations[keys.OtherRoutes],
	})).To(Equal(routes))
}

func TestChangesSpeakOnlyOfWhatTheUpdateSpeaksOf(t *testing.T) {
	g := NewWithT(t)
	changes, err := ChangesFor(opi.LRPUpdate{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(changes).To(BeEmpty())

	changes, err = ChangesFor(opi.LRPUpdate{Routes: opi.RoutesUpdate{Internal: &[]opi.InternalRoute{}, TCP: &[]opi.TCPRoute{}}, MetricTags: &map[string]opi.MetricTag{}})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(changes).To(Equal(AnnotationChanges{keys.InternalRoutes: nil, keys.TCPRoutes: nil, keys.MetricTags: nil}))

	text, empty := "", `[]`
	changes, err = ChangesFor(opi.LRPUpdate{Routes: opi.RoutesUpdate{HTTP: &[]opi.HTTPRoute{}}, Annotation: &text})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(changes).To(Equal(AnnotationChanges{keys.Routes: &empty, keys.ApplicationURIs: &empty, keys.LastUpdated: &text}))

	tags := map[string]opi.MetricTag{"index": {Dynamic: opi.TagIndex}, "app_name": {Text: "dora"}}
	changes, err = ChangesFor(opi.LRPUpdate{MetricTags: &tags})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(*changes[keys.MetricTags]).To(Equal(`{"app_name":"dora","index":{"dynamic":"index"}}`))
	g.Expect(DecodeMetricTags(*changes[keys.MetricTags])).To(Equal(tags))
}

func manyRoutes(count int) []opi.HTTPRoute {
	routes := make([]opi.HTTPRoute, count)
	for i := range routes {
		routes[i] = opi.HTTPRoute{Hostname: fmt.Sprintf("app-%d.apps.example.com", i), Port: 8080}
	}
	return routes
}

// Routes can't push an LRP's other annotations out, nor the other way round: both
// at their largest still fit together.
func TestRoutesHaveRoomOfTheirOwn(t *testing.T) {
	g := NewWithT(t)
	lrp := opi.LRP{LRPIdentifier: opi.LRPIdentifier{GUID: "g", Version: "v"}, RootFS: opi.RootFS{Image: &opi.Image{Reference: "org/image"}}}
	for i := range 600 {
		lrp.EgressRules = append(lrp.EgressRules, opi.EgressRule{Protocol: "tcp", Destinations: []string{fmt.Sprintf("10.0.%d.%d/32", i/250, i%250)}, Ports: []int32{443}})
	}
	lrp.Routes.HTTP = manyRoutes(1000)
	_, statefulSet, err := Settings{}.LRP(lrp, ResolvedImage{}, strings.Repeat("r", 20<<10), DigestKey("key"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(statefulSet.Annotations[keys.LRP]).NotTo(ContainSubstring("egressRulesInSecret"))
	g.Expect(statefulSet.Annotations).To(HaveKey(keys.OriginalRequest))
	g.Expect(annotationBytes(statefulSet.Annotations)).To(BeNumerically("~", 170<<10, 30<<10))

	lrp.Routes.HTTP = manyRoutes(5000)
	_, _, err = Settings{}.LRP(lrp, ResolvedImage{}, "", DigestKey("key"))
	g.Expect(opi.FieldErrors(err)).To(ConsistOf(HaveField("Field", "routes")))
}
