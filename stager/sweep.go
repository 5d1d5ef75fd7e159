package stager

import (
	"context"

	"github.com/irene-cf/irene/k8s/job"
)

// Sweep sees to the Secrets of builds until ctx ends: it deletes them once the outcome
// was answered, and those that have no Job. Run it where this replica leads.
func (s *Stager) Sweep(ctx context.Context) error {
	return job.Sweeper{
		Store: s.jobs, Metadata: s.Metadata, OrphanMinAge: s.OrphanMinAge,
		Removed: s.metrics.removed, Failures: s.metrics.failures,
	}.Run(ctx)
}
