package events

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"code.cloudfoundry.org/lager/v3"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/reconcile"
)

// misconfiguredPause is how long a person has to mend what Cloud Controller does not
// accept before it is tried again.
const misconfiguredPause = 2 * time.Minute

// deliver sends the outcome of a Job and marks the Job with the answer. It reads the
// Job live: what the informers show may be older than this process' own marks.
func (r *run) deliver(ctx context.Context, name string) (again time.Duration, err error) {
	d := r.pending.get(name)
	if d == nil {
		return 0, nil
	}
	job, err := r.kubernetes.BatchV1().Jobs(r.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("read Job %s: %w", name, err)
	}
	if err != nil || job.UID != d.uid || !ours(job) || answered(job) {
		// The next state brings back what must be: a namesake that is new.
		r.pending.done(name)
		r.states.Add(name)
		return 0, nil
	}
	if err := r.stopPods(ctx, job); err != nil {
		return 0, err
	}
	if d.mark == "" {
		if d.mark, err = r.send(ctx, job); err != nil {
			return 0, err
		}
	}
	c := change{Metadata: changedMetadata{UID: job.UID, Annotations: map[string]string{keys.OutcomeAnswer: d.mark}}}
	if err := r.patch(ctx, name, c); err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("mark Job %s as answered: %w", name, err)
	}
	r.pending.done(name)
	return 0, nil
}

// send makes one attempt and returns the mark of a definite answer.
func (r *run) send(ctx context.Context, job *batchv1.Job) (mark string, err error) {
	stored, err := readOutcome(job)
	if err != nil {
		return "", fmt.Errorf("send the outcome of Job %s: %w", job.Name, err)
	}
	kind := job.Labels[keys.SourceType]
	data := lager.Data{"job": job.Name, "kind": kind, "reason": stored.Reason}
	callback, err := r.callback(ctx, job.Name)
	if err != nil {
		return "", err
	}
	if callback == "" {
		r.metrics.answers.WithLabelValues(kind, answerNoCallback).Inc()
		r.logger.Error("no-callback", errors.New("nobody can be told of the outcome: the Secret with the callback is gone, or holds none"), data)
		return answerMark(noCallback, time.Now()), nil
	}
	body, err := r.body(job, stored)
	if err != nil {
		return "", fmt.Errorf("send the outcome of Job %s: %w", job.Name, err)
	}
	answer, err := r.cloudController.Post(ctx, endpoint(kind), callback, body)
	if errors.Is(err, ErrBadURL) {
		r.metrics.answers.WithLabelValues(kind, answerNoCallback).Inc()
		r.logger.Error("no-callback", fmt.Errorf("nobody can be told of the outcome: %w", err), data)
		return answerMark(noCallback, time.Now()), nil
	}
	if err != nil {
		return "", fmt.Errorf("send the outcome of Job %s: %w", job.Name, err)
	}
	data["status"], data["error-code"] = answer.Status, answer.ErrorCode
	switch answer.Verdict() {
	case Accepted:
		r.metrics.answers.WithLabelValues(kind, answerAccepted).Inc()
		r.logger.Info("delivered", data)
		return statusMark(answer, time.Now()), nil
	case Refused:
		r.metrics.answers.WithLabelValues(kind, answerRefused).Inc()
		r.logger.Info("refused", data)
		return statusMark(answer, time.Now()), nil
	case Misconfigured:
		err = fmt.Errorf("send the outcome of Job %s: %s: Cloud Controller does not accept Irene's certificate or password, or is not what answers there", job.Name, answer)
		return "", reconcile.Postpone(err, max(misconfiguredPause, answer.RetryAfter))
	default:
		err = fmt.Errorf("send the outcome of Job %s: %s", job.Name, answer)
		return "", reconcile.Postpone(err, answer.RetryAfter)
	}
}

// callback is the URL to report to; empty if there is none.
func (r *run) callback(ctx context.Context, name string) (string, error) {
	secret, err := r.kubernetes.CoreV1().Secrets(r.namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the callback of Job %s: %w", name, err)
	}
	return strings.TrimSpace(string(secret.Data[keys.CallbackKey])), nil
}

// stopPods ends what still runs of a Job that is being deleted: its own controller does
// nothing for such a Job, and the garbage collector waits until it is gone.
func (r *run) stopPods(ctx context.Context, job *batchv1.Job) error {
	if job.DeletionTimestamp == nil {
		return nil
	}
	pods, err := r.podsOf(job.UID)
	if err != nil || len(pods) == 0 {
		return err
	}
	err = r.kubernetes.CoreV1().Pods(r.namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: podSelector(job.UID)})
	if err != nil {
		return fmt.Errorf("stop the pods of Job %s, which is being deleted: %w", job.Name, err)
	}
	return nil
}

// endpoint names the callback of a kind in metrics.
func endpoint(kind string) string {
	switch kind {
	case keys.SourceTypeStaging:
		return EndpointBuildCompleted
	case keys.SourceTypeTask:
		return EndpointTaskCompleted
	}
	return kind
}
