package api_test

import (
	"net/http"
	"strings"
	"testing"

	"code.cloudfoundry.org/lager/v3/lagertest"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

func rule(destinations ...any) map[string]any {
	return map[string]any{"protocol": "tcp", "destinations": destinations, "ports": []int{443}}
}

// Cloud Controller accepts these values. An app that is refused for one could not be
// started at all.
func TestDesireWithOddValues(t *testing.T) {
	good := opi.EgressRule{Protocol: "tcp", Destinations: []string{"10.0.11.0/24"}, Ports: []int32{443}}
	for name, c := range map[string]struct {
		changes map[string]any
		check   func(g *WithT, lrp opi.LRP)
		// logged begins the values that are logged.
		logged []any
	}{
		"leading zeros": {
			map[string]any{"egress_rules": []any{rule("010.0.11.0/24")}},
			func(g *WithT, lrp opi.LRP) { g.Expect(lrp.EgressRules).To(Equal([]opi.EgressRule{good})) }, nil,
		},
		"no address": {
			map[string]any{"egress_rules": []any{rule("10.0.11.0/24"), rule("example.com")}},
			func(g *WithT, lrp opi.LRP) { g.Expect(lrp.EgressRules).To(Equal([]opi.EgressRule{good})) }, []any{HavePrefix("egress_rules[1].destinations[0]: ")},
		},
		"unreadable rule": {
			map[string]any{"egress_rules": []any{rule(7), rule("10.0.11.0/24"), "x", nil}},
			func(g *WithT, lrp opi.LRP) { g.Expect(lrp.EgressRules).To(Equal([]opi.EgressRule{good})) },
			[]any{HavePrefix("egress_rules[0]: destinations can't be a JSON number"), HavePrefix("egress_rules[2]: can't be a JSON string"),
				HavePrefix("egress_rules[3].protocol: "), HavePrefix("egress_rules[3].destinations: is missing")},
		},
		"unreadable rules": {
			map[string]any{"egress_rules": map[string]any{}},
			func(g *WithT, lrp opi.LRP) { g.Expect(lrp.EgressRules).To(BeEmpty()) }, []any{"egress_rules: can't be a JSON object"},
		},
		"large annotation": {
			map[string]any{"user_defined_annotations": map[string]any{"prometheus.io/large": strings.Repeat("x", 40<<10), "prometheus.io/port": "1"}},
			func(g *WithT, lrp opi.LRP) {
				g.Expect(lrp.UserAnnotations).To(Equal(map[string]string{"prometheus.io/port": "1"}))
			}, []any{HavePrefix("user_defined_annotations.prometheus.io/large: ")},
		},
		"health check path": {
			map[string]any{"health_check_type": "http", "health_check_http_endpoint": "health"},
			func(g *WithT, lrp opi.LRP) { g.Expect(lrp.Checks.Liveness.Path).To(Equal("/health")) },
			[]any{HavePrefix(`health_check_http_endpoint: "health" does not begin with '/'`)},
		},
		"long start timeout": {
			map[string]any{"start_timeout_ms": 100_000_000},
			func(g *WithT, lrp opi.LRP) { g.Expect(lrp.Checks.StartTimeout.Hours()).To(Equal(24.0)) }, []any{"start_timeout_ms: is 27h46m40s; 24h0m0s is used"},
		},
		"negative start timeout": {
			map[string]any{"start_timeout_ms": int64(-1 << 60)},
			func(g *WithT, lrp opi.LRP) { g.Expect(lrp.Checks.StartTimeout).To(BeZero()) },
			[]any{"start_timeout_ms: is negative; the platform's default is used"},
		},
		"empty placement tag": {
			map[string]any{"placement_tags": []string{"", "segment"}},
			func(g *WithT, lrp opi.LRP) { g.Expect(lrp.PlacementTags).To(Equal([]string{"segment"})) }, []any{"placement_tags[0]: is empty"},
		},
		"route service with a scheme in upper case": {
			map[string]any{"routes": map[string]any{"cf-router": []any{map[string]any{"hostname": "a.example", "port": 8080, "route_service_url": "HTTPS://s.example"}}}},
			func(g *WithT, lrp opi.LRP) {
				g.Expect(lrp.Routes.HTTP).To(ConsistOf(HaveField("RouteServiceURL", "https://s.example")))
			}, nil,
		},
		"guids that fit no label": {
			map[string]any{"app_guid": "a/b", "space_guid": strings.Repeat("s", 64), "organization_guid": "-"},
			func(g *WithT, lrp opi.LRP) {
				g.Expect([]string{lrp.App.GUID, lrp.Space.GUID, lrp.Organization.GUID}).To(HaveEach(""))
				g.Expect(lrp.App.Name).NotTo(BeEmpty())
			},
			[]any{HavePrefix(`app_guid: "a/b" must have at most 63 letters`), HavePrefix("space_guid: "), HavePrefix("organization_guid: ")},
		},
		"unused timeout": {
			map[string]any{"health_check_timeout_ms": -1}, func(*WithT, opi.LRP) {}, nil,
		},
		"port twice": {
			map[string]any{"ports": []int{8080, 8080}}, func(*WithT, opi.LRP) {}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			logger := lagertest.NewTestLogger("test")
			b := &backEnd{}
			response := callHandler(newHandler(b, nil, nil, logger), http.MethodPut, goldenPath, golden(t, c.changes))
			g.Expect(response.Code).To(Equal(http.StatusAccepted), response.Body.String())
			g.Expect(b.desired).To(HaveLen(1))
			g.Expect(b.desired[0].Validate()).To(Succeed())
			c.check(g, b.desired[0])
			if c.logged == nil {
				g.Expect(logger.Logs()).To(BeEmpty())
				return
			}
			g.Expect(logger.Logs()).To(HaveLen(1))
			g.Expect(logger.Logs()[0].Message).To(Equal("test.api.desire-odd-values"))
			g.Expect(logger.Logs()[0].Data).To(HaveKeyWithValue("values", ConsistOf(c.logged...)))
		})
	}
}

