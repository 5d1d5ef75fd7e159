package k8s

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// stored is what the view shows of an LRP that has the routes, and what stands in
// its annotations.
func stored(g *WithT, routes opi.Routes) (view.LRP, map[string]string) {
	changes, err := changesFor(opi.RoutesUpdate{HTTP: &routes.HTTP, Internal: &routes.Internal}, nil)
	g.Expect(err).NotTo(HaveOccurred())
	annotations := map[string]string{}
	g.Expect(changes.apply(annotations)).To(Succeed())
	return view.LRP{Routes: annotations[keys.Routes], InternalRoutes: annotations[keys.InternalRoutes]}, annotations
}

// The annotations' form outlives releases: LRPs do.
func TestFormOfStoredRoutes(t *testing.T) {
	g := NewWithT(t)
	_, annotations := stored(g, opi.Routes{})
	g.Expect(annotations).To(Equal(map[string]string{keys.Routes: `[]`, keys.ApplicationURIs: `[]`}))

	routes := opi.Routes{
		HTTP: []opi.HTTPRoute{
			{Hostname: "a.example.com", Port: 8080},
			{Hostname: "b.example.com/path", Port: 9090, Protocol: "http2", RouteServiceURL: "https://service", IsolationSegment: "segment",
				Options: map[string]string{"loadbalancing": "least-connection"}},
		},
		Internal: []opi.InternalRoute{{Hostname: "a.apps.internal"}},
	}
	lrp, annotations := stored(g, routes)
	const text = `[{"hostname":"a.example.com","port":8080},{"hostname":"b.example.com/path","port":9090,"protocol":"http2",` +
		`"route_service_url":"https://service","isolation_segment":"segment","options":{"loadbalancing":"least-connection"}}]`
	g.Expect(annotations).To(Equal(map[string]string{
		keys.Routes: text, keys.ApplicationURIs: text, keys.InternalRoutes: `[{"hostname":"a.apps.internal"}]`,
	}))
	g.Expect(storedRoutes(lrp)).To(Equal(routes))
}

func TestRoutesOf(t *testing.T) {
	g := NewWithT(t)
	g.Expect(RoutesOf(view.LRP{})).To(BeZero())
	g.Expect(RoutesOf(view.LRP{Routes: "null", InternalRoutes: "[]", IsolationSegment: "own"})).To(BeZero())
	g.Expect(RoutesOf(view.LRP{
		Routes:           `[{"hostname":"a.example.com","port":8080},{"hostname":"b.example.com","port":8080,"isolation_segment":"other"},{"hostname":"bad host"}]`,
		InternalRoutes:   `[{"hostname":"a.apps.internal"}]`,
		IsolationSegment: "own",
	})).To(Equal(opi.Routes{
		HTTP: []opi.HTTPRoute{
			{Hostname: "a.example.com", Port: 8080, IsolationSegment: "own"},
			{Hostname: "b.example.com", Port: 8080, IsolationSegment: "other"},
			{Hostname: "bad host", IsolationSegment: "own"},
		},
		Internal: []opi.InternalRoute{{Hostname: "a.apps.internal"}},
	}))
}

func TestOneUnreadableRouteCostsTheOthersNothing(t *testing.T) {
	g := NewWithT(t)
	routes, err := RoutesOf(view.LRP{Routes: `[{"hostname":"a","port":"1"},5,{"hostname":"b","port":2}]`})
	g.Expect(err).To(MatchError(SatisfyAll(ContainSubstring(keys.Routes), ContainSubstring("element 0"), ContainSubstring("element 1"))))
	g.Expect(routes).To(Equal(opi.Routes{HTTP: []opi.HTTPRoute{{Hostname: "b", Port: 2}}}))
}

func TestRoutesThatCannotBeRead(t *testing.T) {
	for _, text := range []string{`[`, `{}`, `"a"`, `[{"hostname":1}]`, `[{"hostname":"a","port":"1"}]`, `[] []`, ` `} {
		t.Run(text, func(t *testing.T) {
			g := NewWithT(t)
			routes, err := RoutesOf(view.LRP{Routes: text, InternalRoutes: `[{"hostname":"i"}]`})
			g.Expect(err).To(MatchError(SatisfyAll(ContainSubstring(keys.Routes), Not(ContainSubstring(keys.InternalRoutes)))))
			g.Expect(routes).To(Equal(opi.Routes{Internal: []opi.InternalRoute{{Hostname: "i"}}}), "the other kind is read")
			if strings.Contains(text, "port") {
				return
			}
			routes, err = RoutesOf(view.LRP{Routes: `[{"hostname":"a","port":1}]`, InternalRoutes: text})
			g.Expect(err).To(MatchError(SatisfyAll(ContainSubstring(keys.InternalRoutes), Not(ContainSubstring(keys.Routes)))))
			g.Expect(routes).To(Equal(opi.Routes{HTTP: []opi.HTTPRoute{{Hostname: "a", Port: 1}}}))
		})
	}
}

