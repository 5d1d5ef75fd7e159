package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"code.cloudfoundry.org/lager/v3"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// errChanged says that a Job is no longer what it was looked at.
var errChanged = errors.New("the Job changed meanwhile")

// cancelAttempts bounds how often a cancellation looks anew at a Job that changes.
const cancelAttempts = 5

// Cancel stops the Job of a guid, unless it has an outcome already, was stopped before or
// is being deleted. The error wraps opi.ErrNotFound for one that there is not. because is
// written on it as JSON, for ReadStop.
func (s *Store) Cancel(ctx context.Context, guid string, because any) error {
	for range cancelAttempts {
		job, err := s.Find(ctx, guid)
		if err != nil {
			return err
		}
		if job.Annotations[keys.Outcome] != "" || job.Annotations[keys.Stopped] != "" || job.DeletionTimestamp != nil {
			return nil
		}
		err = s.stop(ctx, job, because)
		if !errors.Is(err, errChanged) {
			return err
		}
	}
	return fmt.Errorf("cancel %s %s: %w, and again after each of %d attempts: %w", s.kind.Name, guid, errChanged, cancelAttempts, opi.ErrUnavailable)
}

// stop ends a Job before its time, and writes down what that means, in one write: the
// Job controller deletes the pod of a suspended Job and makes no other. The error is
// errChanged when the Job is not what it was.
func (s *Store) stop(ctx context.Context, job *batchv1.Job, because any) error {
	text, err := json.Marshal(because)
	if err != nil {
		return fmt.Errorf("encode why %s is stopped: %w", job.Name, err)
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{
			"uid": job.UID, "resourceVersion": job.ResourceVersion,
			"annotations": map[string]string{keys.Stopped: string(text)},
		},
		"spec": map[string]any{"suspend": true},
	})
	if err != nil {
		return fmt.Errorf("encode why %s is stopped: %w", job.Name, err)
	}
	_, err = s.jobs().Patch(ctx, job.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return errChanged
	case err != nil:
		return fmt.Errorf("stop Job %s: %w", job.Name, apierror.Classify(err))
	}
	s.logger.Info("canceled", lager.Data{"guid": job.Labels[keys.GUID], "job": job.Name})
	return nil
}

// ReadStop reads what Cancel wrote: false where the Job was not stopped. into keeps what
// it has where somebody else has written there.
func ReadStop(job *batchv1.Job, into any) (stopped bool) {
	text, stopped := job.Annotations[keys.Stopped]
	if stopped {
		_ = json.Unmarshal([]byte(text), into)
	}
	return stopped
}
