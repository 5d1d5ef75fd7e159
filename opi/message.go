package opi

import (
	"errors"
	"fmt"
)

// messageError is an error with a message for app developers.
type messageError struct {
	message string
	err     error
}

// Error returns the text of the wrapped error, which is for logs.
func (e *messageError) Error() string { return e.err.Error() }

// Unwrap returns the wrapped error.
func (e *messageError) Unwrap() error { return e.err }

// WithMessage returns err with a message for app developers: what is wrong and what they
// can do about it. The message names no hosts, Kubernetes objects or guids; those are in
// the text of err, which stays as it is.
func WithMessage(err error, format string, args ...any) error {
	return &messageError{message: fmt.Sprintf(format, args...), err: err}
}

// Message returns the message for app developers that err or an error that it wraps was
// given, and "" if there is none. The outermost counts.
func Message(err error) string {
	if found, ok := errors.AsType[*messageError](err); ok {
		return found.message
	}
	return ""
}
