package events

import (
	"context"
	"fmt"
	"slices"
	"time"

	"code.cloudfoundry.org/lager/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// changedPause is when to look again at a Job that changed while it was worked on.
const changedPause = 50 * time.Millisecond

// state brings a Job one step further, as the informers show it. What it is not to do
// twice, it does on what the API server has at that moment.
func (r *run) state(ctx context.Context, name string) (again time.Duration, err error) {
	job, err := r.jobs.Get(name)
	switch {
	case apierrors.IsNotFound(err), err == nil && !ours(job):
		r.pending.done(name)
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("look up Job %s: %w", name, err)
	case answered(job):
		r.pending.done(name)
		again, err = r.bury(ctx, job)
	case decided(job):
		r.toDeliver(job)
		return 0, nil
	default:
		again, err = r.decide(ctx, job)
	}
	switch {
	case apierrors.IsNotFound(err):
		return 0, nil // and the watch will say so
	case apierrors.IsConflict(err):
		return changedPause, nil
	}
	return again, err
}

func (r *run) toDeliver(job *batchv1.Job) {
	since := finishedAt(job)
	if since.IsZero() {
		since = time.Now()
	}
	if r.pending.begin(job.Name, delivery{uid: job.UID, kind: job.Labels[keys.SourceType], since: since}) {
		r.deliveries.Add(job.Name)
	}
}

// decide asks what became of a Job and writes that down, once and for all.
func (r *run) decide(ctx context.Context, job *batchv1.Job) (again time.Duration, err error) {
	pods, err := r.podsOf(job.UID)
	if err != nil {
		return 0, err
	}
	kind := job.Labels[keys.SourceType]
	outcome, again, err := r.kinds[kind].Decide(ctx, job, pods)
	if err != nil || outcome == nil {
		return again, err
	}
	// What can't be undone is done on what is so, not on what has been seen of it.
	live, livePods, err := r.live(ctx, job)
	if err != nil {
		return 0, err
	}
	if live.UID != job.UID || !ours(live) || decided(live) {
		return 0, nil // the informer will hear of it
	}
	if live.ResourceVersion != job.ResourceVersion || !slices.EqualFunc(pods, livePods, samePod) {
		outcome, again, err = r.kinds[kind].Decide(ctx, live, livePods)
		if err != nil || outcome == nil {
			return again, err
		}
	}
	if err := r.record(ctx, live, livePods, outcome); err != nil {
		return 0, err
	}
	r.metrics.outcomes.WithLabelValues(kind, outcome.Reason).Inc()
	r.logger.Info("decided", lager.Data{"job": job.Name, "kind": kind, "reason": outcome.Reason})
	r.toDeliver(live)
	return 0, nil
}

func samePod(a, b *corev1.Pod) bool { return a.UID == b.UID && a.ResourceVersion == b.ResourceVersion }

// live is what the API server has of a Job and its pods.
func (r *run) live(ctx context.Context, job *batchv1.Job) (*batchv1.Job, []*corev1.Pod, error) {
	list, err := r.kubernetes.CoreV1().Pods(r.namespace).List(ctx, metav1.ListOptions{LabelSelector: podSelector(job.UID)})
	if err != nil {
		return nil, nil, fmt.Errorf("list the pods of Job %s: %w", job.Name, err)
	}
	var pods []*corev1.Pod
	for i := range list.Items {
		if owner := owningJob(&list.Items[i]); owner != nil && owner.UID == job.UID {
			pods = append(pods, &list.Items[i])
		}
	}
	sortPods(pods)
	// The Job is read last: a pod that comes after the list changes it as well, since
	// its controller counts pods, and then the write fails.
	live, err := r.kubernetes.BatchV1().Jobs(r.namespace).Get(ctx, job.Name, metav1.GetOptions{})
	if err != nil {
		return nil, nil, fmt.Errorf("read Job %s: %w", job.Name, err)
	}
	return live, pods, nil
}

// podSelector finds the pods that the Job controller made for a Job.
func podSelector(job types.UID) string { return batchv1.ControllerUidLabel + "=" + string(job) }

// record writes the outcome on a Job that is still as it was read. In the same write the
// work ends, if it hasn't: what Cloud Controller takes for ended must not go on.
func (r *run) record(ctx context.Context, job *batchv1.Job, pods []*corev1.Pod, outcome *opi.Outcome) error {
	text, err := r.encodeOutcome(job, *outcome)
	if err != nil {
		return fmt.Errorf("decide Job %s: %w", job.Name, err)
	}
	c := change{Metadata: changedMetadata{UID: job.UID, ResourceVersion: job.ResourceVersion, Annotations: map[string]string{keys.Outcome: string(text)}}}
	if finishedAt(job).IsZero() && !endsByItself(job, pods) {
		c.Spec = &changedSpec{Suspend: true}
	}
	if err := r.patch(ctx, job.Name, c); err != nil {
		return fmt.Errorf("write the outcome of Job %s: %w", job.Name, err)
	}
	return nil
}
