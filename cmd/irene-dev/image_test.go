package main

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/appimage"
)

var testImage = sampleImage{registry: "10.1.2.3:5000", dropletHash: strings.Repeat("ab", 20), revision: "0123456789"}

func TestStackRevisionAndDropletHash(t *testing.T) {
	g := NewWithT(t)
	layer, err := appimage.Layer(appimage.File{Path: "a", Mode: 0o644})
	g.Expect(err).NotTo(HaveOccurred())
	other, err := appimage.Layer(appimage.File{Path: "b", Mode: 0o644})
	g.Expect(err).NotTo(HaveOccurred())
	revision, err := stackRevision(layer, other)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(revision).To(MatchRegexp(`^[0-9a-f]{10}$`))
	g.Expect(stackRevision(other, layer)).NotTo(Equal(revision))
	g.Expect(dropletHash(layer)).To(MatchRegexp(`^[0-9a-f]{40}$`))
}
