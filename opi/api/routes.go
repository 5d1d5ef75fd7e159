package api

import "github.com/irene-cf/irene/opi"

// wireRoutes are routes by the router that serves them. Kinds that this release
// does not know are ignored.
type wireRoutes struct {
	// CFRouter is nil when the key is absent or null: the routes are not spoken of.
	CFRouter []httpRoute `json:"cf-router"`
}

type httpRoute struct {
	Hostname string `json:"hostname"`
	Port     int32  `json:"port"`
}

// routes is nil when the request does not speak of routes.
func (r wireRoutes) routes() *opi.Routes {
	if r.CFRouter == nil {
		return nil
	}
	routes := &opi.Routes{HTTP: make([]opi.HTTPRoute, 0, len(r.CFRouter))}
	for _, route := range r.CFRouter {
		routes.HTTP = append(routes.HTTP, opi.HTTPRoute{Hostname: route.Hostname, Port: route.Port})
	}
	return routes
}

func newHTTPRoutes(routes opi.Routes) []httpRoute {
	wire := make([]httpRoute, 0, len(routes.HTTP))
	for _, route := range routes.HTTP {
		wire = append(wire, httpRoute{Hostname: route.Hostname, Port: route.Port})
	}
	return wire
}
