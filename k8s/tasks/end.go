package tasks

import (
	"fmt"

	"github.com/irene-cf/irene/opi"
)

// succeeded is the reason of outcomes that are no failure.
const succeeded = "succeeded"

// end is how a task ended.
type end struct {
	// reason is one word, for metrics and logs.
	reason string
	// message is what the user reads; empty for success.
	message string
}

func failed(reason, format string, args ...any) *end {
	return &end{reason: reason, message: fmt.Sprintf(format, args...)}
}

// canceled is worded as Diego does, whose texts people's tools know.
func canceled() *end { return failed("canceled", "task was cancelled") }

// outcome is the end in the form of the callback (contract 3).
func (e end) outcome(guid string) (*opi.Outcome, error) {
	return opi.NewOutcome(e.reason, struct {
		TaskGUID      string `json:"task_guid"`
		Failed        bool   `json:"failed"`
		FailureReason string `json:"failure_reason"`
	}{guid, e.reason != succeeded, opi.PlainText(e.message, opi.MaxMessageBytes)})
}
