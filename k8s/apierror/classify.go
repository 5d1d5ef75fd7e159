package apierror

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/irene-cf/irene/opi"
)

// Classify returns an API server's error with its meaning: it wraps [opi.ErrRefused] where
// the request itself is at fault, with a message for app developers, and
// [opi.ErrUnavailable] where the same request may succeed later, which is so for time-outs,
// lost connections, conflicts and overload. Errors that mean neither, such as missing
// permissions, are returned as they are.
func Classify(err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		return opi.WithMessage(fmt.Errorf("%w by the API server: %w", opi.ErrRefused, err), "%s", refusalMessage(err))
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return err
	default:
		return fmt.Errorf("the API server is %w: %w", opi.ErrUnavailable, err)
	}
}

// NameTaken is the message for app developers where an object that is not Irene's has the
// name that one of Irene's needs.
const NameTaken = "another object in Kubernetes has the name that this needs; the platform's operators have to remove it"

// refusalMessage returns what the API server, or an admission policy, has against an
// object, for app developers: without the names of objects and fields, which they have
// never seen.
func refusalMessage(err error) string {
	const refused = "Kubernetes refuses it"
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return refused
	}
	// Webhooks: "… denied the request: <reason>"; policies: "… denied request: <reason>".
	message := status.Status().Message
	if _, reason, found := strings.Cut(message, "request: "); found && strings.Contains(message, "denied") {
		return refused + ": " + reason
	}
	if details := status.Status().Details; details != nil && len(details.Causes) > 0 {
		var reasons []string
		for _, cause := range details.Causes {
			if !slices.Contains(reasons, cause.Message) {
				reasons = append(reasons, cause.Message)
			}
		}
		return refused + ": " + strings.Join(reasons, "; ")
	}
	if apierrors.IsRequestEntityTooLargeError(err) {
		return refused + ": it is too large"
	}
	return refused
}
