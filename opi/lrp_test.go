package opi_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

func valid() opi.LRP {
	return opi.LRP{
		LRPIdentifier: opi.LRPIdentifier{GUID: "guid", Version: "version"},
		RootFS:        opi.RootFS{Image: &opi.Image{Reference: "org/image"}},
		Limits:        opi.Limits{MemoryMiB: 64},
	}
}

func TestValidate(t *testing.T) {
	NewWithT(t).Expect(valid().Validate()).To(Succeed())
	for field, change := range map[string]func(*opi.LRP){
		"guid":                   func(l *opi.LRP) { l.GUID = "a/b" },
		"version":                func(l *opi.LRP) { l.Version = strings.Repeat("v", 64) },
		"app.guid":               func(l *opi.LRP) { l.App.GUID = "-" },
		"space.name":             func(l *opi.LRP) { l.Space.Name = "a\x00" },
		"rootFS":                 func(l *opi.LRP) { l.RootFS.Image = nil },
		"rootFS.image.reference": func(l *opi.LRP) { l.RootFS.Image.Reference = "a b" },
		"droplet.checksum": func(l *opi.LRP) {
			l.RootFS.Image = nil
			l.Droplet = &opi.Droplet{GUID: "d", Checksum: opi.Checksum{Value: "a/b"}}
		},
		"droplet.guid": func(l *opi.LRP) {
			l.RootFS.Image = nil
			l.Droplet = &opi.Droplet{GUID: "D", Checksum: opi.Checksum{Value: "a"}}
		},
		"checks.liveness.headers.a b": func(l *opi.LRP) {
			l.Checks.Liveness = opi.Check{Kind: opi.CheckHTTP, Port: 1, Path: "/", Headers: map[string]string{"a b": "c"}}
		},
		"checks.liveness.headers.a": func(l *opi.LRP) {
			l.Checks.Liveness = opi.Check{Kind: opi.CheckHTTP, Port: 1, Path: "/", Headers: map[string]string{"a": "b\r\nc: d"}}
		},
		"instances":             func(l *opi.LRP) { l.Instances = -1 },
		"annotation":            func(l *opi.LRP) { l.Annotation = "\x00" },
		"limits.memory":         func(l *opi.LRP) { l.Limits.MemoryMiB = 0 },
		"limits.pids":           func(l *opi.LRP) { l.Limits.PIDs = -1 },
		"ports[1]":              func(l *opi.LRP) { l.Ports = []int32{8080, 0} },
		"checks.startup.kind":   func(l *opi.LRP) { l.Checks.Startup = opi.Check{Kind: "x", Port: 1} },
		"checks.liveness.port":  func(l *opi.LRP) { l.Checks.Liveness = opi.Check{Kind: opi.CheckPort} },
		"checks.readiness.path": func(l *opi.LRP) { l.Checks.Readiness = opi.Check{Kind: opi.CheckHTTP, Port: 1, Path: "x"} },
		"checks.startTimeout":   func(l *opi.LRP) { l.Checks.StartTimeout = 25 * time.Hour },
		"processes[1].name": func(l *opi.LRP) {
			l.Processes = []opi.Process{{}, {Command: []string{"a"}}}
		},
		"processes[1].environment.A=": func(l *opi.LRP) {
			l.Processes = []opi.Process{{}, {Name: "a", Environment: map[string]string{"A=": ""}}}
		},
		"processes[0].command[1]":     func(l *opi.LRP) { l.Processes = []opi.Process{{Command: []string{"a", strings.Repeat("x", 128<<10)}}} },
		"routes.http[0].hostname":     func(l *opi.LRP) { l.Routes.HTTP = []opi.HTTPRoute{{Hostname: "a b", Port: 1}} },
		"routes.http[0].protocol":     func(l *opi.LRP) { l.Routes.HTTP = []opi.HTTPRoute{{Hostname: "a", Port: 1, Protocol: "spdy"}} },
		"routes.internal[0].hostname": func(l *opi.LRP) { l.Routes.Internal = []opi.InternalRoute{{Hostname: "*.x"}} },
		"routes.tcp[0].externalPort":  func(l *opi.LRP) { l.Routes.TCP = []opi.TCPRoute{{Port: 1}} },
		"volumes[1].directory":        func(l *opi.LRP) { l.Volumes = []opi.Volume{{ID: "a", Directory: "/d"}, {ID: "b", Directory: "/d/"}} },
		"placementTags[0]":            func(l *opi.LRP) { l.PlacementTags = []string{""} },
		"egressRules[0].portRange": func(l *opi.LRP) {
			l.EgressRules = []opi.EgressRule{{Protocol: "tcp", Destinations: []string{"::1"}, PortRange: &opi.PortRange{Start: 2, End: 1}}}
		},
	} {
		t.Run(field, func(t *testing.T) {
			g := NewWithT(t)
			lrp := valid()
			change(&lrp)
			fields := opi.FieldErrors(lrp.Validate())
			g.Expect(fields).To(HaveLen(1), "%v", lrp.Validate())
			g.Expect(fields[0].Field).To(Equal(field))
			g.Expect(fields[0].Reason).NotTo(BeEmpty())
		})
	}
}

