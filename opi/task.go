package opi

import (
	"errors"
	"fmt"
	"strings"
)

// Task is one run of a command in an app's droplet or image, once and never again.
type Task struct {
	// GUID is Cloud Controller's task guid.
	GUID string `json:"guid"`
	// Door names the front door that desired the task.
	Door Door `json:"-"`
	// Request identifies the request that desired the task. While its record is young, the same
	// request again succeeds, since its sender may have missed the answer; another one fails
	// with [ErrExists]. It is empty for doors where any repeat succeeds.
	Request string `json:"-"`
	// Name is what the user called the run; two runs may have the same.
	Name         string `json:"name,omitempty"`
	App          Owner  `json:"app,omitzero"`
	Space        Owner  `json:"space,omitzero"`
	Organization Owner  `json:"organization,omitzero"`

	// Domain names the set of tasks that the caller keeps in step with its own records; as
	// that of an LRP.
	Domain string `json:"domain,omitempty"`
	// Annotation is the caller's note, which the task is listed with.
	Annotation string `json:"annotation,omitempty"`

	// RootFS and Droplet are what an LRP's are.
	RootFS  RootFS   `json:"rootFS,omitzero"`
	Droplet *Droplet `json:"droplet,omitempty"`
	// Process is the command to run; its Environment and the task's are one.
	Process Process `json:"process,omitzero"`
	// Environment may hold secrets: a back end never stores it beside the rest.
	Environment map[string]string `json:"environment,omitempty"`
	// Limits bound the run.
	Limits Limits `json:"limits,omitzero"`
	// Volumes are mounted into the task's instance.
	Volumes []Volume `json:"volumes,omitempty"`
	// EgressRules are the destinations that the task may connect to.
	EgressRules []EgressRule `json:"egressRules,omitempty"`
	// PlacementTags name the isolation segment: a cell must carry all of them.
	PlacementTags []string `json:"placementTags,omitempty"`
	// MetricTags go with every metric and log line of the task.
	MetricTags map[string]MetricTag `json:"metricTags,omitempty"`
	// OrganizationalUnits go into the identity certificate.
	OrganizationalUnits []string `json:"organizationalUnits,omitempty"`
	// Files are placed into the task's instance.
	Files []File `json:"files,omitempty"`
	// TrustedCertificatesPath is as that of an LRP.
	TrustedCertificatesPath string `json:"trustedCertificatesPath,omitempty"`
	// CompletionCallback is the URL to which the outcome is reported.
	CompletionCallback string `json:"completionCallback,omitempty"`
}

// Validate checks everything that must hold for a task. The error joins one
// *FieldError for each fault.
func (t Task) Validate() error {
	errs := []error{
		validateIdentifier("guid", t.GUID),
		validateOwner("app", t.App),
		validateOwner("space", t.Space),
		validateOwner("organization", t.Organization),
		validateContent(t.RootFS, t.Droplet),
		ValidateEnvironment(t.Environment),
		t.Limits.Validate(),
		validateCallback(t.CompletionCallback),
		validateCommand("process", t.Process.Command),
		validateImageRepository(t.Droplet, t.App),
		validateVolumes(t.Volumes),
		validateSurroundings(t.Domain, t.EgressRules, t.PlacementTags, t.MetricTags, t.Files, t.TrustedCertificatesPath),
	}
	if t.Droplet != nil && len(t.Process.Command) == 0 {
		errs = append(errs, Invalid("process.command", "is missing: a droplet's own command starts the app, not a task"))
	}
	if strings.ContainsRune(t.Name, 0) {
		errs = append(errs, Invalid("name", "must not contain a NUL byte"))
	}
	if strings.ContainsRune(t.Annotation, 0) {
		errs = append(errs, Invalid("annotation", "must not contain a NUL byte"))
	}
	return errors.Join(errs...)
}

// validateSurroundings checks what LRPs, tasks and builds have in common.
func validateSurroundings(domain string, rules []EgressRule, placementTags []string, metricTags map[string]MetricTag, files []File, trustedCertificates string) error {
	errs := []error{
		validateDomain(domain),
		validatePlacementTags(placementTags),
		validateMetricTags(metricTags),
		validateFiles(files),
	}
	if trustedCertificates != "" {
		errs = append(errs, validateDirectory("trustedCertificatesPath", trustedCertificates))
	}
	for i, rule := range rules {
		if err := rule.Validate(); err != nil {
			errs = append(errs, Within(fmt.Sprintf("egressRules[%d]", i), err))
		}
	}
	return errors.Join(errs...)
}
