package stager

import (
	"encoding/json"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/api"
)

// callback returns what Cloud Controller gets.
func callback(outcome *opi.Outcome) string {
	body, err := api.Encoder{}.EncodeOutcome(*outcome)
	if err != nil {
		return "not encoded: " + err.Error()
	}
	return string(body)
}

// The callback's form is Cloud Controller's (contract 2.3).
func TestOutcomesInTheDirectForm(t *testing.T) {
	g := NewWithT(t)
	outcome := outOfMemory(64).Outcome("guid")
	g.Expect(outcome.Reason).To(Equal("memory"))
	g.Expect(callback(outcome)).To(MatchJSON(`{"error":{"id":"StagingError","message":"Staging ran out of memory: limit 64M. Give the app more memory, or make its build need less"}}`))
	outcome, err := success("guid", json.RawMessage(`{"a":1}`), outOfMemory(64))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(callback(outcome)).To(MatchJSON(`{"result":{"a":1}}`))
}
