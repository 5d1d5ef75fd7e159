package sidecars_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi/sidecars"
)

func TestMembersComeBackFromTheirArguments(t *testing.T) {
	g := NewWithT(t)
	app := sidecars.AppSource("web")
	members := sidecars.Members{App: app, Sidecars: []sidecars.Sidecar{
		{Source: sidecars.SourceOf(app, "logger"), Command: "cd x && ./logger <in", Environment: map[string]string{"A": sidecars.Variable(1, "A")}},
		{Source: sidecars.SourceOf(app, "second one"), Command: "line\nline"},
	}}
	arguments, err := members.Arguments()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(arguments).To(Equal([]string{
		"--source=APP/PROC/WEB",
		`--sidecar={"source":"APP/PROC/WEB/SIDECAR/LOGGER","command":"cd x && ./logger <in","environment":{"A":"IRENE_SIDECAR_1_A"}}`,
		`--sidecar={"source":"APP/PROC/WEB/SIDECAR/SECOND ONE","command":"line\nline"}`,
	}))
	parsed, rest, err := sidecars.Parse(append(arguments, "app", "run"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(parsed).To(Equal(members))
	g.Expect(rest).To(Equal([]string{"app", "run"}))
	_, rest, err = sidecars.Parse(arguments)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(rest).To(BeEmpty())
}

func TestOtherCommandLinesHaveNoSidecars(t *testing.T) {
	for _, arguments := range [][]string{nil, {"app", "run", ""}, {"--source=APP"}, {"--sidecar={}", "--source=APP"}} {
		g := NewWithT(t)
		members, rest, err := sidecars.Parse(arguments)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(members.Sidecars).To(BeEmpty())
		g.Expect(rest).To(Equal(arguments))
	}
	for _, sidecar := range []string{"{", `{"source":"S"}`, `{"source":"S","command":" "}`} {
		_, _, err := sidecars.Parse([]string{"--source=APP", "--sidecar=" + sidecar})
		NewWithT(t).Expect(err).To(HaveOccurred(), sidecar)
	}
}

func TestSourcesFitIntoOneLine(t *testing.T) {
	g := NewWithT(t)
	g.Expect(sidecars.AppSource("")).To(Equal("APP"))
	g.Expect(sidecars.AppSource("Wörker")).To(Equal("APP/PROC/WÖRKER"))
	g.Expect(sidecars.SourceOf("APP", "a\nb\xff")).To(Equal("APP/SIDECAR/A_B_"))
	g.Expect(len(sidecars.SourceOf("APP", strings.Repeat("ü", 600)))).To(BeNumerically("<=", 12+512))
}

func TestEndIsReadForItsStatusOnly(t *testing.T) {
	g := NewWithT(t)
	source, ok := sidecars.ParseEnd(sidecars.End("APP/PROC/WEB", 3), 3)
	g.Expect(ok).To(BeTrue())
	g.Expect(source).To(Equal("APP/PROC/WEB"))
	for _, text := range []string{"", ": Exited with status 3", "APP: Exited with status 33", "A\nPP: Exited with status 3", "exited"} {
		_, ok := sidecars.ParseEnd(text, 3)
		g.Expect(ok).To(BeFalse(), text)
	}
}
