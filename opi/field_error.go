package opi

import (
	"errors"
	"fmt"
)

// FieldError says which field of a value is wrong and why. Field is a path in
// the domain's own names ("routes.http[1].hostname"); a front door translates
// it into the names that its callers use.
type FieldError struct {
	Field  string
	Reason string
}

// Error is "<field>: <reason>".
func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

// Invalid makes a FieldError; format and args make its reason.
func Invalid(field, format string, args ...any) error {
	return &FieldError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// FieldErrors returns every FieldError in err, in order: err may be one, wrap
// one or join several, at any depth.
func FieldErrors(err error) []*FieldError {
	switch err := err.(type) {
	case *FieldError:
		return []*FieldError{err}
	case interface{ Unwrap() []error }:
		var all []*FieldError
		for _, part := range err.Unwrap() {
			all = append(all, FieldErrors(part)...)
		}
		return all
	case interface{ Unwrap() error }:
		return FieldErrors(err.Unwrap())
	}
	return nil
}

// Within puts parent before the field of every FieldError in err.
func Within(parent string, err error) error {
	var errs []error
	for _, fieldError := range FieldErrors(err) {
		errs = append(errs, &FieldError{Field: parent + "." + fieldError.Field, Reason: fieldError.Reason})
	}
	return errors.Join(errs...)
}

// abbreviate keeps an error readable when the value that it quotes is not.
func abbreviate(value string) string { return Shorten(value, 80) }
