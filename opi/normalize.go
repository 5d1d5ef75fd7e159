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
	tags, tagsErr := normalizePlacementTags(l.PlacementTags)
	l.EgressRules, l.UserAnnotations, l.Checks, l.PlacementTags = rules, annotations, checks, tags
	l.Routes.HTTP = normalizeHTTPRoutes(l.Routes.HTTP)
	ownersErr := normalizeOwners(&l.App, &l.Space, &l.Organization)
	return l, errors.Join(rulesErr, annotationsErr, checksErr, tagsErr, ownersErr)
}

// Normalize returns the update with its routes as those of LRP.Normalize. Nothing is left
// out.
func (u LRPUpdate) Normalize() LRPUpdate {
	if u.Routes.HTTP != nil {
		routes := normalizeHTTPRoutes(*u.Routes.HTTP)
		u.Routes.HTTP = &routes
	}
	return u
}

// Normalize returns the task without guids of owners that can't be kept and without egress
// rules, or parts of them, that can't be read. The error is as that of LRP.Normalize.
func (t Task) Normalize() (Task, error) {
	rules, rulesErr := normalizeEgressRules(t.EgressRules)
	t.EgressRules = rules
	return t, errors.Join(normalizeOwners(&t.App, &t.Space, &t.Organization), rulesErr)
}

// Normalize returns the build without what [Task.Normalize] leaves out, and without
// buildpacks that can't be fetched, as long as they are only candidates for detection and
// others remain. Cloud Controller sends no URL for a buildpack whose file its blobstore has
// lost; that must not fail every build of the platform. The error is as that of LRP.Normalize.
func (b Build) Normalize() (Build, error) {
	rules, rulesErr := normalizeEgressRules(b.EgressRules)
	b.EgressRules = rules
	oddErr := errors.Join(normalizeOwners(&b.App, &b.Space, &b.Organization), rulesErr)
	if b.Source == nil {
		return b, oddErr
	}
	errs := []error{oddErr}
	var usable []Buildpack
	for i, buildpack := range b.Source.Buildpacks {
		if buildpack.URL == "" && !buildpack.SkipDetect {
			errs = append(errs, Invalid(fmt.Sprintf("source.buildpacks[%d].url", i), "is missing; buildpack %q is not tried", abbreviate(buildpack.Name)))
			continue
		}
		usable = append(usable, buildpack)
	}
	if len(usable) == 0 {
		return b, oddErr // for Validate to refuse
	}
	source := *b.Source
	source.Buildpacks = usable
	b.Source = &source
	return b, errors.Join(errs...)
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
	if c.StartTimeout < 0 {
		errs = append(errs, Invalid("checks.startTimeout", "is negative; the platform's default is used"))
		c.StartTimeout = 0
	}
	if c.StartTimeout > MaxStartTimeout {
		errs = append(errs, Invalid("checks.startTimeout", "is %s; %s is used", c.StartTimeout, MaxStartTimeout))
		c.StartTimeout = MaxStartTimeout
	}
	return c, errors.Join(errs...)
}

// normalizePlacementTags leaves out tags without text, which name no isolation segment.
func normalizePlacementTags(tags []string) ([]string, error) {
	var errs []error
	var normalized []string
	for i, tag := range tags {
		if tag == "" {
			errs = append(errs, Invalid(fmt.Sprintf("placementTags[%d]", i), "is empty"))
			continue
		}
		normalized = append(normalized, tag)
	}
	if len(errs) == 0 {
		return tags, nil
	}
	return normalized, errors.Join(errs...)
}

// normalizeHTTPRoutes writes the scheme of route services in lower case, as routers need it.
// Schemes have no case (RFC 3986, section 3.1), and Cloud Controller accepts any.
func normalizeHTTPRoutes(routes []HTTPRoute) []HTTPRoute {
	const scheme = "https://"
	normalized := slices.Clone(routes)
	for i, route := range normalized {
		service := route.RouteServiceURL
		if len(service) > len(scheme) && strings.EqualFold(service[:len(scheme)], scheme) {
			normalized[i].RouteServiceURL = scheme + service[len(scheme):]
		}
	}
	return normalized
}

// normalizeOwners leaves out guids that fit no label. They are there to find objects by;
// nothing that runs depends on them.
func normalizeOwners(app, space, organization *Owner) error {
	var errs []error
	for _, owner := range []struct {
		field string
		*Owner
	}{{"app", app}, {"space", space}, {"organization", organization}} {
		if owner.GUID == "" {
			continue
		}
		if err := validateIdentifier(owner.field+".guid", owner.GUID); err != nil {
			errs = append(errs, err)
			owner.GUID = ""
		}
	}
	return errors.Join(errs...)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