func TestEnvironmentLimits(t *testing.T) {
	g := NewWithT(t)
	fits := strings.Repeat("x", opi.MaxVariableBytes-len("NAME="))
	g.Expect(opi.ValidateEnvironment(map[string]string{"NAME": fits})).To(Succeed())
	g.Expect(opi.ValidateEnvironment(map[string]string{"NAME": fits + "x"})).To(MatchError(ContainSubstring("environment.NAME")))

	many := map[string]string{}
	for i := range 9 {
		many[fmt.Sprint("N", i)] = strings.Repeat("x", 100<<10)
	}
	g.Expect(opi.ValidateEnvironment(many)).To(Succeed())
	many["LARGEST"] = strings.Repeat("x", 127<<10)
	many["MORE"] = strings.Repeat("x", 100<<10)
	g.Expect(opi.ValidateEnvironment(many)).To(MatchError(ContainSubstring("the largest is LARGEST")))
}

func TestFieldErrors(t *testing.T) {
	g := NewWithT(t)
	g.Expect(opi.FieldErrors(nil)).To(BeEmpty())
	g.Expect(opi.FieldErrors(errors.New("x"))).To(BeEmpty())
	joined := errors.Join(opi.Invalid("a", "1"), nil, fmt.Errorf("wrapped: %w", opi.Invalid("b", "2")))
	g.Expect(opi.FieldErrors(joined)).To(HaveLen(2))
	g.Expect(opi.FieldErrors(opi.Within("p", joined))[1].Field).To(Equal("p.b"))
}

// A checksum identifies a droplet; the guid only names its image.
func TestValidateDropletsWithoutGUID(t *testing.T) {
	sha1, sha256 := strings.Repeat("1a", 20), strings.Repeat("2b", 32)
	for name, example := range map[string]struct {
		checksum opi.Checksum
		app      string
		fields   []string
	}{
		"sha1":                   {opi.Checksum{Algorithm: "sha1", Value: sha1}, "app", nil},
		"sha256":                 {opi.Checksum{Algorithm: "sha256", Value: sha256}, "app", nil},
		"a checksum of a length": {opi.Checksum{Algorithm: "sha256", Value: sha1}, "app", []string{"droplet.guid"}},
		"capitals":               {opi.Checksum{Algorithm: "sha1", Value: strings.ToUpper(sha1)}, "app", []string{"droplet.guid"}},
		"another algorithm":      {opi.Checksum{Algorithm: "md5", Value: sha1}, "app", []string{"droplet.guid"}},
		"no checksum":            {opi.Checksum{}, "app", []string{"droplet.guid"}},
		"no app":                 {opi.Checksum{Algorithm: "sha1", Value: sha1}, "", []string{"app.guid"}},
		"an app that names none": {opi.Checksum{Algorithm: "sha1", Value: sha1}, "App", []string{"app.guid"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			droplet := &opi.Droplet{Checksum: example.checksum}
			lrp := valid()
			lrp.RootFS.Image, lrp.Droplet, lrp.App.GUID = nil, droplet, example.app
			g.Expect(fieldsOf(lrp.Validate())).To(Equal(example.fields))
			task := opi.Task{
				GUID: "task", App: lrp.App, Droplet: droplet, Process: opi.Process{Command: []string{"run"}},
				Limits: lrp.Limits, CompletionCallback: "https://cc.internal/",
			}
			g.Expect(fieldsOf(task.Validate())).To(Equal(example.fields))
		})
	}
	g := NewWithT(t)
	g.Expect(opi.Droplet{GUID: "droplet"}.ImageRepository("app")).To(Equal("droplet"))
	g.Expect(opi.Droplet{}.ImageRepository("app")).To(Equal("app"))
}
