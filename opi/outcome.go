package opi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// MaxResultBytes bounds the result of an [Outcome]. It is kept in an annotation, and all
// annotations of an object share 256 KiB.
const MaxResultBytes = 128 << 10

// ErrOutcomeTooLarge is wrapped by errors about an outcome that can't be kept.
var ErrOutcomeTooLarge = errors.New("the outcome is too large")

// Work is a kind of work that comes to an end.
type Work string

// Kinds of work.
const (
	WorkBuild Work = "build"
	WorkTask  Work = "task"
)

// Error ids of failed builds. Cloud Controller keeps them as they are (contract/cloud-controller.md 2.4).
const (
	// StagerError is a fault of the platform.
	StagerError = "StagerError"
	// StagingError is any other failure, explained by the message.
	StagingError = "StagingError"
	// StagingTimeExpired is a build that took too long.
	StagingTimeExpired = "StagingTimeExpired"
	// NoAppDetectedError is an app that no buildpack wants.
	NoAppDetectedError = "NoAppDetectedError"
	// BuildpackCompileFailed and BuildpackReleaseFailed are about a buildpack's scripts.
	BuildpackCompileFailed = "BuildpackCompileFailed"
	BuildpackReleaseFailed = "BuildpackReleaseFailed"
	// InsufficientResources is a build for which there was no room.
	InsufficientResources = "InsufficientResources"
	// NoCompatibleCell is a build that no node may run.
	NoCompatibleCell = "NoCompatibleCell"
)

// ReasonSucceeded is the reason of every outcome that is no failure.
const ReasonSucceeded = "succeeded"

// Outcome is how a build or a task has ended. It is decided once, kept in this form, and
// never changed. The door by which the work was asked for encodes it for its caller.
//
// [BuildSucceeded], [BuildFailed], [TaskSucceeded] and [TaskFailed] return outcomes.
type Outcome struct {
	Work Work `json:"work"`
	// GUID is the build's or the task's.
	GUID string `json:"guid"`
	// Requested is when the work was put on record; zero if unknown.
	Requested time.Time `json:"requested,omitzero"`

	// Reason is one lower-case word for metrics and logs: "succeeded", "memory",
	// "node-lost". It is never free text.
	Reason string `json:"reason"`
	Failed bool   `json:"failed,omitempty"`
	// ErrorID is set for failed builds only.
	ErrorID string `json:"errorID,omitempty"`
	// Message explains a failure to the app's developer. It is plain text of at most
	// MaxMessageBytes bytes.
	Message string `json:"message,omitempty"`

	// Result is what a successful build has found out: one JSON document of at most
	// MaxResultBytes bytes, with the members lifecycle_type, lifecycle_metadata,
	// process_types and execution_metadata, as Cloud Controller reads it. The domain
	// doesn't look into it.
	Result json.RawMessage `json:"result,omitempty"`
}

// BuildSucceeded returns the outcome of a build with a result. The error wraps
// ErrOutcomeTooLarge if the result can't be kept.
func BuildSucceeded(guid string, result json.RawMessage) (*Outcome, error) {
	compact, err := EncodeJSON(result)
	if err != nil {
		return nil, fmt.Errorf("encode the result of build %s: %w", guid, err)
	}
	outcome := &Outcome{Work: WorkBuild, GUID: guid, Reason: ReasonSucceeded, Result: compact}
	if err := outcome.Validate(); err != nil {
		return nil, fmt.Errorf("build %s: %w", guid, err)
	}
	return outcome, nil
}

// BuildFailed returns the outcome of a build that has failed. errorID is one of the error
// ids above; message may come from elsewhere.
func BuildFailed(guid, reason, errorID, message string) *Outcome {
	return &Outcome{
		Work: WorkBuild, GUID: guid, Reason: reason, Failed: true, ErrorID: errorID, Message: PlainText(message, MaxMessageBytes),
	}
}

// TaskSucceeded returns the outcome of a task that has done its work.
func TaskSucceeded(guid string) *Outcome {
	return &Outcome{Work: WorkTask, GUID: guid, Reason: ReasonSucceeded}
}

// TaskFailed returns the outcome of a task that has failed. message may come from elsewhere.
func TaskFailed(guid, reason, message string) *Outcome {
	return &Outcome{Work: WorkTask, GUID: guid, Reason: reason, Failed: true, Message: PlainText(message, MaxMessageBytes)}
}

// Validate checks that the outcome can be kept and encoded by every door. The error wraps
// ErrOutcomeTooLarge if only its size is wrong.
func (o Outcome) Validate() error {
	switch {
	case o.Work != WorkBuild && o.Work != WorkTask:
		return fmt.Errorf("the outcome is about %q, neither a build nor a task", o.Work)
	case o.Reason == "":
		return errors.New("the outcome has no reason")
	case o.Message != PlainText(o.Message, MaxMessageBytes):
		return fmt.Errorf("the outcome's message is not plain text of at most %d bytes", MaxMessageBytes)
	case !o.Failed && (o.Message != "" || o.ErrorID != ""):
		return errors.New("the outcome is no failure and has an error")
	case (o.ErrorID != "") != (o.Failed && o.Work == WorkBuild):
		return errors.New("failed builds have an error id, and no other work")
	case (len(o.Result) > 0) != (!o.Failed && o.Work == WorkBuild):
		return errors.New("successful builds have a result, and no other work")
	case len(o.Result) > MaxResultBytes:
		return fmt.Errorf("%w: its result has %d bytes, more than %d", ErrOutcomeTooLarge, len(o.Result), MaxResultBytes)
	case len(o.Result) > 0 && !json.Valid(o.Result):
		return errors.New("the outcome's result is not JSON")
	}
	return nil
}

// EncodeJSON returns the JSON of a value, on one line. It keeps "<", ">" and "&", of which
// commands are full: their escaped form has six bytes.
func EncodeJSON(value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}
