package bbs

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"code.cloudfoundry.org/bbs/models"

	"github.com/irene-cf/irene/opi"
)

// isUnavailable reports whether the same request may succeed later. Such an error is
// answered with HTTP status 503: Cloud Controller shows it to its user at once, and its sync
// ends the round (contract/bbs.md 1.2).
func isUnavailable(err error) bool {
	return errors.Is(err, opi.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// unexplained ends the text of an error that has none for people.
const unexplained = "; its operators find the reason in the log"

// wireError returns the error as Diego's clients read it. doing completes "the platform
// can't …". Cloud Controller shows the text to app developers: it names fields of the request,
// or is an [opi.Message]. All else that an error contains is for the log.
func wireError(doing string, err error) *models.Error {
	if known, ok := errors.AsType[*models.Error](err); ok {
		return known
	}
	if errors.Is(err, opi.ErrNotFound) {
		return models.ErrResourceNotFound
	}
	if errors.Is(err, opi.ErrExists) {
		return models.ErrResourceExists
	}
	text := cmp.Or(faults(err), opi.Message(err), "the platform can't "+doing+unexplained)
	if isRefused(err) {
		return models.NewError(models.Error_InvalidRequest, text)
	}
	return models.NewError(models.Error_UnknownError, text)
}

// isRefused reports whether the request itself is at fault.
func isRefused(err error) bool {
	var known *models.Error
	return errors.As(err, &known) || errors.Is(err, opi.ErrRefused) || len(opi.FieldErrors(err)) > 0
}

// faults describes the fields that are wrong, each once; "" if err is not about fields.
func faults(err error) string {
	return strings.Join(wireNames.Describe(opi.FieldErrors(err)), "; ")
}
