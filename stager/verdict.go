package stager

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/stager/steps"
)

// settling is how long what Kubernetes says of a Job and of its pod may contradict each
// other: the two are watched apart.
const settling = 15 * time.Second

// verdict is what a Job and its pods say of a build. At most one of pushed and failure
// is set; neither means that it is still under way.
type verdict struct {
	// pushed is set when Cloud Controller and registry have the droplet.
	pushed *steps.OutcomeDroplet
	// pushedAt is when that was.
	pushedAt time.Time
	failure  *failure
	// noPod says that the failure is one of making the pod; its Events may know more.
	noPod bool
	// after is when time alone may change the verdict; 0 for never.
	after time.Duration
}

// judge is pure: the same Job, pods and time give the same verdict.
//
// What a step has said about its own end counts most, and its success more than
// anything; then what Irene decided before, then what Kubernetes says.
func (s Settings) judge(job *batchv1.Job, pods []*corev1.Pod, now time.Time) verdict {
	views := make([]podView, 0, len(pods))
	for _, pod := range pods {
		views = append(views, podView{pod: pod, job: job, settings: s, now: now})
	}
	for _, view := range views {
		if droplet, at, failure := view.pushed(); droplet != nil || failure != nil {
			return verdict{pushed: droplet, pushedAt: at, failure: failure}
		}
	}
	if because := stopped(job); because != nil {
		return verdict{failure: because}
	}
	for _, view := range views {
		if failure := view.ended(); failure != nil {
			return verdict{failure: failure}
		}
	}
	finished := finish(job)
	switch {
	case job.DeletionTimestamp != nil:
		return verdict{failure: deleted()}
	case finished != nil && finished.Reason == batchv1.JobReasonDeadlineExceeded:
		return verdict{failure: s.neverEnded(views)}
	}
	var next verdict
	for _, view := range views {
		found := view.underWay(finished != nil)
		if found.failure != nil {
			return found
		}
		next.after = sooner(next.after, found.after)
	}
	switch {
	case finished != nil:
		return s.finishedWithout(finished, now)
	case len(views) == 0:
		return s.withoutPod(job, now)
	}
	return next
}

// finish is the condition by which Kubernetes says that the Job has ended, or is about
// to for a reason of its own; nil while it goes on.
func finish(job *batchv1.Job) *batchv1.JobCondition {
	for i, condition := range job.Status.Conditions {
		ends := condition.Type == batchv1.JobComplete || condition.Type == batchv1.JobFailed || condition.Type == batchv1.JobFailureTarget
		if ends && condition.Status == corev1.ConditionTrue {
			return &job.Status.Conditions[i]
		}
	}
	return nil
}

// neverEnded is for a Job that Kubernetes gave up for its time.
func (s Settings) neverEnded(views []podView) *failure {
	for _, view := range views {
		if lost := view.lostNode(); lost != nil {
			return lost
		}
	}
	return timedOut(s.Deadline)
}

// finishedWithout is for a Job that has ended although no pod says how: the news of the
// pod may be late, or the pod is gone.
func (s Settings) finishedWithout(finished *batchv1.JobCondition, now time.Time) verdict {
	if wait := settling - now.Sub(finished.LastTransitionTime.Time); wait > 0 {
		return verdict{after: wait}
	}
	return verdict{failure: failed("interrupted", stagingError, "Staging was interrupted: its pod is gone. Push the app again")}
}

// withoutPod waits for the pod to be made.
func (s Settings) withoutPod(job *batchv1.Job, now time.Time) verdict {
	if job.Spec.Suspend != nil && *job.Spec.Suspend {
		return verdict{} // by hand; whoever did it will go on, or delete it
	}
	since := job.CreationTimestamp.Time
	if job.Status.StartTime != nil {
		since = job.Status.StartTime.Time
	}
	if wait := s.SchedulingPatience - now.Sub(since); wait > 0 {
		return verdict{after: wait}
	}
	return verdict{
		failure: failed("unschedulable", insufficientResources, "Staging could not begin within %s: Kubernetes made no pod for it", inWords(s.SchedulingPatience)),
		noPod:   true,
	}
}

// sooner is the shorter one of two waits, of which 0 is endless.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
