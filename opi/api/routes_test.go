package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

// A malformed route is told with its place, under the caller's names and together
// with everything else that is wrong, and reaches no back end.
func TestMalformedRoutes(t *testing.T) {
	for routes, want := range map[string]string{
		`{"cf-router":[{"port":8080}]}`: `routes.cf-router[0].hostname: "" does not begin with a host name`,
		`{"cf-router":[{"hostname":"a","port":1},{"hostname":"b","port":1},{"hostname":"/c","port":1}]}`: `routes.cf-router[2].hostname: "/c" does not begin with a host name`,
		`{"cf-router":[{"hostname":"a b","port":0}]}`:                                                    `routes.cf-router[0].hostname: "a b" does not begin with a host name; routes.cf-router[0].port: must be between 1 and 65535, is 0`,
		`{"cf-router":[{"hostname":"a","port":"8080"}]}`:                                                 `routes.cf-router[0].port: can't be a JSON string`,
		`{"cf-router":[{"port":"8080"},{"hostname":"b","port":1.5}]}`:                                    `routes.cf-router[0].port: can't be a JSON string; routes.cf-router[1].port: can't be a JSON number 1.5; routes.cf-router[0].hostname: "" does not begin with a host name`,
		`{"cf-router":[{"hostname":"a","port":4294967376}]}`:                                             `routes.cf-router[0].port: can't be a JSON number 4294967376`,
		`{"cf-router":[null]}`:                                         `routes.cf-router[0].hostname: "" does not begin with a host name; routes.cf-router[0].port: must be between 1 and 65535, is 0`,
		`{"cf-router":["a.example.com"]}`:                              `routes.cf-router[0]: can't be a JSON string`,
		`{"cf-router":{"hostname":"a","port":1}}`:                      `routes.cf-router: can't be a JSON object`,
		`["a.example.com"]`:                                            `routes: can't be a JSON array`,
		`"a.example.com"`:                                              `routes: can't be a JSON string`,
		`{"cf-router":[{"hostname":"a","port":1,"protocol":"http3"}]}`: `routes.cf-router[0].protocol: "http3" is neither http1 nor http2`,
		`{"cf-router":[{"hostname":"a","port":1,"route_service_url":"http://s"}]}`:            `routes.cf-router[0].route_service_url: is not a URL that begins with https:// and a host name`,
		`{"cf-router":[{"hostname":"a","port":1,"isolation_segment":7}]}`:                     `routes.cf-router[0].isolation_segment: can't be a JSON number`,
		`{"cf-router":[{"hostname":"a","port":1,"options":"round-robin"}]}`:                   `routes.cf-router[0].options: can't be a JSON string`,
		`{"cf-router":[{"options":{"b":[],"a":{}},"hostname":"a","port":1}]}`:                 `routes.cf-router[0].options.a: can't be a JSON object; routes.cf-router[0].options.b: can't be a JSON array`,
		`{"internal-router":[{"hostname":"a.apps.internal"},{"hostname":"*.apps.internal"}]}`: `routes.internal-router[1].hostname: "*.apps.internal" is not a host name`,
		`{"internal-router":[{"hostname":["a"]}]}`:                                            `routes.internal-router[0].hostname: can't be a JSON array`,
		`{"internal-router":"a"}`:                   `routes.internal-router: can't be a JSON string`,
		`{"cf-router":[{}],"internal-router":[{}]}`: `routes.cf-router[0].hostname: "" does not begin with a host name; routes.cf-router[0].port: must be between 1 and 65535, is 0; routes.internal-router[0].hostname: "" is not a host name`,
		`{"tcp-router":[{"container_port":1}]}`:     `routes.tcp-router[0].external_port: must be between 1 and 65535, is 0`,
	} {
		t.Run(routes, func(t *testing.T) {
			g := NewWithT(t)
			b := &backEnd{}
			response := b.call(http.MethodPut, goldenPath, golden(t, map[string]any{"routes": json.RawMessage(routes)}))
			g.Expect(response.Code).To(Equal(http.StatusBadRequest))
			g.Expect(message(response)).To(Equal(want))
			g.Expect(b.desired).To(BeEmpty())

			response = b.call(http.MethodPost, "/apps/g-v", `{"guid":"g","version":"v","update":{"instances":1,"routes":`+routes+`}}`)
			g.Expect(response.Code).To(Equal(http.StatusBadRequest))
			g.Expect(message(response)).To(Equal(want))
			g.Expect(b.updated).To(BeEmpty())
		})
	}
}

