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
	to = appendKind(to, `"`+httpKind+`"`, func(to []byte) []byte { return appendList(to, texts.HTTP, appendHTTPRoute) })
	to = appendKind(to, `"`+tcpKind+`"`, func(to []byte) []byte { return appendList(to, texts.TCP, appendTCPRoute) })
	to = appendKind(to, `"`+internalKind+`"`, func(to []byte) []byte { return appendList(to, texts.Internal, appendInternalRoute) })
	if texts.Other == "" {
		return to
	}
	begin := len(to)
	readable := eachMember(texts.Other, func(name, value string) bool {
		if name != `"`+sshKind+`"` {
			to = appendKind(to, name, func(to []byte) []byte { return append(to, value...) })
		}
		return true
	})
	if !readable {
		return to[:begin]
	}
	return to
}

// appendKind appends the routes of one kind. Its name is in quotes, and most have no escapes.
func appendKind(to []byte, quotedName string, fill func([]byte) []byte) []byte {
	name := quotedName[1 : len(quotedName)-1]
	for i := range len(name) {
		if name[i] == '\\' {
			_ = json.Unmarshal([]byte(quotedName), &name) // it was parsed when it was found
			break
		}
	}
	return appendPart(to, routesField, func(to []byte) []byte {
		return appendPart(appendText(to, kindField, name), routeField, fill)
	})
}

// appendList appends a JSON array of what route appends for each element of the stored one.
func appendList(to []byte, stored string, route func(to []byte, element string) ([]byte, bool)) []byte {
	begin := len(to)
	to = append(to, '[')
	readable := stored == "" || eachElement(stored, func(element string) (ok bool) {
		if to[len(to)-1] != '[' {
			to = append(to, ',')
		}
		to, ok = route(to, element)
		return ok
	})
	if !readable {
		return append(to[:begin], "[]"...)
	}
	return append(to, ']')
}

func appendHTTPRoute(to []byte, element string) ([]byte, bool) {
	hostname, port, protocol, service, segment, options := `""`, "0", "null", "null", "null", ""
	ok := eachMember(element, func(name, value string) bool {
		switch name {
		case `"hostname"`:
			return setText(&hostname, value)
		case `"port"`:
			return setNumber(&port, value)
		case `"protocol"`:
			return setText(&protocol, value)
		case `"route_service_url"`:
			return setText(&service, value)
		case `"isolation_segment"`:
			return setText(&segment, value)
		case `"options"`:
			options = value
			return value[0] == '{'
		}
		return true
	})
	to = append(append(append(to, `{"hostnames":[`...), hostname...), `],"port":`...)
	to = append(append(append(to, port...), `,"route_service_url":`...), service...)
	to = append(append(append(to, `,"isolation_segment":`...), segment...), `,"protocol":`...)
	to = append(to, protocol...)
	if options != "" && options != "{}" {
		to = append(append(to, `,"options":`...), options...)
	}
	return append(to, '}'), ok
}

func appendTCPRoute(to []byte, element string) ([]byte, bool) {
	group, external, port := `""`, "0", "0"
	ok := eachMember(element, func(name, value string) bool {
		switch name {
		case `"router_group_guid"`:
			return setText(&group, value)
		case `"external_port"`:
			return setNumber(&external, value)
		case `"port"`:
			return setNumber(&port, value)
		}
		return true
	})
	to = append(append(append(to, `{"router_group_guid":`...), group...), `,"external_port":`...)
	to = append(append(append(to, external...), `,"container_port":`...), port...)
	return append(to, '}'), ok
}

func appendInternalRoute(to []byte, element string) ([]byte, bool) {
	hostname := `""`
	ok := eachMember(element, func(name, value string) bool {
		return name != `"hostname"` || setText(&hostname, value)
	})
	return append(append(append(to, `{"hostname":`...), hostname...), '}'), ok
}

func setText(to *string, value string) bool {
	if value[0] == '"' && value != `""` {
		*to = value
	}
	return value[0] == '"'
}

func setNumber(to *string, value string) bool {
	*to = value
	return value[0] >= '0' && value[0] <= '9'
}
