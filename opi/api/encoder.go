package api

import (
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/irene-cf/irene/opi"
)

// Encoder encodes what is reported to Cloud Controller, in the form that goes with the
// requests of this door. It implements events.Encoder.
type Encoder struct{}

// stagingError is the error of a build in the direct form of its callback (contract 2.3).
type stagingError struct {
	ID      string `json:"id"`
	Message string `json:"message"`
}

// taskCallback is the body of a task's callback (contract 3).
type taskCallback struct {
	TaskGUID      string `json:"task_guid"`
	Failed        bool   `json:"failed"`
	FailureReason string `json:"failure_reason"`
}

// EncodeOutcome returns the body for the callback of a build or a task. The same outcome
// has the same body.
func (Encoder) EncodeOutcome(outcome opi.Outcome) ([]byte, error) {
	var body any
	switch {
	case outcome.Work == opi.WorkTask:
		body = taskCallback{TaskGUID: outcome.GUID, Failed: outcome.Failed, FailureReason: outcome.Message}
	case outcome.Work == opi.WorkBuild && outcome.Failed:
		body = map[string]stagingError{"error": {ID: outcome.ErrorID, Message: outcome.Message}}
	case outcome.Work == opi.WorkBuild:
		body = map[string]json.RawMessage{"result": outcome.Result}
	default:
		return nil, fmt.Errorf("encode an outcome for a callback: %q is neither a build nor a task", outcome.Work)
	}
	text, err := opi.EncodeJSON(body)
	if err != nil {
		return nil, fmt.Errorf("encode the outcome of %s %s for its callback: %w", outcome.Work, outcome.GUID, err)
	}
	return text, nil
}

// appEvent is the body of all reports about instances (contract/cloud-controller.md 5.1).
type appEvent struct {
	Instance string `json:"instance"`
	Index    int    `json:"index"`
	CellID   string `json:"cell_id"`
	Reason   string `json:"reason,omitempty"`

	Ready *bool `json:"ready,omitempty"`

	// ExitStatus is absent where it is not known, as is CrashTimestamp, in nanoseconds.
	ExitStatus      *int32 `json:"exit_status,omitempty"`
	ExitDescription string `json:"exit_description,omitempty"`
	CrashCount      int    `json:"crash_count,omitempty"`
	CrashTimestamp  int64  `json:"crash_timestamp,omitempty"`
}

// EncodeReport returns the body of a report about an instance, and the path below Cloud
// Controller's URL to which it is sent.
func (Encoder) EncodeReport(report opi.InstanceReport) (path string, body []byte, err error) {
	event := appEvent{Instance: report.GUID, Index: report.Index, CellID: report.Cell}
	switch report.Kind {
	case opi.ReportCrashed:
		event.Reason, event.CrashCount = "CRASHED", report.CrashCount
		event.ExitStatus, event.ExitDescription = report.Crash.ExitStatus, report.Crash.Description
		if !report.Crash.At.IsZero() {
			event.CrashTimestamp = report.Crash.At.UnixNano()
		}
	case opi.ReportRescheduling:
		event.Reason = report.Reason
	case opi.ReportReadinessChanged:
		event.Ready = &report.Ready
	default:
		return "", nil, fmt.Errorf("encode a report about LRP %s: there is no report %q", report.LRPIdentifier, report.Kind)
	}
	if body, err = json.Marshal(event); err != nil {
		return "", nil, fmt.Errorf("encode a report about LRP %s: %w", report.LRPIdentifier, err)
	}
	return "/internal/v4/apps/" + url.PathEscape(report.ProcessGUID()) + "/" + string(report.Kind), body, nil
}
