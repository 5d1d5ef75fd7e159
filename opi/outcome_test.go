package opi

import (
	"encoding/json"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

func TestOutcomesCanBeKept(t *testing.T) {
	g := NewWithT(t)
	outcome, err := NewOutcome("succeeded", map[string]string{"command": "a && b > c"})
	g.Expect(err).NotTo(HaveOccurred())
	text, err := outcome.Encode()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(text)).To(Equal(`{"body":{"command":"a && b > c"},"reason":"succeeded"}`))
	var read Outcome
	g.Expect(json.Unmarshal(text, &read)).To(Succeed())
	g.Expect(read).To(Equal(*outcome))

	_, err = NewOutcome("succeeded", strings.Repeat("&", MaxOutcomeBytes-100))
	g.Expect(err).NotTo(HaveOccurred(), "as long as it is")
	_, err = NewOutcome("succeeded", strings.Repeat("\x01", MaxOutcomeBytes/6))
	g.Expect(err).To(MatchError(ErrOutcomeTooLarge), "as long as it gets")
}

func TestOutcomesThatCouldNotBeSent(t *testing.T) {
	g := NewWithT(t)
	for _, outcome := range []Outcome{
		{Body: []byte(`{}`)}, {Reason: "detect"}, {Reason: "detect", Body: []byte(`{`)},
		{Reason: "detect", Body: []byte(`"` + strings.Repeat("x", MaxOutcomeBytes) + `"`)},
	} {
		_, err := outcome.Encode()
		g.Expect(err).To(HaveOccurred())
	}
}
