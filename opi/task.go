package opi

import (
	"errors"
	"strings"
)

// Task is one run of a command in an app's droplet or image, once and never again.
type Task struct {
	// GUID is Cloud Controller's task guid.
	GUID string `json:"guid"`
	// Door names the front door that desired the task.
	Door Door `json:"-"`
	// Name is what the user called the run; two runs may have the same.
	Name         string `json:"name,omitempty"`
	App          Owner  `json:"app,omitzero"`
	Space        Owner  `json:"space,omitzero"`
	Organization Owner  `json:"organization,omitzero"`

	// RootFS and Droplet are what an LRP's are.
	RootFS  RootFS   `json:"rootFS,omitzero"`
	Droplet *Droplet `json:"droplet,omitempty"`
	// Process is the command to run; its Environment and the task's are one.
	Process Process `json:"process,omitzero"`
	// Environment may hold secrets: a back end never stores it beside the rest.
	Environment map[string]string `json:"environment,omitempty"`
	// Limits bound the run.
	Limits Limits `json:"limits,omitzero"`
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
	}
	if t.Droplet != nil && len(t.Process.Command) == 0 {
		errs = append(errs, Invalid("process.command", "is missing: a droplet's own command starts the app, not a task"))
	}
	if strings.ContainsRune(t.Name, 0) {
		errs = append(errs, Invalid("name", "must not contain a NUL byte"))
	}
	return errors.Join(errs...)
}