func TestMalformedRouteAmongOtherFaults(t *testing.T) {
	g := NewWithT(t)
	b := &backEnd{}
	routes := map[string]any{"cf-router": []any{map[string]any{"hostname": "a b", "port": 1}}}
	const route = `routes.cf-router[0].hostname: "a b" does not begin with a host name`

	response := b.call(http.MethodPut, goldenPath, golden(t, map[string]any{"routes": routes, "memory_mb": -1}))
	g.Expect(response.Code).To(Equal(http.StatusBadRequest))
	g.Expect(message(response)).To(SatisfyAll(HavePrefix("memory_mb: "), HaveSuffix("; "+route)))

	response = b.call(http.MethodPut, goldenPath, golden(t, map[string]any{"routes": routes, "lifecycle": nil, "process_guid": "other", "health_check_type": "psychic"}))
	g.Expect(response.Code).To(Equal(http.StatusBadRequest))
	g.Expect(message(response)).To(SatisfyAll(HavePrefix("process_guid: is \"other\", "), HaveSuffix("; health_check_type: \"psychic\" is not one of http, port, process or none; "+
		"lifecycle: has neither buildpack_lifecycle nor docker_lifecycle; "+route)))

	response = b.call(http.MethodPost, "/apps/g-v", `{"guid":"g","version":"v","update":{"routes":{"cf-router":[{"hostname":"a b","port":1}]}}}`)
	g.Expect(response.Code).To(Equal(http.StatusBadRequest))
	g.Expect(message(response)).To(Equal("update.instances: is missing; " + route))

	response = b.call(http.MethodPost, "/apps/g-v", `{"guid":"g","version":"v","update":{"instances":-1,"routes":{"cf-router":[{"hostname":"a b","port":1}]}}}`)
	g.Expect(response.Code).To(Equal(http.StatusBadRequest))
	g.Expect(message(response)).To(Equal("instances: must not be negative, is -1; " + route))
	g.Expect(b.desired).To(BeEmpty())
	g.Expect(b.updated).To(BeEmpty())
}

// Without a malformed route the same faults are a 422.
func TestOtherFaultsThanRoutes(t *testing.T) {
	g := NewWithT(t)
	b := &backEnd{}
	g.Expect(b.call(http.MethodPut, goldenPath, golden(t, map[string]any{"memory_mb": -1})).Code).To(Equal(http.StatusUnprocessableEntity))
	for field, wire := range map[string]string{"routes": "routes: ", "routes.tcp": "routes.tcp-router: "} {
		b.err = fmt.Errorf("update: %w", opi.Invalid(field, "is more than there is room for"))
		response := b.call(http.MethodPost, "/apps/g-v", `{"guid":"g","version":"v","update":{"instances":1}}`)
		g.Expect(response.Code).To(Equal(http.StatusUnprocessableEntity), "the back end's own reasons")
		g.Expect(message(response)).To(HavePrefix(wire))
	}
}

