package k8s

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/live"
)

const (
	// releasedJobTTL is how many seconds a Job that nobody reports any more stays after
	// its end, for people to look at.
	releasedJobTTL = 3600
	releasePage    = 500
	releaseRounds  = 5
	releasePause   = time.Second
)

// ReleaseJobs takes Irene's finalizer off all Jobs of a namespace, so that they and the
// namespace can be deleted when no Irene is there any more to report their outcome. A
// Job with a pod runs on to its end and goes an hour later; one without, which only an
// Irene could have ended, is deleted. It says how many there were. It may be run again.
func ReleaseJobs(ctx context.Context, client kubernetes.Interface, namespace string) (released int, err error) {
	for round := range releaseRounds {
		if round > 0 {
			select {
			case <-time.After(releasePause):
			case <-ctx.Done():
				return released, context.Cause(ctx)
			}
		}
		n, failures, err := releaseRound(ctx, client, namespace)
		released += n
		if err != nil {
			return released, err
		}
		// What somebody else has changed meanwhile is looked at anew.
		if failures = slices.DeleteFunc(failures, func(err error) bool { return apierrors.IsNotFound(err) }); len(failures) == 0 {
			return released, nil
		}
		if round == releaseRounds-1 {
			return released, errors.Join(failures...)
		}
	}
	return released, nil
}

// releaseRound lets go of all Jobs that a listing shows.
func releaseRound(ctx context.Context, client kubernetes.Interface, namespace string) (released int, failures []error, err error) {
	options := metav1.ListOptions{Limit: releasePage}
	for {
		page, err := client.BatchV1().Jobs(namespace).List(ctx, options)
		if err != nil {
			return released, failures, fmt.Errorf("list Jobs in %s: %w", namespace, err)
		}
		for _, job := range page.Items {
			if !slices.Contains(job.Finalizers, keys.ReportFinalizer) {
				continue
			}
			if err := releaseJob(ctx, client, &job); err != nil {
				failures = append(failures, fmt.Errorf("let go of Job %s: %w", job.Name, err))
				continue
			}
			released++
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return released, failures, nil
		}
	}
}

func releaseJob(ctx context.Context, client kubernetes.Interface, job *batchv1.Job) error {
	jobs := client.BatchV1().Jobs(job.Namespace)
	if ptr.Deref(job.Spec.Suspend, false) && job.DeletionTimestamp == nil {
		// Deleted before it is let go: in the other order a process that ends in between
		// would leave it behind for ever.
		err := jobs.Delete(ctx, job.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &job.UID}, PropagationPolicy: ptr.To(metav1.DeletePropagationBackground),
		})
		if err != nil {
			return err
		}
	}
	change := map[string]any{"metadata": map[string]any{
		"uid":        job.UID,
		"finalizers": slices.DeleteFunc(slices.Clone(job.Finalizers), func(f string) bool { return f == keys.ReportFinalizer }),
	}}
	if job.Spec.TTLSecondsAfterFinished == nil {
		change["spec"] = map[string]any{"ttlSecondsAfterFinished": releasedJobTTL}
	}
	body, err := json.Marshal(change)
	if err != nil {
		return err
	}
	_, err = jobs.Patch(ctx, job.Name, types.MergePatchType, body, metav1.PatchOptions{})
	return err
}

// ReleasePods removes the finalizer of the crash back-off from all pods of a namespace, so
// that they and the namespace can be deleted when no Irene runs any more. It returns how
// many there were. It may be run again.
func ReleasePods(ctx context.Context, client kubernetes.Interface, meta metadata.Interface, namespace string) (released int, err error) {
	pods := meta.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(namespace)
	options := metav1.ListOptions{Limit: releasePage}
	var failures []error
	for {
		page, err := pods.List(ctx, options)
		if err != nil {
			return released, errors.Join(append(failures, fmt.Errorf("list pods in %s: %w", namespace, err))...)
		}
		for _, pod := range page.Items {
			if !slices.Contains(pod.Finalizers, keys.CrashBackoffFinalizer) {
				continue
			}
			if err := live.ReleasePod(ctx, client.CoreV1().Pods(namespace), pod.Name, pod.UID); err != nil {
				failures = append(failures, err)
				continue
			}
			released++
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return released, errors.Join(failures...)
		}
	}
}
