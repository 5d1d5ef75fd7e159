package tasks

import (
	"context"
	"time"

	"code.cloudfoundry.org/lager/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// Decide returns what became of a task that has no outcome yet: nil while it is under way.
// The caller repeats it when the Job or one of its pods changes, and after wait at the
// latest, where 0 means that time alone changes nothing. An error means that it could not
// be found out and should be tried again.
//
// A task whose outcome is a failure may still run, or be about to; the caller that writes
// the outcome down suspends its Job in the same write. Decide changes nothing itself.
func (t *Tasks) Decide(ctx context.Context, task *batchv1.Job, pods []*corev1.Pod) (decided *opi.Outcome, wait time.Duration, err error) {
	found := t.options.Settings.judge(task, pods, t.jobs.Now())
	if found.end == nil {
		return nil, found.after, nil
	}
	if found.noPod {
		if why := t.jobs.WhyNoPod(ctx, task); why != "" {
			found.end.message += ": " + why
		}
	}
	decided = found.end.outcome(task.Labels[keys.GUID])
	t.jobs.CountEnd(task, decided.Reason, kubeletText(pods))
	return decided, 0, nil
}

// kubeletText returns why kubelet could not start the task, in its own words, for the log.
func kubeletText(pods []*corev1.Pod) lager.Data {
	for _, pod := range job.Pods(pods) {
		if waiting := pod.State(keys.TaskContainer).Waiting; waiting != nil && waiting.Message != "" {
			return lager.Data{"kubelet": opi.PlainText(waiting.Message, opi.MaxMessageBytes)}
		}
	}
	return nil
}
