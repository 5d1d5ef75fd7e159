package opi

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/texts"
)

func TestOutcomesCanBeKept(t *testing.T) {
	g := NewWithT(t)
	succeeded, err := BuildSucceeded("guid", []byte("{\"command\": \"a && b > c\"}\n"))
	g.Expect(err).NotTo(HaveOccurred())
	succeeded.Requested = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	// Jobs of every release keep this form.
	for text, outcome := range map[string]*Outcome{
		`{"work":"build","guid":"guid","requested":"2026-03-01T12:00:00Z","reason":"succeeded","result":{"command":"a && b > c"}}`: succeeded,
		`{"work":"build","guid":"guid","reason":"detect","failed":true,"errorID":"NoAppDetectedError","message":"none wants it"}`:  BuildFailed("guid", "detect", NoAppDetectedError, "none wants it\n"),
		`{"work":"task","guid":"guid","reason":"succeeded"}`:                                                                       TaskSucceeded("guid"),
		`{"work":"task","guid":"guid","reason":"exit","failed":true,"message":"Exited with status 3"}`:                             TaskFailed("guid", "exit", "Exited with status 3"),
	} {
		g.Expect(outcome.Validate()).To(Succeed())
		kept, err := EncodeJSON(outcome)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(kept)).To(Equal(text))
		var read Outcome
		g.Expect(json.Unmarshal(kept, &read)).To(Succeed())
		g.Expect(read).To(Equal(*outcome))
	}
}

func TestResultsHaveAMaximum(t *testing.T) {
	g := NewWithT(t)
	result := func(text string) json.RawMessage {
		encoded, err := EncodeJSON(text)
		g.Expect(err).NotTo(HaveOccurred())
		return encoded
	}
	_, err := BuildSucceeded("guid", result(strings.Repeat("&", MaxResultBytes-100)))
	g.Expect(err).NotTo(HaveOccurred(), "as long as it is")
	_, err = BuildSucceeded("guid", result(strings.Repeat("\x01", MaxResultBytes/6+1)))
	g.Expect(err).To(MatchError(ErrOutcomeTooLarge), "as long as it gets")
	_, err = BuildSucceeded("guid", []byte("{"))
	g.Expect(err).To(HaveOccurred())
}

func TestEveryMessageCanBeKept(t *testing.T) {
	g := NewWithT(t)
	for _, text := range texts.Awkward() {
		g.Expect(BuildFailed("guid", "memory", StagingError, text).Validate()).To(Succeed())
		g.Expect(TaskFailed("guid", "exit", text).Validate()).To(Succeed())
	}
}

func TestOutcomesThatCouldNotBeSent(t *testing.T) {
	for name, outcome := range map[string]Outcome{
		"nothing":                  {},
		"no reason":                {Work: WorkTask, GUID: "guid"},
		"no such work":             {Work: "LRP", GUID: "guid", Reason: "succeeded"},
		"a build without a result": {Work: WorkBuild, GUID: "guid", Reason: "succeeded"},
		"no JSON":                  {Work: WorkBuild, GUID: "guid", Reason: "succeeded", Result: []byte(`{`)},
		"too large": {
			Work: WorkBuild, GUID: "guid", Reason: "succeeded", Result: []byte(`"` + strings.Repeat("x", MaxResultBytes) + `"`),
		},
		"a failed build without an id": {Work: WorkBuild, GUID: "guid", Reason: "memory", Failed: true},
		"a failed task with an id":     {Work: WorkTask, GUID: "guid", Reason: "exit", Failed: true, ErrorID: StagingError},
		"a success with a message":     {Work: WorkTask, GUID: "guid", Reason: "succeeded", Message: "done"},
		"a message that is too long":   {Work: WorkTask, GUID: "guid", Reason: "exit", Failed: true, Message: strings.Repeat("x", MaxMessageBytes+1)},
		"no plain text":                {Work: WorkTask, GUID: "guid", Reason: "exit", Failed: true, Message: "\x1b[31m"},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(outcome.Validate()).NotTo(Succeed())
		})
	}
}
