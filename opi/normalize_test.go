package opi_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

func fieldsOf(err error) []string {
	var fields []string
	for _, fault := range opi.FieldErrors(err) {
		fields = append(fields, fault.Field)
	}
	return fields
}

func TestNormalizeEgressRules(t *testing.T) {
	tcp := func(destinations ...string) opi.EgressRule {
		return opi.EgressRule{Protocol: "tcp", Destinations: destinations, Ports: []int32{443}}
	}
	ports := func(ports ...int32) opi.EgressRule {
		return opi.EgressRule{Protocol: "udp", Destinations: []string{"10.0.0.1"}, Ports: ports}
	}
	span := func(start, end int32) opi.EgressRule {
		return opi.EgressRule{Protocol: "tcp", Destinations: []string{"10.0.0.1"}, PortRange: &opi.PortRange{Start: start, End: end}}
	}
	for name, c := range map[string]struct {
		rule opi.EgressRule
		// want is nil where nothing is left of the rule.
		want *opi.EgressRule
		odd  []string
	}{
		"address":                  {tcp("10.0.11.0"), new(tcp("10.0.11.0")), nil},
		"written otherwise":        {tcp("2001:DB8:0:0::1"), new(tcp("2001:DB8:0:0::1")), nil},
		"leading zeros":            {tcp("010.000.011.007"), new(tcp("10.0.11.7")), nil},
		"leading zeros in a CIDR":  {tcp("010.0.11.0/024"), new(tcp("10.0.11.0/24")), nil},
		"leading zeros in a range": {tcp("010.0.0.01-010.0.0.09"), new(tcp("10.0.0.1-10.0.0.9")), nil},
		"white space":              {tcp(" 10.0.0.1 - 10.0.0.9\n"), new(tcp("10.0.0.1-10.0.0.9")), nil},
		"several in one text":      {tcp("10.0.0.0/8, 1.2.3.4,::1"), new(tcp("10.0.0.0/8", "1.2.3.4", "::1")), nil},
		"one of several":           {tcp("10.0.0.0/8,nowhere", "1.2.3.4"), new(tcp("10.0.0.0/8", "1.2.3.4")), []string{"destinations[0]"}},
		"no address":               {tcp("example.com"), nil, []string{"destinations[0]"}},
		"too many bits":            {tcp("10.0.0.0/33"), nil, []string{"destinations[0]"}},
		"backwards":                {tcp("9.9.9.9-1.1.1.1"), nil, []string{"destinations[0]"}},
		"no destination":           {tcp(), nil, []string{"destinations"}},
		"protocol":                 {opi.EgressRule{Protocol: "sctp", Destinations: []string{"::1"}}, nil, []string{"protocol"}},
		"port zero among others":   {ports(0, 53), new(ports(53)), []string{"ports[0]"}},
		"never wider than it was":  {ports(0), nil, []string{"ports[0]"}},
		"range from zero":          {span(0, 70000), new(span(1, 65535)), nil},
		"range backwards":          {span(9, 8), nil, []string{"portRange"}},
		"icmp without type":        {opi.EgressRule{Protocol: "icmp", Destinations: []string{"::1"}}, &opi.EgressRule{Protocol: "icmp", Destinations: []string{"::1"}}, nil},
		"icmp with ports":          {opi.EgressRule{Protocol: "icmp", Destinations: []string{"::1"}, Ports: []int32{1}}, &opi.EgressRule{Protocol: "icmp", Destinations: []string{"::1"}}, nil},
		"icmp type":                {opi.EgressRule{Protocol: "icmp", Destinations: []string{"::1"}, ICMP: &opi.ICMP{Type: 256}}, nil, []string{"icmp"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			neighbour := tcp("192.0.2.1")
			lrp := valid()
			lrp.EgressRules = []opi.EgressRule{neighbour, c.rule, neighbour}
			got, err := lrp.Normalize()
			want := []opi.EgressRule{neighbour, neighbour}
			if c.want != nil {
				want = []opi.EgressRule{neighbour, *c.want, neighbour}
			}
			g.Expect(got.EgressRules).To(Equal(want))
			g.Expect(got.Validate()).To(Succeed())
			var odd []string
			for _, field := range c.odd {
				odd = append(odd, "egressRules[1]."+field)
			}
			g.Expect(fieldsOf(err)).To(Equal(odd))
		})
	}
}

