package k8s

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/irene-cf/irene/opi"
)

// classify says of an API server's error whether the request itself was at fault
// (opi.ErrRefused) or the same request may succeed later (opi.ErrUnavailable),
// which is so for time-outs, lost connections, conflicts and overload. Errors that
// mean neither, such as missing permissions, are returned as they are.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		return fmt.Errorf("%w by the API server: %w", opi.ErrRefused, err)
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return err
	default:
		return fmt.Errorf("the API server is %w: %w", opi.ErrUnavailable, err)
	}
}

// Classify is for other packages that write objects: the error wraps opi.ErrRefused
// where the API server found the request itself at fault, opi.ErrUnavailable where the
// same request may succeed later, and is otherwise as it came.
func Classify(err error) error { return classify(err) }
