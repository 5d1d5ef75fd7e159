package opi

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Normalize returns the LRP without odd values that need not cost it: parts that no
// instance depends on, or that have one obvious meaning. Cloud Controller accepts
// such values, also those that users wrote years ago, so an app that is refused for
// one could not be started at all.
//
// The error joins one *FieldError for each value that was left out or replaced by
// another one. It is for the log; the LRP is to be desired all the same. A front door
// calls Normalize before Validate.
func (l LRP) Normalize() (LRP, error) {
	rules, rulesErr := normalizeEgressRules(l.EgressRules)
	annotations, annotationsErr := normalizeUserAnnotations(l.UserAnnotations)
	checks, checksErr := l.Checks.normalize()
	l.EgressRules, l.UserAnnotations, l.Checks = rules, annotations, checks
	return l, errors.Join(rulesErr, annotationsErr, checksErr)
}

// Normalize returns the build without buildpacks that can't be fetched, as long as they
// are only candidates for detection and others remain. Cloud Controller sends no URL
// for a buildpack whose file its blobstore has lost; that must not fail every build of
// the platform. The error is as that of LRP.Normalize.
func (b Build) Normalize() (Build, error) {
	rules, rulesErr := normalizeEgressRules(b.EgressRules)
	b.EgressRules = rules
	if b.Source == nil {
		return b, rulesErr
	}
	errs := []error{rulesErr}
	var usable []Buildpack
	for i, buildpack := range b.Source.Buildpacks {
		if buildpack.URL == "" && !buildpack.SkipDetect {
			errs = append(errs, Invalid(fmt.Sprintf("source.buildpacks[%d].url", i), "is missing; buildpack %q is not tried", abbreviate(buildpack.Name)))
			continue
		}
		usable = append(usable, buildpack)
	}
	if len(usable) == 0 {
		return b, rulesErr // for Validate to refuse
	}
	source := *b.Source
	source.Buildpacks = usable
	b.Source = &source
	return b, errors.Join(errs...)
}

// Normalize returns the task without egress rules, or parts of them, that can't be read. The
// error is as that of LRP.Normalize.
func (t Task) Normalize() (Task, error) {
	rules, err := normalizeEgressRules(t.EgressRules)
	t.EgressRules = rules
	return t, err
}

func normalizeEgressRules(rules []EgressRule) ([]EgressRule, error) {
	var errs []error
	var normalized []EgressRule
	for i, rule := range rules {
		rule, ok, err := rule.normalize()
		if err != nil {
			errs = append(errs, Within(fmt.Sprintf("egressRules[%d]", i), err))
		}
		if ok {
			normalized = append(normalized, rule)
		}
	}
	return normalized, errors.Join(errs...)
}

// maxUserAnnotationBytes bounds user annotations together. Cloud Controller allows
// 200 of them with up to 5,000 characters each, more than a Kubernetes object holds. Which
// keys may stand on pods is the back end's decision.
const maxUserAnnotationBytes = 32 << 10

func normalizeUserAnnotations(annotations map[string]string) (map[string]string, error) {
	var errs []error
	var normalized map[string]string
	total := 0
	for _, key := range sortedKeys(annotations) {
		size := len(key) + len(annotations[key])
		if total+size > maxUserAnnotationBytes {
			errs = append(errs, Invalid("userAnnotations."+abbreviate(key), "user annotations have more than %d bytes together", maxUserAnnotationBytes))
			continue
		}
		total += size
		if normalized == nil {
			normalized = map[string]string{}
		}
		normalized[key] = annotations[key]
	}
	return normalized, errors.Join(errs...)
}

// MaxStartTimeout is the longest start timeout. It stands for none at all where a caller
// has no bound.
const MaxStartTimeout = 24 * time.Hour

func (c Checks) normalize() (Checks, error) {
	var errs []error
	checks := map[string]*Check{"startup": &c.Startup, "liveness": &c.Liveness, "readiness": &c.Readiness}
	for _, name := range sortedKeys(checks) {
		check := checks[name]
		if check.Kind == CheckHTTP && check.Path != "" && !strings.HasPrefix(check.Path, "/") {
			errs = append(errs, Invalid("checks."+name+".path", "%q does not begin with '/'; one is put before it", abbreviate(check.Path)))
			check.Path = "/" + check.Path
		}
	}
	if c.StartTimeout > MaxStartTimeout {
		errs = append(errs, Invalid("checks.startTimeout", "is %s; %s is used", c.StartTimeout, MaxStartTimeout))
		c.StartTimeout = MaxStartTimeout
	}
	return c, errors.Join(errs...)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
