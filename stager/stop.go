package stager

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/irene-cf/irene/k8s/job"
)

// CancelStaging ends a build: its pod goes, and its outcome is that it was canceled. One
// that has ended stays as it is. The error wraps opi.ErrNotFound for a build that there
// is not.
func (s *Stager) CancelStaging(ctx context.Context, guid string) error {
	if err := s.jobs.Cancel(ctx, guid, canceled()); err != nil {
		return fmt.Errorf("cancel staging: %w", err)
	}
	return nil
}

// stopped is why Irene has stopped the Job; nil when it has not.
func stopped(build *batchv1.Job) *failure {
	var because failure
	if !job.ReadStop(build, &because) {
		return nil
	}
	if because.ID == "" || because.Reason == "" {
		// Somebody has written there.
		because = canceled()
	}
	return &because
}
