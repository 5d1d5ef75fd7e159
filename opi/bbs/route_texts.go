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
//
// Texts as the back end writes them are copied piece by piece. Decoding and encoding them in
// every entry of a list would take longer than sending it.
func appendRouteTexts(to []byte, texts opi.RouteTexts) []byte {
	to = appendKind(to, httpKind, func(to []byte) []byte {
		if quick, ok := appendHTTPRoutes(to, texts.HTTP); ok {
			return quick
		}
		return append(to, slowHTTPRoutes(texts.HTTP)...)
	})
	if texts.TCP == "" && texts.Internal == "" {
		to = append(to, noOtherRoutes...)
		return appendOtherRoutes(to, texts.Other)
	}
	to = appendKind(to, tcpKind, func(to []byte) []byte {
		if quick, ok := appendTCPRoutes(to, texts.TCP); ok {
			return quick
		}
		return append(to, slowTCPRoutes(texts.TCP)...)
	})
	to = appendKind(to, internalKind, func(to []byte) []byte {
		if quick, ok := appendInternalRoutes(to, texts.Internal); ok {
			return quick
		}
		return append(to, slowInternalRoutes(texts.Internal)...)
	})
	return appendOtherRoutes(to, texts.Other)
}

// noOtherRoutes has an empty list of each kind other than HTTP, which is what most LRPs have.
var noOtherRoutes = func() []byte {
	none := func(to []byte) []byte { return append(to, "[]"...) }
	return appendKind(appendKind(nil, tcpKind, none), internalKind, none)
}()

func appendOtherRoutes(to []byte, text string) []byte {
	if text == "" {
		return to
	}
	var other map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &other); err != nil {
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

// The quick functions append a JSON array in the form of answers. They return false for a text
// that is not of the form that the back end writes: other spaces, members or order.

func appendHTTPRoutes(to []byte, text string) ([]byte, bool) {
	rest := newStoredText(text)
	to, more := rest.begin(to)
	for more && rest.skip(`{"hostname":"`) {
		hostname := rest.untilQuote()
		rest.must(`,"port":`)
		to = append(append(append(to, `{"hostnames":["`...), hostname...), `"],"port":`...)
		to = append(to, rest.number()...)
		if rest.isAtEnd() {
			to = append(to, `,"route_service_url":null,"isolation_segment":null,"protocol":null`...)
			to, more = rest.next(to)
			continue
		}
		protocol := rest.optional(`,"protocol":"`)
		to = appendOrNull(append(to, `,"route_service_url":`...), rest.optional(`,"route_service_url":"`))
		to = appendOrNull(append(to, `,"isolation_segment":`...), rest.optional(`,"isolation_segment":"`))
		to = appendOrNull(append(to, `,"protocol":`...), protocol)
		if rest.skip(`,"options":`) {
			to = append(append(to, `,"options":`...), rest.flatObject()...)
		}
		to, more = rest.next(to)
	}
	return to, rest.isRead()
}

func appendTCPRoutes(to []byte, text string) ([]byte, bool) {
	rest := newStoredText(text)
	to, more := rest.begin(to)
	for more && rest.skip(`{"router_group_guid":"`) {
		group := rest.untilQuote()
		rest.must(`,"external_port":`)
		to = append(append(append(to, `{"router_group_guid":"`...), group...), `","external_port":`...)
		to = append(to, rest.number()...)
		rest.must(`,"port":`)
		to = append(append(to, `,"container_port":`...), rest.number()...)
		to, more = rest.next(to)
	}
	return to, rest.isRead()
}

func appendInternalRoutes(to []byte, text string) ([]byte, bool) {
	rest := newStoredText(text)
	to, more := rest.begin(to)
	for more && rest.skip(`{"hostname":"`) {
		to = append(append(append(to, `{"hostname":"`...), rest.untilQuote()...), '"')
		to, more = rest.next(to)
	}
	return to, rest.isRead()
}

func appendOrNull(to []byte, text string) []byte {
	if text == "" {
		return append(to, "null"...)
	}
	return append(append(append(to, '"'), text...), '"')
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

func slowHTTPRoutes(text string) []byte {
	return slowRoutes(text, func(route storedHTTPRoute, routes *opi.Routes) {
		routes.HTTP = append(routes.HTTP, opi.HTTPRoute(route))
	}, httpKind)
}

func slowTCPRoutes(text string) []byte {
	return slowRoutes(text, func(route storedTCPRoute, routes *opi.Routes) { routes.TCP = append(routes.TCP, opi.TCPRoute(route)) }, tcpKind)
}

func slowInternalRoutes(text string) []byte {
	return slowRoutes(text, func(route internalEntry, routes *opi.Routes) {
		routes.Internal = append(routes.Internal, opi.InternalRoute(route))
	}, internalKind)
}

// slowRoutes decodes and encodes the routes of one kind.
func slowRoutes[R any](text string, add func(R, *opi.Routes), kind string) []byte {
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
