package k8s

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// stored is what the view shows of an LRP that has the routes, and what stands in
// its annotations.
func stored(g *WithT, routes opi.Routes) (view.LRP, map[string]string) {
	changes, err := render.ChangesFor(opi.LRPUpdate{Routes: opi.RoutesUpdate{HTTP: &routes.HTTP, Internal: &routes.Internal}})
	g.Expect(err).NotTo(HaveOccurred())
	annotations := map[string]string{}
	g.Expect(changes.Apply(annotations)).To(Succeed())
	return view.LRP{Routes: annotations[keys.Routes], InternalRoutes: annotations[keys.InternalRoutes]}, annotations
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
		httpText, err := render.EncodeHTTPRoutes(routes.HTTP)
		g.Expect(err).NotTo(HaveOccurred())
		internalText, err := render.EncodeInternalRoutes(routes.Internal)
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
		changes, err := render.ChangesFor(opi.LRPUpdate{Routes: opi.RoutesUpdate{HTTP: http}, Annotation: annotation})
		g.Expect(err).NotTo(HaveOccurred())
		return changes.Apply(updatedAnnotations(existing))
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