func TestRoutesOfAnUpdate(t *testing.T) {
	http1 := func(routes ...opi.HTTPRoute) *[]opi.HTTPRoute { return &routes }
	internal := func(routes ...opi.InternalRoute) *[]opi.InternalRoute { return &routes }
	none := opi.RoutesUpdate{}
	for routes, want := range map[string]opi.RoutesUpdate{
		`null`: none, `{}`: none, `{"cf-router":null}`: none, `{"cf-router":null,"internal-router":null}`: none,
		`{"diego-ssh":{"container_port":2222},"cf-router":null}`: none,
		`{"cf-router":[]}`:       {HTTP: http1([]opi.HTTPRoute{}...)},
		`{"internal-router":[]}`: {Internal: internal([]opi.InternalRoute{}...)},
		`{"internal-router":[{"hostname":"a.apps.internal"}]}`: {Internal: internal(opi.InternalRoute{Hostname: "a.apps.internal"})},
		`{"tcp-router":[]}`: {TCP: &[]opi.TCPRoute{}},
		`{"cf-router":[{"hostname":"A.example.com/p/","port":1},{"hostname":"*.b","port":2}]}`:                                       {HTTP: http1(opi.HTTPRoute{Hostname: "A.example.com/p/", Port: 1}, opi.HTTPRoute{Hostname: "*.b", Port: 2})},
		`{"cf-router":[{"hostname":"a","port":1},{"hostname":"a","port":2}]}`:                                                        {HTTP: http1(opi.HTTPRoute{Hostname: "a", Port: 1}, opi.HTTPRoute{Hostname: "a", Port: 2})},
		`{"cf-router":[{"hostname":"a","port":1,"surprise":[]}]}`:                                                                    {HTTP: http1(opi.HTTPRoute{Hostname: "a", Port: 1})},
		`{"cf-router":[{"hostname":"a","port":1,"protocol":null,"route_service_url":null,"isolation_segment":null,"options":null}]}`: {HTTP: http1(opi.HTTPRoute{Hostname: "a", Port: 1})},
		`{"cf-router":[{"hostname":"a","port":1,"options":{}}]}`:                                                                     {HTTP: http1(opi.HTTPRoute{Hostname: "a", Port: 1})},
		`{"cf-router":[{"hostname":"a","port":1,"protocol":"http2","route_service_url":"https://s","isolation_segment":"i",
			"options":{"loadbalancing":"hash","hash_balance": 1.50 ,"big":12345678901234567890,"on":true,"none":null,"text":"1\u00fc"}}]}`: {HTTP: http1(opi.HTTPRoute{
			Hostname: "a", Port: 1, Protocol: "http2", RouteServiceURL: "https://s", IsolationSegment: "i",
			Options: map[string]json.RawMessage{"loadbalancing": json.RawMessage(`"hash"`), "hash_balance": json.RawMessage(`"1.50"`), "big": json.RawMessage(`"12345678901234567890"`), "on": json.RawMessage(`"true"`), "text": json.RawMessage(`"1ü"`)},
		})},
	} {
		t.Run(routes, func(t *testing.T) {
			g := NewWithT(t)
			b := &backEnd{}
			response := b.call(http.MethodPost, "/apps/g-v", `{"guid":"g","version":"v","update":{"instances":1,"routes":`+routes+`}}`)
			g.Expect(response.Code).To(Equal(http.StatusOK), response.Body.String())
			g.Expect(b.updated[0].Routes).To(Equal(want))

			response = b.call(http.MethodPut, goldenPath, golden(t, map[string]any{"routes": json.RawMessage(routes)}))
			g.Expect(response.Code).To(Equal(http.StatusAccepted), response.Body.String())
			g.Expect(b.desired[0].Routes).To(Equal(want.Routes()))
		})
	}
}

// Callers of this door don't register TCP routes anywhere, so one would never work.
func TestTCPRoutesAreRefused(t *testing.T) {
	g := NewWithT(t)
	routes := `{"tcp-router":[{"router_group_guid":"g","external_port":1024,"container_port":8080}]}`
	b := &backEnd{}
	response := b.call(http.MethodPost, "/apps/g-v", `{"guid":"g","version":"v","update":{"instances":1,"routes":`+routes+`}}`)
	g.Expect(response.Code).To(Equal(http.StatusUnprocessableEntity))
	g.Expect(response.Body).To(ContainSubstring("routes.tcp-router: TCP routes are not supported"))
	response = b.call(http.MethodPut, goldenPath, golden(t, map[string]any{"routes": json.RawMessage(routes)}))
	g.Expect(response.Code).To(Equal(http.StatusUnprocessableEntity))
	g.Expect(b.desired).To(BeEmpty())
	g.Expect(b.updated).To(BeEmpty())
}

