package main

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

func TestWantedProcessesAreReadInAllTheirForms(t *testing.T) {
	for name, list := range map[string]string{
		"annotation":                    `[{"process_guid":"g-v","annotation":"1529064800.9","instances":2}]`,
		"one object a line":             "{\"process_guid\":\"g-v\",\"updated_at\":\"2018-06-15T12:13:20.900000Z\",\"instances\":2}\n{\"process_guid\":\"h-v\",\"updated_at\":1529064800}\n",
		"a time of PostgreSQL":          `[{"process_guid":"g-v","updated_at":"2018-06-15T12:13:20.9"}]`,
		"a time of MySQL with fraction": `[{"process_guid":"g-v","updated_at":"2018-06-15 12:13:20.900000"}]`,
		"a time with a zone":            `[{"process_guid":"g-v","updated_at":"2018-06-15 14:13:20.9+02:00"}]`,
		"seconds":                       `[{"process_guid":"g-v","updated_at":1529064800.9}]`,
		"seconds as text":               `[{"process_guid":"g-v","updated_at":"1529064800.900000"}]`,
		"other columns, too":            `[{"process_guid":"g-v","updated_at":1529064800.9,"state":"STARTED"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			wanted, err := readWanted(strings.NewReader(list))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(wanted).To(HaveKey("g-v"))
			g.Expect(wanted["g-v"].sameAnnotation("1529064800.9")).To(BeTrue())
			g.Expect(wanted["g-v"].sameAnnotation("1529064801.9")).To(BeFalse())
			g.Expect(wanted["g-v"].annotationText()).To(Equal("1529064800.9"))
		})
	}
}

func TestAnnotationsAreComparedAsFinelyAsTheListIs(t *testing.T) {
	g := NewWithT(t)
	read := func(list string) wantedProcess {
		wanted, err := readWanted(strings.NewReader(list))
		g.Expect(err).NotTo(HaveOccurred())
		return wanted["g-v"]
	}
	exact := read(`{"process_guid":"g-v","annotation":"1529064800.900"}`)
	g.Expect(exact.sameAnnotation("1529064800.9")).To(BeFalse(), "Cloud Controller compares text")
	g.Expect(exact.sameAnnotation("1529064800.900")).To(BeTrue())
	whole := read(`{"process_guid":"g-v","updated_at":"2018-06-15T12:13:20Z"}`)
	g.Expect(whole.sameAnnotation("1529064800.0")).To(BeTrue())
	g.Expect(whole.sameAnnotation("1529064800.75")).To(BeTrue())
	g.Expect(whole.sameAnnotation("1529064801.0")).To(BeFalse())
	g.Expect(whole.annotationText()).To(Equal("1529064800.0"))
	fine := read(`{"process_guid":"g-v","updated_at":"2018-06-15 12:13:20.123456"}`)
	g.Expect(fine.sameAnnotation("1529064800.123456")).To(BeTrue())
	g.Expect(fine.sameAnnotation("1529064800.1234562")).To(BeTrue(), "rounded on its way through floating point")
	g.Expect(fine.sameAnnotation("1529064800.123457")).To(BeFalse(), "a microsecond later")
	g.Expect(fine.sameAnnotation("yesterday")).To(BeFalse())
}

func TestListsThatCanNotBeReadAreRefused(t *testing.T) {
	for list, want := range map[string]string{
		`[{"process_guid":"a","annotation":"1"},{"annotation":"1"}]`:                  "process 2: process_guid: is missing",
		`{"process_guid":"a","annotation":"1"} {"process_guid":"a","annotation":"2"}`: "process 2: process_guid: a is listed twice",
		`{"process_guid":"a"}`:                                                           "process 1: updated_at: is missing, and annotation too",
		`{"process_guid":"a","updated_at":null}`:                                         "process 1: updated_at: is missing",
		`{"process_guid":"a","updated_at":"soon"}`:                                       `process 1: updated_at: "soon" is neither a time`,
		`{"process_guid":"a","annotation":"1","instances":-1}`:                           "process 1: instances: -1 is negative",
		`{"process_guid":"a","annotation":"1","instances":"two"}`:                        "process 1: ",
		"[{\"process_guid\":\"a\",\"annotation\":\"1\"}]\nguid | version | updated_at\n": "after process 1: invalid character",
		`7`: "process 1: ",
	} {
		t.Run(want, func(t *testing.T) {
			_, err := readWanted(strings.NewReader(list))
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(want)))
		})
	}
}

func TestDifferences(t *testing.T) {
	g := NewWithT(t)
	wanted, err := readWanted(strings.NewReader(`
		{"process_guid":"same-1","annotation":"1.0","instances":1}
		{"process_guid":"unknown-1","annotation":"1.0"}
		{"process_guid":"secretless-1","annotation":"1.0"}
		{"process_guid":"updated-1","annotation":"2.0","instances":7}
		{"process_guid":"scaled-1","annotation":"1.0","instances":3}
		{"process_guid":"not-counted-1","annotation":"1.0"}`))
	g.Expect(err).NotTo(HaveOccurred())
	present := map[string]held{}
	for _, guid := range []string{"same", "updated", "scaled", "not-counted", "stopped"} {
		present[guid+"-1"] = held{DesiredLRP: opi.DesiredLRP{LRPIdentifier: opi.LRPIdentifier{GUID: guid, Version: "1"}, Instances: 1, Annotation: "1.0"}, app: guid, space: "org/space"}
	}
	found := syncedDoor{}.differences(wanted, present, map[string]reason{"secretless-1": {kubernetes: "its Secret a-secret is missing", then: "the sync desires it"}})
	type brief struct{ difference, guid, app, cloudController, kubernetes string }
	var briefs []brief
	for _, d := range found {
		g.Expect(d.Then).NotTo(BeEmpty())
		briefs = append(briefs, brief{d.Difference, d.ProcessGUID, d.App, d.CloudController, d.Kubernetes})
	}
	g.Expect(briefs).To(Equal([]brief{
		{"missing", "secretless-1", "", "", "its Secret a-secret is missing"},
		{"missing", "unknown-1", "", "", ""},
		{"orphaned", "stopped-1", "stopped", "", ""},
		{"annotation", "updated-1", "updated", "2.0", "1.0"},
		{"instances", "scaled-1", "scaled", "3", "1"},
	}))
}

func TestDiffComparesWithTheDoorThatCloudControllerCalls(t *testing.T) {
	g := NewWithT(t)
	on := BBS{AdoptOPI: true}
	on.Listen.Address = "127.0.0.1:8889"
	for _, c := range []struct {
		name   string
		config BBS
		door   syncedDoor
	}{
		{"", BBS{}, syncedDoor{door: opi.DoorOPI}},
		{"", on, syncedDoor{door: opi.DoorBBS, adoptOPI: true}},
		{"opi", on, syncedDoor{door: opi.DoorOPI}},
		{"bbs", BBS{}, syncedDoor{door: opi.DoorBBS}},
	} {
		g.Expect(syncedDoorOf(c.name, c.config)).To(Equal(c.door), c.name)
	}
	_, err := syncedDoorOf("diego", on)
	g.Expect(err).To(MatchError(errUsage))
}

func TestDoorsListTheirOwnLRPs(t *testing.T) {
	g := NewWithT(t)
	old := view.LRP{Door: opi.DoorOPI}
	own := view.LRP{Door: opi.DoorBBS, Domain: "cf-apps"}
	vizzini := view.LRP{Door: opi.DoorBBS, Domain: "vizzini"}
	lists := func(s syncedDoor) []bool { return []bool{s.lists(old), s.lists(own), s.lists(vizzini)} }
	g.Expect(lists(syncedDoor{door: opi.DoorOPI})).To(Equal([]bool{true, false, false}))
	g.Expect(lists(syncedDoor{door: opi.DoorBBS})).To(Equal([]bool{false, true, false}))
	g.Expect(lists(syncedDoor{door: opi.DoorBBS, adoptOPI: true})).To(Equal([]bool{true, true, false}))
	g.Expect(elsewhereReason(opi.DoorOPI, "").kubernetes).To(ContainSubstring("OPI API"))
	g.Expect(elsewhereReason(opi.DoorBBS, "cf-apps").kubernetes).To(ContainSubstring("BBS API"))
	g.Expect(elsewhereReason(opi.DoorBBS, "vizzini").kubernetes).To(ContainSubstring(`"vizzini"`))
}
