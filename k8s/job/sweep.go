package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"code.cloudfoundry.org/lager/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/keys"
)

// sweepInterval is the time between two looks. What is swept does no harm meanwhile.
const sweepInterval = 30 * time.Second

// Sweep deletes the Secrets of work whose outcome was answered, and those that have no Job,
// until ctx ends. It reads metadata only. It belongs where this replica leads.
func (s *Store) Sweep(ctx context.Context) error {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			s.metrics.sweepFailures.Inc()
			s.logger.Error("sweep", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (s *Store) sweep(ctx context.Context) error {
	// Secrets first: a Job that comes in between is then seen.
	secrets, err := s.list(ctx, corev1.SchemeGroupVersion.WithResource("secrets"))
	if err != nil || len(secrets) == 0 {
		return err
	}
	jobs, err := s.list(ctx, batchv1.SchemeGroupVersion.WithResource("jobs"))
	if err != nil {
		return err
	}
	byGUID := make(map[string]metav1.PartialObjectMetadata, len(jobs))
	for _, job := range jobs {
		byGUID[job.Labels[keys.GUID]] = job
	}
	var errs []error
	for _, secret := range secrets {
		if secret.DeletionTimestamp != nil {
			continue
		}
		job, exists := byGUID[secret.Labels[keys.GUID]]
		switch {
		case !exists:
			errs = append(errs, s.collectOrphan(ctx, secret))
		case job.Annotations[keys.OutcomeAnswer] != "":
			errs = append(errs, s.remove(ctx, secret))
		}
	}
	return errors.Join(errs...)
}

// collectOrphan deletes a Secret without a Job when it is old enough, after a live look.
func (s *Store) collectOrphan(ctx context.Context, secret metav1.PartialObjectMetadata) error {
	since := secret.CreationTimestamp.Time
	if desired, err := time.Parse(time.RFC3339, secret.Annotations[keys.DesiredAt]); err == nil {
		since = desired
	}
	if s.clock.Since(since) < s.orphanMinAge {
		return nil
	}
	_, err := s.jobs().Get(ctx, s.Name(secret.Labels[keys.GUID]), metav1.GetOptions{})
	switch {
	case err == nil:
		return nil
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("look for the Job of Secret %s: %w", secret.Name, apierror.Classify(err))
	}
	return s.remove(ctx, secret)
}

// remove deletes a Secret that nobody has touched since it was looked at.
func (s *Store) remove(ctx context.Context, secret metav1.PartialObjectMetadata) error {
	err := s.client.CoreV1().Secrets(secret.Namespace).Delete(ctx, secret.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: ptr.To(secret.UID), ResourceVersion: ptr.To(secret.ResourceVersion)},
	})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete Secret %s: %w", secret.Name, apierror.Classify(err))
	}
	s.metrics.removed.Inc()
	s.logger.Debug("secret-removed", lager.Data{"secret": secret.Name})
	return nil
}

func (s *Store) list(ctx context.Context, resource schema.GroupVersionResource) ([]metav1.PartialObjectMetadata, error) {
	found, err := s.metadata.Resource(resource).Namespace(s.namespace).List(ctx, metav1.ListOptions{LabelSelector: s.Selector()})
	if err != nil {
		return nil, fmt.Errorf("list %s of kind %s: %w", resource.Resource, s.kind.SourceType, apierror.Classify(err))
	}
	return found.Items, nil
}
