package opi

import (
	"errors"
	"strings"
)

// LRPUpdate changes what may change in a running LRP without a restart. What is
// nil stays as it is.
type LRPUpdate struct {
	// Instances is the new number of desired instances.
	Instances *int
	// Routes replace all routes; empty Routes take all away.
	Routes *Routes
	// Annotation replaces the caller's opaque annotation. The last writer wins:
	// Cloud Controller may well correct it to an earlier time.
	Annotation *string
}

// Validate checks the parts that are given.
func (u LRPUpdate) Validate() error {
	var errs []error
	if u.Instances != nil {
		errs = append(errs, validateInstances(*u.Instances))
	}
	if u.Routes != nil {
		errs = append(errs, u.Routes.Validate())
	}
	if u.Annotation != nil && strings.ContainsRune(*u.Annotation, 0) {
		errs = append(errs, Invalid("annotation", "must not contain a NUL byte"))
	}
	return errors.Join(errs...)
}

// DesiredLRP is what the platform holds of an LRP: the part of it that updates
// change.
type DesiredLRP struct {
	LRPIdentifier
	Instances  int
	Routes     Routes
	Annotation string
}