func FuzzNormalizeDestinations(f *testing.F) {
	for _, text := range []string{"010.0.11.0/24", "1.1.1.1-2.2.2.2", "::1,10.0.0.1", "00.0.0.0", "a,", "1.1.1.1-", "fe80::1%eth0"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lrp := valid()
		lrp.EgressRules = []opi.EgressRule{{Protocol: "tcp", Destinations: []string{text}, Ports: []int32{443}}}
		got, odd := lrp.Normalize()
		if err := got.Validate(); err != nil {
			t.Fatal(err)
		}
		if lrp.Validate() == nil && (odd != nil || got.EgressRules[0].Destinations[0] != text) {
			t.Fatal("a valid rule was changed: ", got.EgressRules, odd)
		}
		if len(got.EgressRules) == 0 && odd == nil {
			t.Fatal("the rule was lost silently")
		}
	})
}

func TestNormalizeUserAnnotations(t *testing.T) {
	g := NewWithT(t)
	lrp := valid()
	lrp.UserAnnotations = map[string]string{
		"prometheus.io/port": "9090", "prometheus.io/large": strings.Repeat("x", 40<<10),
	}
	before := maps.Clone(lrp.UserAnnotations)
	got, err := lrp.Normalize()
	g.Expect(got.UserAnnotations).To(Equal(map[string]string{"prometheus.io/port": "9090"}))
	g.Expect(got.Validate()).To(Succeed())
	g.Expect(lrp.UserAnnotations).To(Equal(before))
	g.Expect(fieldsOf(err)).To(ConsistOf("userAnnotations.prometheus.io/large"))
}

func TestNormalizeChecks(t *testing.T) {
	g := NewWithT(t)
	check := opi.Check{Kind: opi.CheckHTTP, Port: 8080, Path: "health"}
	lrp := valid()
	lrp.Checks = opi.Checks{Startup: check, Liveness: check, StartTimeout: 30 * time.Hour}
	got, err := lrp.Normalize()
	g.Expect(got.Validate()).To(Succeed())
	check.Path = "/health"
	g.Expect(got.Checks).To(Equal(opi.Checks{Startup: check, Liveness: check, StartTimeout: 24 * time.Hour}))
	g.Expect(fieldsOf(err)).To(ConsistOf("checks.startup.path", "checks.liveness.path", "checks.startTimeout"))
}

func TestNormalizeNegativeStartTimeout(t *testing.T) {
	g := NewWithT(t)
	lrp := valid()
	lrp.Checks.StartTimeout = -time.Second
	got, err := lrp.Normalize()
	g.Expect(got).To(Equal(valid()))
	g.Expect(fieldsOf(err)).To(ConsistOf("checks.startTimeout"))
}

func TestNormalizePlacementTags(t *testing.T) {
	for name, c := range map[string]struct {
		tags, want []string
		odd        []string
	}{
		"none":     {nil, nil, nil},
		"segments": {[]string{"a", "b"}, []string{"a", "b"}, nil},
		"empty":    {[]string{""}, nil, []string{"placementTags[0]"}},
		"among":    {[]string{"a", "", "b"}, []string{"a", "b"}, []string{"placementTags[1]"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			lrp := valid()
			lrp.PlacementTags = c.tags
			got, err := lrp.Normalize()
			g.Expect(got.PlacementTags).To(Equal(c.want))
			g.Expect(got.Validate()).To(Succeed())
			g.Expect(fieldsOf(err)).To(Equal(c.odd))
		})
	}
}

func TestNormalizeRouteServices(t *testing.T) {
	for url, want := range map[string]string{
		"":                    "",
		"https://S.example/A": "https://S.example/A",
		"HTTPS://S.example/A": "https://S.example/A",
		"Https://s.example":   "https://s.example",
		"HTTP://s.example":    "HTTP://s.example", // for Validate to refuse
		"HTTPS:":              "HTTPS:",
		"https://":            "https://",
		"HTTPS:\\s.example":   "HTTPS:\\s.example",
	} {
		g := NewWithT(t)
		routes := []opi.HTTPRoute{{Hostname: "a", Port: 1}, {Hostname: "b", Port: 1, RouteServiceURL: url}}
		before := slices.Clone(routes)
		wanted := []opi.HTTPRoute{{Hostname: "a", Port: 1}, {Hostname: "b", Port: 1, RouteServiceURL: want}}
		lrp := valid()
		lrp.Routes.HTTP = routes
		got, err := lrp.Normalize()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got.Routes.HTTP).To(Equal(wanted))
		update := opi.LRPUpdate{Routes: opi.RoutesUpdate{HTTP: &routes}}.Normalize()
		g.Expect(*update.Routes.HTTP).To(Equal(wanted))
		g.Expect(routes).To(Equal(before))
	}
	g := NewWithT(t)
	g.Expect(opi.LRPUpdate{}.Normalize()).To(Equal(opi.LRPUpdate{}))
	none := opi.LRPUpdate{Routes: opi.RoutesUpdate{HTTP: &[]opi.HTTPRoute{}}}.Normalize()
	g.Expect(none.Routes.HTTP).To(HaveValue(BeEmpty()))
}

