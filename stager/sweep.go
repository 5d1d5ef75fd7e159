package stager

import "context"

// Sweep deletes the Secrets of builds whose outcome was answered, and those that have no
// Job, until ctx ends. Run it where this replica leads.
func (s *Stager) Sweep(ctx context.Context) error { return s.jobs.Sweep(ctx) }
