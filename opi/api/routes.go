package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/irene-cf/irene/opi"
)

// wireRoutes are routes by the router that serves them, as OPI's form and Diego's
// have them (contract 1.2 and 6). A kind that is absent or null is nil: it is not
// spoken of. Kinds that this release does not know are ignored.
type wireRoutes struct {
	HTTP     *[]httpRoute     `json:"cf-router"`
	Internal *[]internalRoute `json:"internal-router,omitempty"`
	TCP      *[]tcpRoute      `json:"tcp-router,omitempty"`

	// unreadable are parts that are not of the form above, by the caller's names.
	unreadable []error
}

type httpRoute struct {
	Hostname         string `json:"hostname"`
	Port             int32  `json:"port"`
	Protocol         string `json:"protocol,omitempty"`
	RouteServiceURL  string `json:"route_service_url,omitempty"`
	IsolationSegment string `json:"isolation_segment,omitempty"`
	// Options are texts; numbers and booleans stand for how they are written.
	Options map[string]json.RawMessage `json:"options,omitempty"`
}

type internalRoute struct {
	Hostname string `json:"hostname"`
}

type tcpRoute struct {
	RouterGroupGUID string `json:"router_group_guid"`
	ExternalPort    int32  `json:"external_port"`
	ContainerPort   int32  `json:"container_port"`
}

// UnmarshalJSON reads every route by itself, so that what is wrong with one is told
// with its place in the list, and together with all other faults of the request.
func (r *wireRoutes) UnmarshalJSON(text []byte) error {
	var kinds struct {
		HTTP     json.RawMessage `json:"cf-router"`
		Internal json.RawMessage `json:"internal-router"`
		TCP      json.RawMessage `json:"tcp-router"`
	}
	*r = wireRoutes{}
	r.read("routes", text, &kinds)
	r.HTTP = readRoutes[httpRoute](r, "routes.cf-router", kinds.HTTP)
	r.Internal = readRoutes[internalRoute](r, "routes.internal-router", kinds.Internal)
	r.TCP = readRoutes[tcpRoute](r, "routes.tcp-router", kinds.TCP)
	return nil
}

func readRoutes[R any](r *wireRoutes, field string, text json.RawMessage) *[]R {
	var elements []json.RawMessage
	r.read(field, text, &elements)
	if elements == nil {
		return nil
	}
	routes := make([]R, len(elements))
	for i, element := range elements {
		r.read(fmt.Sprintf("%s[%d]", field, i), element, &routes[i])
	}
	return &routes
}

// read notes a value of the wrong type. Absent and null leave into as it is.
func (r *wireRoutes) read(field string, text json.RawMessage, into any) {
	if text == nil {
		return
	}
	if err := json.Unmarshal(text, into); err != nil {
		r.unreadable = append(r.unreadable, unreadableField(field, err))
	}
}

// update converts the routes. The error joins one *opi.FieldError for each part
// that can't be read.
func (r wireRoutes) update() (opi.RoutesUpdate, error) {
	unreadable := slices.Clone(r.unreadable)
	update := opi.RoutesUpdate{
		HTTP: convert(r.HTTP, func(i int, route httpRoute) opi.HTTPRoute {
			options, err := readOptions(fmt.Sprintf("routes.cf-router[%d].options", i), route.Options)
			unreadable = append(unreadable, err)
			return opi.HTTPRoute{
				Hostname: route.Hostname, Port: route.Port, Protocol: route.Protocol,
				RouteServiceURL: route.RouteServiceURL, IsolationSegment: route.IsolationSegment, Options: options,
			}
		}),
		TCP: convert(r.TCP, func(_ int, route tcpRoute) opi.TCPRoute {
			return opi.TCPRoute{RouterGroupGUID: route.RouterGroupGUID, ExternalPort: route.ExternalPort, Port: route.ContainerPort}
		}),
		Internal: convert(r.Internal, func(_ int, route internalRoute) opi.InternalRoute {
			return opi.InternalRoute(route)
		}),
	}
	return update, errors.Join(unreadable...)
}

func convert[From, To any](routes *[]From, one func(int, From) To) *[]To {
	if routes == nil {
		return nil
	}
	converted := make([]To, len(*routes))
	for i, route := range *routes {
		converted[i] = one(i, route)
	}
	return &converted
}

// readOptions takes texts, and numbers and booleans as they are written; what is
// null is left out.
func readOptions(field string, wire map[string]json.RawMessage) (map[string]json.RawMessage, error) {
	var unreadable []error
	options := map[string]json.RawMessage{}
	for _, name := range slices.Sorted(maps.Keys(wire)) {
		switch value := wire[name]; value[0] {
		case 'n':
		case '{':
			unreadable = append(unreadable, opi.Invalid(field+"."+name, "can't be a JSON object"))
		case '[':
			unreadable = append(unreadable, opi.Invalid(field+"."+name, "can't be a JSON array"))
		case '"':
			var text string
			if err := json.Unmarshal(value, &text); err != nil {
				unreadable = append(unreadable, opi.Invalid(field+"."+name, "is not JSON: %s", err))
			}
			options[name] = quoted(text)
		default:
			options[name] = quoted(string(value))
		}
	}
	if len(options) == 0 {
		options = nil
	}
	return options, errors.Join(unreadable...)
}

// newRoutes are routes as answers have them: HTTP routes always, others where there
// are some.
func newRoutes(routes opi.Routes) wireRoutes {
	wire := wireRoutes{HTTP: convert(&routes.HTTP, func(_ int, route opi.HTTPRoute) httpRoute {
		return httpRoute{
			Hostname: route.Hostname, Port: route.Port, Protocol: route.Protocol,
			RouteServiceURL: route.RouteServiceURL, IsolationSegment: route.IsolationSegment, Options: route.Options,
		}
	})}
	if len(routes.Internal) > 0 {
		wire.Internal = convert(&routes.Internal, func(_ int, route opi.InternalRoute) internalRoute {
			return internalRoute(route)
		})
	}
	return wire
}

func quoted(text string) json.RawMessage {
	value, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always marshals
	}
	return value
}