// What is read once is stored in a form that reads the same.
func FuzzRoutesOf(f *testing.F) {
	f.Add(`[{"hostname":"a.example.com","port":8080,"options":{"a":"b"}}]`, `[{"hostname":"a.apps.internal"}]`, "segment")
	f.Add(`[{"hostname":"a","port":"8080"}]`, `{`, "")
	f.Fuzz(func(t *testing.T, http, internal, segment string) {
		g := NewWithT(t)
		lrp := view.LRP{Routes: http, InternalRoutes: internal, IsolationSegment: segment}
		served, err := RoutesOf(lrp)
		for _, route := range served.HTTP {
			if route.IsolationSegment == "" {
				g.Expect(segment).To(BeEmpty())
			}
		}
		if err != nil {
			g.Expect(err).To(MatchError(SatisfyAny(ContainSubstring(keys.Routes), ContainSubstring(keys.InternalRoutes))))
			return
		}
		routes, err := storedRoutes(lrp)
		g.Expect(err).NotTo(HaveOccurred())
		httpText, err := encodeHTTPRoutes(routes.HTTP)
		g.Expect(err).NotTo(HaveOccurred())
		internalText, err := encodeInternalRoutes(routes.Internal)
		g.Expect(err).NotTo(HaveOccurred())
		again, err := storedRoutes(view.LRP{Routes: httpText, InternalRoutes: internalText})
		g.Expect(err).NotTo(HaveOccurred())
		for i := range routes.HTTP { // an empty object of options is none
			if len(routes.HTTP[i].Options) == 0 {
				routes.HTTP[i].Options = nil
			}
		}
		g.Expect(again).To(Equal(routes))
	})
}

func TestChangesSpeakOnlyOfWhatTheUpdateSpeaksOf(t *testing.T) {
	g := NewWithT(t)
	changes, err := changesFor(opi.RoutesUpdate{}, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(changes).To(BeEmpty())

	changes, err = changesFor(opi.RoutesUpdate{Internal: &[]opi.InternalRoute{}}, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(changes).To(Equal(annotationChanges{keys.InternalRoutes: nil}))

	text, empty := "", `[]`
	changes, err = changesFor(opi.RoutesUpdate{HTTP: &[]opi.HTTPRoute{}, TCP: &[]opi.TCPRoute{}}, &text)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(changes).To(Equal(annotationChanges{keys.Routes: &empty, keys.ApplicationURIs: &empty, keys.LastUpdated: &text}))

	_, err = changesFor(opi.RoutesUpdate{TCP: &[]opi.TCPRoute{{}}}, nil)
	g.Expect(opi.FieldErrors(err)).To(ConsistOf(HaveField("Field", "routes.tcp")), "never dropped in silence")
}

func TestUpdateTo(t *testing.T) {
	g := NewWithT(t)
	routes := opi.Routes{HTTP: []opi.HTTPRoute{{Hostname: "a", Port: 1}}, Internal: []opi.InternalRoute{{Hostname: "b"}}}
	existing, _ := stored(g, routes)
	lrp := opi.LRP{Routes: routes}
	g.Expect(updateTo(lrp, existing)).To(BeZero())

	lrp.Routes = opi.Routes{HTTP: routes.HTTP}
	g.Expect(updateTo(lrp, existing)).To(Equal(opi.LRPUpdate{Routes: opi.RoutesUpdate{Internal: &lrp.Routes.Internal}}))
	lrp.Routes = opi.Routes{Internal: routes.Internal}
	g.Expect(updateTo(lrp, existing)).To(Equal(opi.LRPUpdate{Routes: opi.RoutesUpdate{HTTP: &lrp.Routes.HTTP}}))
	lrp.Routes = routes
	lrp.Routes.TCP = []opi.TCPRoute{{Port: 1}}
	g.Expect(updateTo(lrp, existing)).To(Equal(opi.LRPUpdate{Routes: opi.RoutesUpdate{TCP: &lrp.Routes.TCP}}))
}

func manyRoutes(count int) []opi.HTTPRoute {
	routes := make([]opi.HTTPRoute, count)
	for i := range routes {
		routes[i] = opi.HTTPRoute{Hostname: fmt.Sprintf("app-%d.apps.example.com", i), Port: 8080}
	}
	return routes
}

// A thousand routes have room whatever else the LRP has; more than there is room
// for are refused, before Kubernetes refuses the whole object.
func TestUpdatesAreBounded(t *testing.T) {
	g := NewWithT(t)
	few, many, tooMany := manyRoutes(10), manyRoutes(1000), manyRoutes(5000)
	existing, _ := stored(g, opi.Routes{HTTP: few})
	update := func(existing view.LRP, http *[]opi.HTTPRoute, annotation *string) error {
		changes, err := changesFor(opi.RoutesUpdate{HTTP: http}, annotation)
		g.Expect(err).NotTo(HaveOccurred())
		return changes.apply(updatedAnnotations(existing))
	}
	refused := func(err error) {
		t.Helper()
		g.Expect(opi.FieldErrors(err)).To(ConsistOf(HaveField("Field", "routes")))
	}
	g.Expect(update(existing, &many, nil)).To(Succeed())
	refused(update(existing, &tooMany, nil))
	long := strings.Repeat("1", 40<<10)
	g.Expect(update(existing, nil, &long)).To(Succeed())
	refused(update(existing, &many, &long))
	existing.Annotation = long
	refused(update(existing, &many, nil))

	// Edited by hand: it may shrink and be scaled, but not grow.
	existing.Annotation = strings.Repeat("1", 150<<10)
	g.Expect(update(existing, nil, nil)).To(Succeed())
	none := []opi.HTTPRoute{}
	g.Expect(update(existing, &none, nil)).To(Succeed())
	refused(update(existing, &many, nil))
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
	_, statefulSet, err := Translation{}.Render(lrp, ResolvedImage{}, strings.Repeat("r", 20<<10), DigestKey("key"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(statefulSet.Annotations[keys.LRP]).NotTo(ContainSubstring("egressRulesInSecret"))
	g.Expect(statefulSet.Annotations).To(HaveKey(keys.OriginalRequest))
	g.Expect(annotationBytes(statefulSet.Annotations)).To(BeNumerically("~", 170<<10, 30<<10))

	lrp.Routes.HTTP = manyRoutes(5000)
	_, _, err = Translation{}.Render(lrp, ResolvedImage{}, "", DigestKey("key"))
	g.Expect(opi.FieldErrors(err)).To(ConsistOf(HaveField("Field", "routes")))
}
