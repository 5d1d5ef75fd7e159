package bbs

import (
	"encoding/json"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/irene-cf/irene/opi"
)

// Field numbers of ProtoRoutes and of the entries of its map.
const (
	routesField protowire.Number = 1
	kindField   protowire.Number = 1
	routeField  protowire.Number = 2
)

// appendRouteTexts appends the content of ProtoRoutes: the same as [wireRoutes] of the decoded
// routes. A kind that can't be read, which only people who edit objects can bring about, is
// answered as if it had no routes.
func appendRouteTexts(to []byte, texts opi.RouteTexts) []byte {
	for _, kind := range []struct {
		name   string
		routes []byte
	}{{httpKind, httpRoutes(texts.HTTP)}, {tcpKind, tcpRoutes(texts.TCP)}, {internalKind, internalRoutes(texts.Internal)}} {
		to = appendKind(to, kind.name, func(to []byte) []byte { return append(to, kind.routes...) })
	}
	if texts.Other == "" {
		return to
	}
	var other map[string]json.RawMessage
	if err := json.Unmarshal([]byte(texts.Other), &other); err != nil {
		return to
	}
	for kind, value := range other {
		if kind != sshKind {
			to = appendKind(to, kind, func(to []byte) []byte { return append(to, value...) })
		}
	}
	return to
}

func appendKind(to []byte, kind string, fill func([]byte) []byte) []byte {
	return appendPart(to, routesField, func(to []byte) []byte {
		return appendPart(appendText(to, kindField, kind), routeField, fill)
	})
}

// storedHTTPRoute and storedTCPRoute are routes as the back end stores them.
type storedHTTPRoute struct {
	Hostname         string                     `json:"hostname"`
	Port             int32                      `json:"port"`
	Protocol         string                     `json:"protocol"`
	RouteServiceURL  string                     `json:"route_service_url"`
	IsolationSegment string                     `json:"isolation_segment"`
	Options          map[string]json.RawMessage `json:"options"`
}

type storedTCPRoute struct {
	RouterGroupGUID string `json:"router_group_guid"`
	ExternalPort    int32  `json:"external_port"`
	Port            int32  `json:"port"`
}

func httpRoutes(text string) []byte {
	return encodedRoutes(text, func(route storedHTTPRoute, routes *opi.Routes) {
		routes.HTTP = append(routes.HTTP, opi.HTTPRoute(route))
	}, httpKind)
}

func tcpRoutes(text string) []byte {
	return encodedRoutes(text, func(route storedTCPRoute, routes *opi.Routes) { routes.TCP = append(routes.TCP, opi.TCPRoute(route)) }, tcpKind)
}

func internalRoutes(text string) []byte {
	return encodedRoutes(text, func(route internalEntry, routes *opi.Routes) {
		routes.Internal = append(routes.Internal, opi.InternalRoute(route))
	}, internalKind)
}

// encodedRoutes decodes and encodes the routes of one kind.
func encodedRoutes[R any](text string, add func(R, *opi.Routes), kind string) []byte {
	if text == "" || text == "[]" {
		return []byte("[]")
	}
	var elements []R
	var routes opi.Routes
	if json.Unmarshal([]byte(text), &elements) == nil {
		for _, route := range elements {
			add(route, &routes)
		}
	}
	wire, err := wireRoutes(routes, nil)
	if err != nil {
		return []byte("[]")
	}
	return *(*wire)[kind]
}
