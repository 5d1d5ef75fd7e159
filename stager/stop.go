package stager

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
	batchclient "k8s.io/client-go/kubernetes/typed/batch/v1"

	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

func (s *Stager) jobs() batchclient.JobInterface {
	return s.Client.BatchV1().Jobs(s.Settings.Namespace)
}

// errChanged says that a Job is no longer what it was looked at.
var errChanged = errors.New("the Job changed meanwhile")

// cancelAttempts bounds how often a cancellation looks anew at a Job that changes.
const cancelAttempts = 5

// CancelStaging ends a build: its pod goes, and its outcome is that it was canceled. One
// that has ended stays as it is. The error wraps opi.ErrNotFound for a build that there
// is not.
func (s *Stager) CancelStaging(ctx context.Context, guid string) error {
	for range cancelAttempts {
		job, err := s.find(ctx, guid)
		if err != nil {
			return fmt.Errorf("cancel staging: %w", err)
		}
		if job.Annotations[keys.Outcome] != "" || job.Annotations[keys.Stopped] != "" || job.DeletionTimestamp != nil {
			return nil
		}
		err = s.stop(ctx, job, canceled())
		if !errors.Is(err, errChanged) {
			return err
		}
	}
	return fmt.Errorf("cancel staging %s: %w, and again after each of %d attempts: %w", guid, errChanged, cancelAttempts, opi.ErrUnavailable)
}

// stop ends a Job before its time, and writes down what that means, in one write: the
// Job controller deletes the pod of a suspended Job and makes no other. The error is
// errChanged when the Job is not what it was.
func (s *Stager) stop(ctx context.Context, job *batchv1.Job, because failure) error {
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
		return fmt.Errorf("stop Job %s: %w", job.Name, k8s.Classify(err))
	}
	s.Logger.Info("stopped", lager.Data{"staging_guid": job.Labels[keys.StagingGUID], "job": job.Name, "reason": because.Reason})
	return nil
}

// stopped is why Irene has stopped the Job; nil when it has not.
func stopped(job *batchv1.Job) *failure {
	text, there := job.Annotations[keys.Stopped]
	if !there {
		return nil
	}
	var because failure
	if err := json.Unmarshal([]byte(text), &because); err != nil || because.ID == "" || because.Reason == "" {
		// Somebody has written there.
		because = canceled()
	}
	return &because
}