func TestNormalizeOwners(t *testing.T) {
	g := NewWithT(t)
	good, odd := opi.Owner{GUID: "guid", Name: "name"}, opi.Owner{GUID: "a/b", Name: "name"}
	left := opi.Owner{Name: "name"}

	lrp := valid()
	lrp.App, lrp.Space, lrp.Organization = odd, good, opi.Owner{GUID: strings.Repeat("o", 64), Name: "name"}
	gotLRP, err := lrp.Normalize()
	g.Expect(fieldsOf(err)).To(ConsistOf("app.guid", "organization.guid"))
	g.Expect([]opi.Owner{gotLRP.App, gotLRP.Space, gotLRP.Organization}).To(Equal([]opi.Owner{left, good, left}))
	g.Expect(gotLRP.Validate()).To(Succeed())

	gotTask, err := opi.Task{App: good, Space: odd}.Normalize()
	g.Expect(fieldsOf(err)).To(ConsistOf("space.guid"))
	g.Expect(gotTask).To(Equal(opi.Task{App: good, Space: left}))

	gotBuild, err := opi.Build{App: good, Organization: odd}.Normalize()
	g.Expect(fieldsOf(err)).To(ConsistOf("organization.guid"))
	g.Expect(gotBuild).To(Equal(opi.Build{App: good, Organization: left}))
}

func TestNormalizeKeepsTheRest(t *testing.T) {
	g := NewWithT(t)
	got, err := valid().Normalize()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got).To(Equal(valid()))
}

func TestNormalizeBuildpacks(t *testing.T) {
	g := NewWithT(t)
	fetchable := opi.Buildpack{Name: "go", Key: "go", URL: "https://blobstore/go.zip"}
	lost := opi.Buildpack{Name: "lost", Key: "lost"}
	asked := opi.Buildpack{Name: "lost", Key: "lost", SkipDetect: true}
	build := func(buildpacks ...opi.Buildpack) opi.Build {
		return opi.Build{Source: &opi.Source{Buildpacks: buildpacks}}
	}
	got, err := build(lost, fetchable).Normalize()
	g.Expect(fieldsOf(err)).To(Equal([]string{"source.buildpacks[0].url"}))
	g.Expect(got).To(Equal(build(fetchable)))
	for _, whole := range []opi.Build{build(fetchable), build(asked), build(lost), {Image: &opi.Image{Reference: "x"}}} {
		got, err := whole.Normalize()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got).To(Equal(whole))
	}
}

// Parts that Cloud Controller may send twice, or longer than one would expect.
func TestRepetitionsAreNoFaults(t *testing.T) {
	g := NewWithT(t)
	lrp := valid()
	lrp.Ports = []int32{8080, 8080}
	lrp.Volumes = []opi.Volume{{ID: "claim", Directory: "/data"}, {ID: "claim", Directory: "/data/"}}
	lrp.PlacementTags = []string{strings.Repeat("隔", 255)}
	g.Expect(lrp.Validate()).To(Succeed())
}

// Rules of tasks and builds are read as those of LRPs.
func TestNormalizeEgressRulesOfTasksAndBuilds(t *testing.T) {
	g := NewWithT(t)
	rules := []opi.EgressRule{{Protocol: "all", Destinations: []string{"10.0.0.1,nowhere"}}, {Protocol: "sctp", Destinations: []string{"::1"}}}
	wanted := []opi.EgressRule{{Protocol: "all", Destinations: []string{"10.0.0.1"}}}
	odd := []string{"egressRules[0].destinations[0]", "egressRules[1].protocol"}

	task, err := opi.Task{EgressRules: rules}.Normalize()
	g.Expect(task.EgressRules).To(Equal(wanted))
	g.Expect(fieldsOf(err)).To(Equal(odd))
	for _, source := range []*opi.Source{nil, {}, {Buildpacks: []opi.Buildpack{{URL: "u"}}}} {
		build, err := opi.Build{EgressRules: rules, Source: source}.Normalize()
		g.Expect(build.EgressRules).To(Equal(wanted))
		g.Expect(fieldsOf(err)).To(Equal(odd))
	}
}
