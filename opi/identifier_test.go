package opi_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

func TestParseProcessGUID(t *testing.T) {
	const guid, version = "1c559be1-5534-4bc2-a11e-357a462edf7b", "b06cbcf3-595e-43f2-857a-a2dd6ba6a78d"
	for text, want := range map[string]opi.LRPIdentifier{
		guid + "-" + version:       {GUID: guid, Version: version},
		guid:                       {GUID: guid},
		"vizzini-1-abcd1234":       {GUID: "vizzini-1-abcd1234"},
		guid + "_" + version:       {GUID: guid + "_" + version},
		guid + "-" + version + "x": {GUID: guid + "-" + version + "x"},
		"":                         {},
	} {
		t.Run(text, func(t *testing.T) {
			g := NewWithT(t)
			id := opi.ParseProcessGUID(text)
			g.Expect(id).To(Equal(want))
			g.Expect(id.ProcessGUID()).To(Equal(text))
		})
	}
}

func TestIdentifiers(t *testing.T) {
	g := NewWithT(t)
	for _, valid := range []opi.LRPIdentifier{{GUID: "g", Version: "v"}, {GUID: "g"}, {GUID: strings.Repeat("x", 63)}} {
		g.Expect(valid.Validate()).To(Succeed())
	}
	for field, invalid := range map[string]opi.LRPIdentifier{
		"guid": {Version: "v"}, "version": {GUID: "g", Version: "-"},
	} {
		g.Expect(opi.FieldErrors(invalid.Validate())).To(ConsistOf(HaveField("Field", field)))
	}
	g.Expect(opi.FieldErrors(opi.LRPIdentifier{GUID: strings.Repeat("x", 64)}.Validate())).To(HaveLen(1))
}
