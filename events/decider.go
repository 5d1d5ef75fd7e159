package events

import (
	"context"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/opi"
)

// Decider knows one kind of work.
type Decider interface {
	// Decide says what became of a Job that has no outcome yet. nil means that it is
	// still under way: Decide is called again when the Job or one of its pods changes,
	// and after wait at the latest (0: no time matters). A Job that is being deleted
	// has ended as well, so Decide gives its outcome.
	//
	// Job and pods are read only and may lack what the package comment lists. Pods
	// come oldest first. An outcome counts only if it comes out for what the API server
	// has at present, and only if [opi.Outcome.Validate] accepts it; so Decide may be called
	// twice for one. An error is logged, and
	// Decide called again after a pause that grows from a second to a minute.
	Decide(ctx context.Context, job *batchv1.Job, pods []*corev1.Pod) (outcome *opi.Outcome, wait time.Duration, err error)
}
