package opi

import "encoding/json"

// Outcome is what a caller is told of work that has ended. It is decided once, kept in
// this form, and never changed afterwards.
type Outcome struct {
	// Body is what is sent: one JSON document.
	Body json.RawMessage `json:"body"`
	// Reason is one lower-case word for metrics and logs: "succeeded", "memory",
	// "canceled". It is never free text.
	Reason string `json:"reason"`
}
