package tasks

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/irene-cf/irene/opi"
)

// succeeded is the reason of outcomes that are no failure.
const succeeded = "succeeded"

// maxMessageBytes keeps a text of Kubernetes' within what Cloud Controller stores.
const maxMessageBytes = 2000

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
	message := e.message
	if len(message) > maxMessageBytes {
		message = strings.ToValidUTF8(message[:maxMessageBytes], "") + "…"
	}
	body, err := json.Marshal(struct {
		TaskGUID      string `json:"task_guid"`
		Failed        bool   `json:"failed"`
		FailureReason string `json:"failure_reason"`
	}{guid, e.reason != succeeded, message})
	if err != nil {
		return nil, fmt.Errorf("encode outcome: %w", err)
	}
	return &opi.Outcome{Body: body, Reason: e.reason}, nil
}
