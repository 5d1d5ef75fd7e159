package bbs

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"code.cloudfoundry.org/bbs/models"

	"github.com/irene-cf/irene/opi"
)

// Kinds of routes, by which Diego's messages have them (contract/bbs.md 3.5).
const (
	httpKind     = "cf-router"
	tcpKind      = "tcp-router"
	internalKind = "internal-router"
	// sshKind has the private key of the app's SSH server. It is answered to the SSH proxy alone.
	sshKind = "diego-ssh"
)

type httpEntry struct {
	// Hostnames is a list of one in what Cloud Controller sends.
	Hostnames        []string                   `json:"hostnames"`
	Port             int32                      `json:"port"`
	RouteServiceURL  *string                    `json:"route_service_url"`
	IsolationSegment *string                    `json:"isolation_segment"`
	Protocol         *string                    `json:"protocol"`
	Options          map[string]json.RawMessage `json:"options,omitempty"`
}

type tcpEntry struct {
	RouterGroupGUID string `json:"router_group_guid"`
	ExternalPort    int32  `json:"external_port"`
	ContainerPort   int32  `json:"container_port"`
}

type internalEntry struct {
	Hostname string `json:"hostname"`
}

// readRouteUpdate converts the routes of a request, which replace all routes: a kind that is absent
// has none. Those for SSH are left out. The error joins one *opi.FieldError for each part that
// can't be read.
func readRouteUpdate(wire models.Routes) (opi.RoutesUpdate, error) {
	routes := opi.RoutesUpdate{HTTP: &[]opi.HTTPRoute{}, TCP: &[]opi.TCPRoute{}, Internal: &[]opi.InternalRoute{}, Other: &map[string]json.RawMessage{}}
	var unreadable []error
	for _, kind := range slices.Sorted(maps.Keys(wire)) {
		text := json.RawMessage{}
		if value := wire[kind]; value != nil {
			text = *value
		}
		switch kind {
		case httpKind:
			unreadable = append(unreadable, eachRoute(kind, text, func(route httpEntry) {
				*routes.HTTP = append(*routes.HTTP, route.routes()...)
			}))
		case tcpKind:
			unreadable = append(unreadable, eachRoute(kind, text, func(route tcpEntry) {
				*routes.TCP = append(*routes.TCP, opi.TCPRoute{RouterGroupGUID: route.RouterGroupGUID, ExternalPort: route.ExternalPort, Port: route.ContainerPort})
			}))
		case internalKind:
			unreadable = append(unreadable, eachRoute(kind, text, func(route internalEntry) {
				*routes.Internal = append(*routes.Internal, opi.InternalRoute(route))
			}))
		case sshKind:
		default:
			(*routes.Other)[kind] = text
		}
	}
	return routes, errors.Join(unreadable...)
}

// eachRoute reads every route by itself, so that an error names its place in the list.
func eachRoute[R any](kind string, text []byte, add func(R)) error {
	var elements []json.RawMessage
	if err := json.Unmarshal(text, &elements); err != nil {
		return opi.Invalid("routes."+kind, "is not a list in JSON: %s", err)
	}
	var unreadable []error
	for i, element := range elements {
		var route R
		if err := json.Unmarshal(element, &route); err != nil {
			unreadable = append(unreadable, opi.Invalid(fmt.Sprintf("routes.%s[%d]", kind, i), "can't be read: %s", err))
			continue
		}
		add(route)
	}
	return errors.Join(unreadable...)
}

// routes returns one route for each host name.
func (r httpEntry) routes() []opi.HTTPRoute {
	var routes []opi.HTTPRoute
	for _, hostname := range r.Hostnames {
		routes = append(routes, opi.HTTPRoute{
			Hostname: hostname, Port: r.Port, Protocol: text(r.Protocol),
			RouteServiceURL: text(r.RouteServiceURL), IsolationSegment: text(r.IsolationSegment), Options: r.Options,
		})
	}
	return routes
}

// wireRoutes returns routes as answers have them: the kinds that Diego has always, and others
// where there are some. sshRoute is empty where it is left out.
func wireRoutes(routes opi.Routes, sshRoute json.RawMessage) (*models.Routes, error) {
	http, tcp, internal := []httpEntry{}, []tcpEntry{}, []internalEntry{}
	for _, route := range routes.HTTP {
		http = append(http, httpEntry{
			Hostnames: []string{route.Hostname}, Port: route.Port, Protocol: orNull(route.Protocol),
			RouteServiceURL: orNull(route.RouteServiceURL), IsolationSegment: orNull(route.IsolationSegment), Options: route.Options,
		})
	}
	for _, route := range routes.TCP {
		tcp = append(tcp, tcpEntry{RouterGroupGUID: route.RouterGroupGUID, ExternalPort: route.ExternalPort, ContainerPort: route.Port})
	}
	for _, route := range routes.Internal {
		internal = append(internal, internalEntry(route))
	}
	wire := models.Routes{}
	for kind, list := range map[string]any{httpKind: http, tcpKind: tcp, internalKind: internal} {
		encoded, err := opi.EncodeJSON(list)
		if err != nil {
			return nil, fmt.Errorf("encode routes of %s: %w", kind, err)
		}
		raw := json.RawMessage(encoded)
		wire[kind] = &raw
	}
	for kind, raw := range routes.Other {
		if kind != sshKind {
			wire[kind] = &raw
		}
	}
	if len(sshRoute) > 0 {
		wire[sshKind] = &sshRoute
	}
	return &wire, nil
}

// text returns the text, empty for null.
func text(value *string) string {
	return *cmp.Or(value, new(string))
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
