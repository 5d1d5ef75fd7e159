package opi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// MaxOutcomeBytes bounds an outcome in the form of [Outcome.Encode]. It is kept in an
// annotation, and all annotations of an object share 256 KiB.
const MaxOutcomeBytes = 128 << 10

// ErrOutcomeTooLarge is wrapped by errors about an outcome that can't be kept.
var ErrOutcomeTooLarge = errors.New("the outcome is too large")

// Outcome is what a caller is told of work that has ended. It is decided once, kept in
// this form, and never changed afterwards.
type Outcome struct {
	// Body is what is sent: one JSON document.
	Body json.RawMessage `json:"body"`
	// Reason is one lower-case word for metrics and logs: "succeeded", "memory",
	// "canceled". It is never free text.
	Reason string `json:"reason"`
}

// NewOutcome returns the outcome whose body is the JSON of a value. The error wraps
// ErrOutcomeTooLarge if the outcome can't be kept.
func NewOutcome(reason string, body any) (*Outcome, error) {
	text, err := encodeJSON(body)
	if err != nil {
		return nil, fmt.Errorf("encode the body of an outcome: %w", err)
	}
	outcome := &Outcome{Body: text, Reason: reason}
	if _, err := outcome.Encode(); err != nil {
		return nil, err
	}
	return outcome, nil
}

// Encode returns the outcome as it is kept. It returns an error if the outcome can't be
// kept or could not be sent later.
func (o Outcome) Encode() ([]byte, error) {
	switch {
	case o.Reason == "":
		return nil, errors.New("the outcome has no reason")
	case !json.Valid(o.Body):
		return nil, errors.New("the outcome's body is not JSON")
	}
	text, err := encodeJSON(o)
	if err != nil {
		return nil, fmt.Errorf("encode the outcome: %w", err)
	}
	if len(text) > MaxOutcomeBytes {
		return nil, fmt.Errorf("%w: it has %d bytes, more than %d", ErrOutcomeTooLarge, len(text), MaxOutcomeBytes)
	}
	return text, nil
}

// encodeJSON writes "<", ">" and "&" as they are: commands are full of them, and their
// escaped form has six bytes.
func encodeJSON(value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}
