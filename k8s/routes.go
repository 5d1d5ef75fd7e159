package k8s

import (
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// RoutesOf returns the routes that routers should serve for an LRP: those on its
// StatefulSet, HTTP routes that name no isolation segment with the LRP's own. They
// are as they were stored: one that opi would refuse is not left out.
//
// What is not JSON of the right form, which only people with kubectl can bring
// about, is an error that names the annotation. All other routes, of that annotation
// and of the other kind, are returned all the same.
func RoutesOf(lrp view.LRP) (opi.Routes, error) {
	routes, err := storedRoutes(lrp)
	for i := range routes.HTTP {
		if routes.HTTP[i].IsolationSegment == "" {
			routes.HTTP[i].IsolationSegment = lrp.IsolationSegment
		}
	}
	return routes, err
}

// storedRoutes returns the routes as they were desired, of the kinds that can be read.
func storedRoutes(lrp view.LRP) (opi.Routes, error) {
	return render.DecodeRoutes(lrp.RouteTexts())
}
