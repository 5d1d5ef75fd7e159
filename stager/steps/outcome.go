package steps

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/irene-cf/irene/opi"
)

// MaxOutcomeBytes is how much Kubernetes keeps of a termination message.
const MaxOutcomeBytes = 4096

// Names of the steps.
const (
	FetchStep = "fetch"
	BuildStep = "build"
	PushStep  = "push"
)

// Outcome is how a step ended: its termination message, as JSON.
//
// That of build may have been written by user code. Nothing in it is to be believed
// but what the user may see and nobody else depends on; ParseOutcome keeps it in
// bounds.
type Outcome struct {
	// Step is FetchStep, BuildStep or PushStep.
	Step string `json:"step"`
	// Failure is nil when the step succeeded.
	Failure *OutcomeFailure `json:"failure,omitempty"`
	// Seconds is how long the step took.
	Seconds float64 `json:"seconds"`
	// Phases are what the step did, in the order in which each was finished.
	Phases []Phase `json:"phases,omitempty"`
	// Droplet is set when push succeeded, and never otherwise.
	Droplet *OutcomeDroplet `json:"droplet,omitempty"`
}

// OutcomeFailure is why a step failed.
type OutcomeFailure struct {
	Reason Reason `json:"reason"`
	// ID is Cloud Controller's error id for it.
	ID string `json:"id"`
	// Message is for the user.
	Message string `json:"message"`
}

// Phase is one piece of a step's work: "app", "cache" or "buildpack NAME" in fetch;
// "detect", "supply NAME", "finalize NAME", "compile NAME", "release NAME",
// "droplet" or "cache" in build; "upload", "registry" or "cache" in push.
type Phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	// Bytes is what was transferred or packed; 0 where it makes no sense.
	Bytes int64 `json:"bytes,omitempty"`
}

// OutcomeDroplet is what push has stored.
type OutcomeDroplet struct {
	Bytes  int64  `json:"bytes"`
	SHA1   string `json:"sha1"`
	SHA256 string `json:"sha256"`
	// Manifest is the digest of the droplet's manifest in the registry.
	Manifest string `json:"manifest"`
	// Result is the digest of result.json, "sha256:" and hex, under which the
	// registry has it.
	Result string `json:"result"`
}

const (
	maxPhaseNameBytes = 80
	maxPhases         = 200
)

// NewOutcome makes the outcome of a step that began at a time and ended with err,
// nil for success.
func NewOutcome(step string, began time.Time, phases []Phase, err error) Outcome {
	outcome := Outcome{Step: step, Seconds: seconds(time.Since(began)), Phases: phases}
	if err != nil {
		failure := AsFailure(err)
		outcome.Failure = &OutcomeFailure{
			Reason:  failure.Reason,
			ID:      failure.Reason.ErrorID(),
			Message: failure.Error(),
		}
	}
	return outcome
}

// Since makes a phase that began at a time and ends now.
func Since(name string, began time.Time, bytes int64) Phase {
	return Phase{Name: name, Seconds: seconds(time.Since(began)), Bytes: bytes}
}

// seconds rounds to milliseconds, which is what people read.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

// Text is the outcome as JSON of at most MaxOutcomeBytes bytes. What is too long is
// shortened: the message first, then the list of phases.
func (o Outcome) Text() ([]byte, error) {
	o.Phases = slices.Clone(o.Phases)
	for i := range o.Phases {
		o.Phases[i].Name = opi.PlainText(o.Phases[i].Name, maxPhaseNameBytes)
	}
	if o.Failure != nil {
		failure := *o.Failure
		failure.Message = opi.PlainText(failure.Message, opi.MaxMessageBytes)
		o.Failure = &failure
	}
	for {
		text, err := json.Marshal(o)
		if err != nil {
			return nil, fmt.Errorf("write the step's outcome: %w", err)
		}
		switch {
		case len(text) <= MaxOutcomeBytes:
			return text, nil
		case len(o.Phases) > 0:
			o.Phases = o.Phases[:len(o.Phases)/2]
		case o.Failure != nil && len(o.Failure.Message) > 16:
			// JSON writes some characters with six bytes.
			o.Failure.Message = opi.Shorten(o.Failure.Message, len(o.Failure.Message)/2)
		default:
			return nil, errors.New("write the step's outcome: it is too long")
		}
	}
}

// ParseOutcome reads a step's termination message. It is an error when the message
// isn't one, or is not of that step; a message of build that claims what only push
// can say is one.
func ParseOutcome(step string, text []byte) (Outcome, error) {
	var outcome Outcome
	if len(text) > MaxOutcomeBytes {
		return Outcome{}, errors.New("the termination message is too long")
	}
	if err := json.Unmarshal(text, &outcome); err != nil {
		return Outcome{}, errors.New("the termination message is not a step's outcome")
	}
	switch {
	case outcome.Step != step:
		return Outcome{}, fmt.Errorf("the termination message is not that of %s", step)
	case outcome.Failure != nil && !outcome.Failure.Reason.Known():
		return Outcome{}, errors.New("the termination message gives an unknown reason")
	case len(outcome.Phases) > maxPhases:
		return Outcome{}, errors.New("the termination message has too many phases")
	case (outcome.Droplet != nil) != (step == PushStep && outcome.Failure == nil):
		return Outcome{}, errors.New("the termination message tells of a droplet where there is none, or not where there is one")
	}
	if outcome.Failure != nil {
		// The reason decides, whatever is written beside it.
		outcome.Failure.ID = outcome.Failure.Reason.ErrorID()
		outcome.Failure.Message = opi.PlainText(outcome.Failure.Message, opi.MaxMessageBytes)
	}
	for i := range outcome.Phases {
		outcome.Phases[i].Name = opi.PlainText(outcome.Phases[i].Name, maxPhaseNameBytes)
	}
	return outcome, nil
}
