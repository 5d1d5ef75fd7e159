package opi_test

import (
	"encoding/json"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

// Whatever Cloud Controller lets users make is taken, since an app with a refused
// route could not be started at all: hosts may begin and end with '-' or '_', and
// paths may have a fragment.
func TestHostnamesOfHTTPRoutes(t *testing.T) {
	g := NewWithT(t)
	for _, hostname := range []string{
		"a", "a.example.com", "*.example.com", "A-b_c.example.com", "-a-.example.com", "_.example.com",
		"a.example.com/", "a.example.com/path/x", "*.example.com/path/", "a.example.com/ünï", "a.example.com/a%20b#c",
		strings.Repeat("a.", 120) + "example.com",
	} {
		g.Expect(opi.Routes{HTTP: []opi.HTTPRoute{{Hostname: hostname, Port: 8080}}}.Validate()).To(Succeed(), hostname)
	}
	for _, hostname := range []string{
		"", "/path", ".", "a..b", "a.example.com.", "a.example.com:80", "http://a.example.com", "a*.example.com", "a.*.example.com", "*",
		"a/?q", "a/ b", "a/\x00", "a b", "ünï.example.com", strings.Repeat("a.", 122) + "example.com", "a/" + strings.Repeat("x", 1025),
	} {
		err := opi.Routes{HTTP: []opi.HTTPRoute{{Hostname: "good.example.com", Port: 80}, {Hostname: hostname, Port: 8080}}}.Validate()
		g.Expect(opi.FieldErrors(err)).To(ConsistOf(HaveField("Field", "routes.http[1].hostname")), hostname)
	}
}

// One host may have routes to several ports, and even the same one twice.
func TestRoutesMayRepeat(t *testing.T) {
	route := opi.HTTPRoute{Hostname: "a.example.com", Port: 8080}
	NewWithT(t).Expect(opi.Routes{HTTP: []opi.HTTPRoute{route, {Hostname: "a.example.com", Port: 9090}, route}}.Validate()).To(Succeed())
}

func TestAttributesOfHTTPRoutes(t *testing.T) {
	g := NewWithT(t)
	for _, route := range []opi.HTTPRoute{
		{Protocol: "http1"}, {Protocol: "http2"}, {IsolationSegment: "any text"}, {Options: map[string]json.RawMessage{"any": json.RawMessage(`""`)}},
		{RouteServiceURL: "https://service"}, {RouteServiceURL: "https://user:pw@service.example.com:8443/path?a=b"},
	} {
		route.Hostname, route.Port = "a.example.com", 65535
		g.Expect(opi.Routes{HTTP: []opi.HTTPRoute{route}}.Validate()).To(Succeed(), "%+v", route)
	}
	for field, routes := range map[string][]opi.HTTPRoute{
		"port":            {{Port: 0}, {Port: -1}, {Port: 65536}},
		"protocol":        {{Protocol: "http3", Port: 1}, {Protocol: "HTTP2", Port: 1}},
		"routeServiceURL": {{RouteServiceURL: "http://s", Port: 1}, {RouteServiceURL: "HTTPS://s", Port: 1}, {RouteServiceURL: "https://", Port: 1}, {RouteServiceURL: "https://s/\n", Port: 1}},
	} {
		for _, route := range routes {
			route.Hostname = "a.example.com"
			err := opi.Routes{HTTP: []opi.HTTPRoute{route}}.Validate()
			g.Expect(opi.FieldErrors(err)).To(ConsistOf(HaveField("Field", "routes.http[0]."+field)), "%+v", route)
		}
	}
}

func TestInternalRoutes(t *testing.T) {
	g := NewWithT(t)
	g.Expect(opi.Routes{Internal: []opi.InternalRoute{{Hostname: "App.apps.internal"}}}.Validate()).To(Succeed())
	for _, hostname := range []string{"", "*.apps.internal", "app.apps.internal/path", "app.apps.internal:80"} {
		err := opi.Routes{Internal: []opi.InternalRoute{{Hostname: "a"}, {Hostname: hostname}}}.Validate()
		g.Expect(opi.FieldErrors(err)).To(ConsistOf(HaveField("Field", "routes.internal[1].hostname")), hostname)
	}
}

func TestRoutesUpdate(t *testing.T) {
	g := NewWithT(t)
	none, internal := []opi.HTTPRoute{}, []opi.InternalRoute{{Hostname: "*.bad"}}
	g.Expect(opi.LRPUpdate{}.Validate()).To(Succeed())
	g.Expect(opi.LRPUpdate{Routes: opi.RoutesUpdate{HTTP: &none}}.Validate()).To(Succeed())
	err := opi.LRPUpdate{Routes: opi.RoutesUpdate{HTTP: &none, TCP: &[]opi.TCPRoute{{Port: 1}}, Internal: &internal}}.Validate()
	g.Expect(opi.FieldErrors(err)).To(ConsistOf(
		HaveField("Field", "routes.tcp[0].externalPort"), HaveField("Field", "routes.internal[0].hostname")))
}
