package events

import (
	"context"
	"fmt"
	"slices"
	"time"

	"code.cloudfoundry.org/lager/v3"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/keys"
)

// bury removes a Job whose outcome was answered, when its time as a tombstone is over
// or when somebody else deletes it. It says after what time to try.
//
// The Job is deleted before it is let go. In the other order, a process that dies in
// between would leave a Job behind that nobody looks after.
func (r *run) bury(ctx context.Context, job *batchv1.Job) (again time.Duration, err error) {
	if job.DeletionTimestamp == nil {
		if rest := r.tombstoneTTL - time.Since(answeredAt(job)); rest > 0 {
			return rest, nil
		}
		err := r.kubernetes.BatchV1().Jobs(r.namespace).Delete(ctx, job.Name, metav1.DeleteOptions{
			Preconditions:     &metav1.Preconditions{UID: &job.UID},
			PropagationPolicy: ptr.To(metav1.DeletePropagationBackground),
		})
		if err != nil {
			return 0, fmt.Errorf("delete Job %s: %w", job.Name, err)
		}
		return 0, nil // it comes back with a deletion timestamp
	}
	finalizers := slices.DeleteFunc(slices.Clone(job.Finalizers), func(f string) bool { return f == keys.ReportFinalizer })
	c := change{Metadata: changedMetadata{UID: job.UID, ResourceVersion: job.ResourceVersion, Finalizers: &finalizers}}
	if err := r.patch(ctx, job.Name, c); err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("let go of Job %s: %w", job.Name, err)
	}
	r.logger.Debug("removed", lager.Data{"job": job.Name})
	return 0, nil
}
