package opi

import (
	"encoding/json"
	"errors"
	"strings"
)

// LRPUpdate changes what may change in a running LRP without a restart. What is
// nil stays as it is.
type LRPUpdate struct {
	// Instances is the new number of desired instances.
	Instances *int
	// Routes replace the LRP's routes, each kind by itself.
	Routes RoutesUpdate
	// Annotation replaces the caller's opaque annotation. The last writer wins:
	// Cloud Controller may well correct it to an earlier time.
	Annotation *string
	// MetricTags replace all metric tags.
	MetricTags *map[string]MetricTag
	// Door makes the LRP that of another front door, in the domain that Domain names.
	Door   *Door
	Domain *string
}

// RoutesUpdate replaces routes by kind. A kind that is nil stays as it is; one that
// points to no routes loses those that it has.
type RoutesUpdate struct {
	HTTP     *[]HTTPRoute
	TCP      *[]TCPRoute
	Internal *[]InternalRoute
	// Other replaces all routes of other kinds.
	Other *map[string]json.RawMessage
}

// Routes are the routes that the update speaks of.
func (u RoutesUpdate) Routes() Routes {
	var routes Routes
	if u.HTTP != nil {
		routes.HTTP = *u.HTTP
	}
	if u.TCP != nil {
		routes.TCP = *u.TCP
	}
	if u.Internal != nil {
		routes.Internal = *u.Internal
	}
	if u.Other != nil {
		routes.Other = *u.Other
	}
	return routes
}

// Changeable returns the update that gives an LRP all that this one has of what updates change,
// its instances, door and domain aside.
func (l LRP) Changeable() LRPUpdate {
	return LRPUpdate{
		Routes:     RoutesUpdate{HTTP: &l.Routes.HTTP, TCP: &l.Routes.TCP, Internal: &l.Routes.Internal, Other: &l.Routes.Other},
		Annotation: &l.Annotation,
		MetricTags: &l.MetricTags,
	}
}

// Validate checks the parts that are given.
func (u LRPUpdate) Validate() error {
	var errs []error
	if u.Instances != nil {
		errs = append(errs, validateInstances(*u.Instances))
	}
	errs = append(errs, u.Routes.Routes().Validate())
	if u.Annotation != nil && strings.ContainsRune(*u.Annotation, 0) {
		errs = append(errs, Invalid("annotation", "must not contain a NUL byte"))
	}
	if u.Domain != nil {
		errs = append(errs, validateDomain(*u.Domain))
	}
	if u.MetricTags != nil {
		errs = append(errs, validateMetricTags(*u.MetricTags))
	}
	return errors.Join(errs...)
}
