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

// Decide says what became of a task that has no outcome yet: nil while it is under way.
// It wants to be asked again when the Job or one of its pods changes, and after wait at
// the latest, 0 meaning that time alone changes nothing. An error means that it could not
// be found out and should be tried again.
//
// A task whose outcome is a failure may still run, or be about to; whoever writes the
// outcome down suspends its Job in the same write. Decide changes nothing itself.
func (t *Tasks) Decide(ctx context.Context, task *batchv1.Job, pods []*corev1.Pod) (decided *opi.Outcome, wait time.Duration, err error) {
	found := t.options.Settings.judge(task, pods, t.clock.Now())
	if found.end == nil {
		return nil, found.after, nil
	}
	if found.noPod {
		if why := t.jobs.WhyNoPod(ctx, task); why != "" {
			found.end.message += ": " + why
		}
	}
	decided = found.end.outcome(task.Labels[keys.GUID])
	t.count(task, pods, decided.Reason)
	return decided, 0, nil
}

// count counts a task's end once, as far as this process remembers.
func (t *Tasks) count(task *batchv1.Job, pods []*corev1.Pod, reason string) {
	if !t.counted.First(task) {
		return
	}
	t.metrics.tasks.WithLabelValues(reason).Inc()
	result := opi.ReasonSucceeded
	if reason != opi.ReasonSucceeded {
		result = "failed"
	}
	took := t.clock.Since(task.CreationTimestamp.Time)
	t.metrics.seconds.WithLabelValues(result).Observe(took.Seconds())
	data := lager.Data{"task_guid": task.Labels[keys.GUID], "job": task.Name, "reason": reason, "seconds": took.Seconds()}
	for _, pod := range job.Pods(pods) {
		if waiting := pod.State(keys.TaskContainer).Waiting; waiting != nil && waiting.Message != "" {
			data["kubelet"] = opi.PlainText(waiting.Message, opi.MaxMessageBytes)
		}
	}
	t.logger.Info("ended", data)
}
