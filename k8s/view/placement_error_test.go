package view

import (
	"fmt"
	"testing"
	"unicode"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/texts"
	"github.com/irene-cf/irene/opi"
)

// What runtimes and kubelets write stands in reports, in answers to reads and in Events.
func TestTextsOfInstancesAreBoundedAndPlain(t *testing.T) {
	g := NewWithT(t)
	for _, text := range texts.Awkward() {
		for what, said := range map[string]string{
			"pull":      waitingEnd(&Waiting{Reason: "ErrImagePull", Message: text}),
			"start":     waitingEnd(&Waiting{Reason: "CreateContainerError", Message: text}),
			"runtime":   terminationEnd(&Termination{Reason: reasonStartError, Message: text}, 0),
			"lost":      terminationEnd(&Termination{Reason: reasonStatusUnknown, Message: text}, 0),
			"eviction":  podEnd(&Pod{Reason: "Evicted", Message: text}),
			"of a pod":  podEnd(&Pod{Message: text}),
			"the check": check{port: 80}.explain("probe failed: " + text),
		} {
			from := fmt.Sprintf("%s, %d bytes %q…", what, len(text), text[:min(len(text), 10)])
			g.Expect(len(said)).To(BeNumerically("<=", opi.MaxMessageBytes+50), from)
			for _, r := range said {
				g.Expect(unicode.IsControl(r) && r != '\n' && r != '\t').To(BeFalse(), from)
			}
		}
	}
}
