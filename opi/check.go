package opi

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// CheckKind is how a check asks an instance for its health.
type CheckKind string

const (
	// CheckNone asks nothing: an instance is healthy while its process runs.
	CheckNone CheckKind = ""
	// CheckPort connects to a TCP port.
	CheckPort CheckKind = "port"
	// CheckHTTP sends GET and wants a status of 200 to 399.
	CheckHTTP CheckKind = "http"
)

// Check is one question about an instance's health. Zero durations mean the
// platform's defaults.
type Check struct {
	Kind CheckKind `json:"kind,omitempty"`
	// Port is the port asked, 0 only for CheckNone.
	Port int32 `json:"port,omitempty"`
	// Path is the absolute path of CheckHTTP, with a query or without.
	Path string `json:"path,omitempty"`
	// Interval is the time between two questions.
	Interval time.Duration `json:"interval,omitempty"`
	// Timeout is how long one answer may take.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Headers go with the request of CheckHTTP, next to those of every HTTP client.
	Headers map[string]string `json:"headers,omitempty"`
}

// Checks are the questions asked while an instance starts, while it runs, and to
// decide whether it gets requests.
type Checks struct {
	// Startup is asked until it is first answered.
	Startup Check `json:"startup,omitzero"`
	// StartTimeout bounds Startup; after it the instance is restarted.
	StartTimeout time.Duration `json:"startTimeout,omitempty"`
	// Liveness failing restarts the instance.
	Liveness Check `json:"liveness,omitzero"`
	// Readiness failing takes the instance's routes away.
	Readiness Check `json:"readiness,omitzero"`
	// More are checks that must pass, too; for most LRPs there are none.
	More MoreChecks `json:"more,omitzero"`
}

// MoreChecks are further checks of an LRP that has several of one kind, such as one for each
// of its ports. They stand apart from the first of each kind because records of LRPs without
// them are much older.
type MoreChecks struct {
	Startup   []Check `json:"startup,omitempty"`
	Liveness  []Check `json:"liveness,omitempty"`
	Readiness []Check `json:"readiness,omitempty"`
}

// IsZero reports whether there are no further checks.
func (m MoreChecks) IsZero() bool {
	return len(m.Startup) == 0 && len(m.Liveness) == 0 && len(m.Readiness) == 0
}

// NewChecks returns the checks with the lists of each kind.
func NewChecks(startTimeout time.Duration, startup, liveness, readiness []Check) Checks {
	checks := Checks{StartTimeout: startTimeout}
	split := func(list []Check, first *Check, more *[]Check) {
		if len(list) > 0 {
			*first = list[0]
		}
		if len(list) > 1 {
			*more = list[1:]
		}
	}
	split(startup, &checks.Startup, &checks.More.Startup)
	split(liveness, &checks.Liveness, &checks.More.Liveness)
	split(readiness, &checks.Readiness, &checks.More.Readiness)
	return checks
}

// Validate checks kinds, ports, paths and durations.
func (c Checks) Validate() error {
	errs := []error{
		Within("checks.startup", c.Startup.validate()),
		Within("checks.liveness", c.Liveness.validate()),
		Within("checks.readiness", c.Readiness.validate()),
	}
	for kind, checks := range map[string][]Check{"startup": c.More.Startup, "liveness": c.More.Liveness, "readiness": c.More.Readiness} {
		for i, check := range checks {
			errs = append(errs, Within(fmt.Sprintf("checks.%s[%d]", kind, i+1), check.validate()))
		}
	}
	if c.StartTimeout < 0 {
		errs = append(errs, Invalid("checks.startTimeout", "must not be negative, is %s", c.StartTimeout))
	}
	if c.StartTimeout > MaxStartTimeout {
		errs = append(errs, Invalid("checks.startTimeout", "must not be longer than %s, is %s", MaxStartTimeout, c.StartTimeout))
	}
	return errors.Join(errs...)
}

func (c Check) validate() error {
	var errs []error
	switch c.Kind {
	case CheckNone:
		return nil
	case CheckPort, CheckHTTP:
	default:
		errs = append(errs, Invalid("kind", "%q is not one of port, http, process or none", abbreviate(string(c.Kind))))
	}
	errs = append(errs, validatePort("port", c.Port))
	if c.Kind == CheckHTTP && !strings.HasPrefix(c.Path, "/") {
		errs = append(errs, Invalid("path", "%q must begin with '/'", abbreviate(c.Path)))
	}
	if strings.ContainsAny(c.Path, "\x00\r\n") || len(c.Path) > 2048 {
		errs = append(errs, Invalid("path", "must have at most 2048 bytes and no control characters"))
	}
	for _, name := range sortedKeys(c.Headers) {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(c.Headers[name]) {
			errs = append(errs, Invalid("headers."+abbreviate(name), "is not a header of an HTTP request"))
		}
	}
	if c.Interval < 0 || c.Timeout < 0 {
		errs = append(errs, Invalid("interval", "interval and timeout must not be negative"))
	}
	return errors.Join(errs...)
}
