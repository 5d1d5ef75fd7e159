package tasks

import (
	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/render"
)

// Settings are the operator's, and never change while Irene runs.
type Settings struct {
	// Translation is that of apps, whose rules hold for their tasks.
	Translation render.Settings
	// Limits have no deadline by default: a task may run for as long as it likes, as on
	// Diego.
	Limits job.Limits
}
