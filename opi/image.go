package opi

import (
	"errors"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// Validate checks that the reference is one that container runtimes accept and
// that credentials are whole.
func (i Image) Validate() error {
	var errs []error
	switch {
	case i.Reference == "":
		errs = append(errs, Invalid("reference", "is missing"))
	case strings.Contains(i.Reference, "://"):
		errs = append(errs, Invalid("reference", "%q must not have a URL scheme", abbreviate(i.Reference)))
	default:
		if _, err := name.ParseReference(i.Reference); err != nil {
			errs = append(errs, Invalid("reference", "%q is not an image reference: %v", abbreviate(i.Reference), err))
		}
	}
	if i.Credentials != nil && i.Credentials.Username == "" {
		errs = append(errs, Invalid("credentials", "a registry password is given without a user name"))
	}
	return errors.Join(errs...)
}