func TestUpdateWithARouteServiceInUpperCase(t *testing.T) {
	g := NewWithT(t)
	b := &backEnd{}
	response := b.call(http.MethodPost, "/apps/g-v", `{"guid":"g","version":"v","update":{"instances":1,"routes":{"cf-router":[`+
		`{"hostname":"a.example","port":8080,"route_service_url":"HTTPS://s.example"}]}}}`)
	g.Expect(response.Code).To(Equal(http.StatusOK), response.Body.String())
	g.Expect(*b.updated[0].Routes.HTTP).To(ConsistOf(HaveField("RouteServiceURL", "https://s.example")))
}

func TestOwnersThatFitNoLabel(t *testing.T) {
	g := NewWithT(t)
	staged := &builds{}
	g.Expect(staged.call(http.MethodPost, stagePath, stageFixture(t, buildpack, map[string]any{"org_guid": "/"})).Code).To(Equal(http.StatusAccepted))
	g.Expect(staged.staged[0].Organization.GUID).To(BeEmpty())

	run, logger := &tasks{}, lagertest.NewTestLogger("test")
	handler := newHandler(&backEnd{}, nil, run, logger)
	g.Expect(callHandler(handler, http.MethodPost, taskPath, taskFixture(t, buildpackTask, map[string]any{"org_guid": "/"})).Code).To(Equal(http.StatusAccepted))
	g.Expect(run.desired[0].Organization.GUID).To(BeEmpty())
	g.Expect(logger.Logs()).To(ConsistOf(And(
		HaveField("Message", "test.api.task-odd-values"),
		HaveField("Data", HaveKeyWithValue("values", ConsistOf(HavePrefix("org_guid: ")))))))
}

func TestStageWithoutALostBuildpack(t *testing.T) {
	g := NewWithT(t)
	b := &builds{}
	body := stageFixture(t, buildpack, map[string]any{"lifecycle.buildpack_lifecycle.buildpacks": []any{
		map[string]any{"name": "lost", "key": "lost", "url": nil, "skip_detect": false},
		map[string]any{"name": "ruby", "key": "ruby", "url": "https://blobstore/ruby.zip", "skip_detect": false},
	}})
	g.Expect(b.call(http.MethodPost, stagePath, body).Code).To(Equal(http.StatusAccepted))
	g.Expect(b.staged[0].Source.Buildpacks).To(ConsistOf(HaveField("Name", "ruby")))
}

// One field of a request may be several of the domain's.
func TestAWrongFieldIsNamedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		changes map[string]any
		want    string
	}{
		"path": {map[string]any{"health_check_type": "http", "health_check_http_endpoint": "/a\nb"},
			"health_check_http_endpoint: must have at most 2048 bytes and no control characters"},
		"port": {map[string]any{"ports": []int{0}}, "ports[0]: must be between 1 and 65535, is 0"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			response := (&backEnd{}).call(http.MethodPut, goldenPath, golden(t, c.changes))
			g.Expect(message(response)).To(Equal(c.want))
		})
	}
}