// What people read of a request has the routes as they came.
func TestRoutesInTheKeptRequest(t *testing.T) {
	g := NewWithT(t)
	for sent, kept := range map[string]string{
		`{"cf-router":[{"hostname":"a","port":1}]}`: `{"cf-router":[{"hostname":"a","port":1}]}`,
		`{"cf-router":[{"hostname":"a","port":1,"options":{"n":1.50,"x":"y"}}],"internal-router":[{"hostname":"b"}],"other":1}`: `{"cf-router":[{"hostname":"a","port":1,"options":{"n":1.50,"x":"y"}}],"internal-router":[{"hostname":"b"}]}`,
		`null`: `{"cf-router":null}`,
	} {
		b := &backEnd{}
		b.call(http.MethodPut, goldenPath, golden(t, map[string]any{"routes": json.RawMessage(sent)}))
		g.Expect(b.requests).To(ConsistOf(ContainSubstring(`"routes":` + kept + `,`)))
	}
}

func TestGetRoutes(t *testing.T) {
	g := NewWithT(t)
	b := &backEnd{lrps: []opi.DesiredLRP{{LRPIdentifier: opi.LRPIdentifier{GUID: "g", Version: "v"}}}}
	get := func(routes opi.Routes) string {
		b.lrps[0].Routes = routes
		var body struct {
			LRP struct{ Routes json.RawMessage } `json:"desired_lrp"`
		}
		g.Expect(json.Unmarshal(b.call(http.MethodGet, "/apps/g/v", "").Body.Bytes(), &body)).To(Succeed())
		return string(body.LRP.Routes)
	}
	g.Expect(get(opi.Routes{})).To(Equal(`{"cf-router":[]}`))
	g.Expect(get(opi.Routes{
		HTTP: []opi.HTTPRoute{
			{Hostname: "a", Port: 1},
			{Hostname: "b", Port: 2, Protocol: "http2", RouteServiceURL: "https://s", IsolationSegment: "i", Options: map[string]json.RawMessage{"hash_balance": json.RawMessage(`"1.5"`)}},
		},
		Internal: []opi.InternalRoute{{Hostname: "c"}},
	})).To(Equal(`{"cf-router":[{"hostname":"a","port":1},` +
		`{"hostname":"b","port":2,"protocol":"http2","route_service_url":"https://s","isolation_segment":"i","options":{"hash_balance":"1.5"}}],` +
		`"internal-router":[{"hostname":"c"}]}`))
}

// Whatever routes a caller sends, the answer is 200 with valid routes behind it or
// 400 with a reason.
func FuzzRoutes(f *testing.F) {
	f.Add(`{"cf-router":[{"hostname":"a","port":1,"options":{"a":1}}],"internal-router":[{"hostname":"b"}]}`)
	f.Add(`{"cf-router":[{"hostname":"","port":"x"}],"tcp-router":[]}`)
	f.Fuzz(func(t *testing.T, routes string) {
		if !json.Valid([]byte(routes)) {
			t.Skip()
		}
		b := &backEnd{}
		response := b.call(http.MethodPost, "/apps/g-v", `{"guid":"g","version":"v","update":{"instances":1,"routes":`+routes+`}}`)
		switch response.Code {
		case http.StatusOK:
			if err := b.updated[0].Validate(); err != nil {
				t.Fatal(err)
			}
		case http.StatusBadRequest:
			if message(response) == "" || len(b.updated) > 0 {
				t.Fatal(response.Body.String())
			}
		default:
			t.Fatal(response.Code)
		}
	})
}
