package tasks

import (
	"fmt"

	"github.com/irene-cf/irene/opi"
)

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

// outcome returns the end as the outcome of a task.
func (e end) outcome(guid string) *opi.Outcome {
	if e.reason == opi.ReasonSucceeded {
		return opi.TaskSucceeded(guid)
	}
	return opi.TaskFailed(guid, e.reason, e.message)
}
