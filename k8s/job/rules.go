package job

import (
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/keys"
)

// settling is how long the status of a Job and that of its pod may contradict each
// other: the two are watched apart.
const settling = 15 * time.Second

// Rules judge Jobs of one kind of work.
type Rules struct {
	// Containers in the order in which they run.
	Containers []string
	// UserContainer is the container that runs user code.
	UserContainer string
	Limits        Limits
}

// Verdict is what Kubernetes has made of a Job.
type Verdict struct {
	// End is nil while the work is under way.
	End *End
	// After is when time alone may change the verdict; 0 for never.
	After time.Duration
}

func ends(cause Cause) Verdict { return Verdict{End: &End{Cause: cause}} }

// Judge returns what Kubernetes has made of a Job in which no container has ended by itself,
// which is for the caller to look at first. It is pure: the same Job, pods and time give
// the same verdict.
func (r Rules) Judge(job *batchv1.Job, pods []Pod, now time.Time) Verdict {
	for _, pod := range pods {
		if rejected := pod.rejected(); rejected != nil {
			rejected.DiskMiB = pod.LimitMiB(r.UserContainer, corev1.ResourceEphemeralStorage)
			return Verdict{End: rejected}
		}
	}
	finished := finish(job)
	switch {
	case job.DeletionTimestamp != nil:
		return ends(JobDeleted)
	case finished != nil && finished.Reason == batchv1.JobReasonDeadlineExceeded:
		for _, pod := range pods {
			if lost := pod.lostNode(); lost != nil {
				return Verdict{End: lost}
			}
		}
		return ends(DeadlinePassed)
	}
	var next Verdict
	for _, pod := range pods {
		if isSuspended(job) && pod.DeletionTimestamp != nil {
			// By hand, or the caller would know. Taken up again, the work would get another
			// pod and be done twice.
			return ends(JobSuspended)
		}
		found := r.underWay(pod, finished != nil, now)
		if found.End != nil {
			return found
		}
		next.After = sooner(next.After, found.After)
	}
	switch {
	case finished != nil:
		return finishedWithout(finished, now)
	case len(pods) == 0:
		return r.withoutPod(job, now)
	}
	return next
}

func isSuspended(job *batchv1.Job) bool { return job.Spec.Suspend != nil && *job.Spec.Suspend }

// finish returns the condition with which Kubernetes has ended the Job, or is about to for
// a reason of its own; nil while it goes on.
func finish(job *batchv1.Job) *batchv1.JobCondition {
	for i, condition := range job.Status.Conditions {
		ends := condition.Type == batchv1.JobComplete || condition.Type == batchv1.JobFailed || condition.Type == batchv1.JobFailureTarget
		if ends && condition.Status == corev1.ConditionTrue {
			return &job.Status.Conditions[i]
		}
	}
	return nil
}

// finishedWithout is for a Job that has ended although no pod shows how: the news of the
// pod may be late, or the pod is gone.
func finishedWithout(finished *batchv1.JobCondition, now time.Time) Verdict {
	if wait := settling - now.Sub(finished.LastTransitionTime.Time); wait > 0 {
		return Verdict{After: wait}
	}
	return ends(PodGone)
}

// withoutPod waits for the pod to be made.
func (r Rules) withoutPod(job *batchv1.Job, now time.Time) Verdict {
	if isSuspended(job) {
		return Verdict{} // until its image is there; or by hand, and then it is resumed or deleted by hand
	}
	if wait := r.Limits.SchedulingPatience - now.Sub(podDue(job)); wait > 0 {
		return Verdict{After: wait}
	}
	return ends(NoPod)
}

// podDue returns since when the Job's pod should be there. The start time of a Job that was
// resumed a moment ago is not there yet.
func podDue(job *batchv1.Job) time.Time {
	if job.Status.StartTime != nil {
		return job.Status.StartTime.Time
	}
	if resumed, err := time.Parse(time.RFC3339, job.Annotations[keys.ResumedAt]); err == nil {
		return resumed
	}
	return job.CreationTimestamp.Time
}

// underWay judges a pod that has not ended by itself: one that is being deleted, waits
// for a node or can't start.
func (r Rules) underWay(pod Pod, jobFinished bool, now time.Time) Verdict {
	switch {
	case pod.DeletionTimestamp != nil:
		return r.deleting(pod, jobFinished, now)
	case pod.Spec.NodeName == "":
		return r.unscheduled(pod, now)
	default:
		return r.notStarting(pod, now)
	}
}

// deleting waits until it is clear that the pod does not come to an end of its own, and
// why it goes: for a pod that was deleted because the Job's time is up, the Job shows it
// a little later.
func (r Rules) deleting(pod Pod, jobFinished bool, now time.Time) Verdict {
	// The timestamp includes the grace; a node that lives has killed everything by then.
	overdue := pod.DeletionTimestamp.Add(settling)
	cause := pod.disruption()
	nothingRuns := pod.nothingRuns(r.Containers)
	switch {
	case now.After(overdue) && cause == nil:
		return ends(NodeLost)
	case cause != nil && (nothingRuns || now.After(overdue)):
		return Verdict{End: cause}
	case jobFinished && nothingRuns:
		return ends(PodDeleted)
	}
	return Verdict{After: overdue.Sub(now) + time.Second}
}

// unscheduled gives the scheduler its time.
func (r Rules) unscheduled(pod Pod, now time.Time) Verdict {
	for _, condition := range pod.Status.Conditions {
		if condition.Type != corev1.PodScheduled || condition.Status != corev1.ConditionFalse {
			continue
		}
		if wait := r.Limits.SchedulingPatience - now.Sub(condition.LastTransitionTime.Time); wait > 0 {
			return Verdict{After: wait}
		}
		cause := NoNode
		if compatibleButFull(condition.Message) {
			cause = NoRoom
		}
		return Verdict{End: &End{Cause: cause, Detail: condition.Message}}
	}
	return Verdict{}
}

// compatibleButFull reads the scheduler's message: as long as a single node lacks
// nothing but room, it is room that is lacking.
func compatibleButFull(message string) bool {
	return strings.Contains(message, "Insufficient ") || strings.Contains(message, "Too many pods") || !strings.Contains(message, "nodes are available")
}

// notStarting looks at the container whose turn it is.
func (r Rules) notStarting(pod Pod, now time.Time) Verdict {
	turn, began := pod.turn(r.Containers, now)
	waiting := pod.State(turn).Waiting
	if waiting == nil {
		return Verdict{}
	}
	wait := r.Limits.PullPatience - now.Sub(began)
	end := End{Cause: NotPulled, Detail: waiting.Message, Container: turn}
	switch waiting.Reason {
	case "InvalidImageName", "ErrImageNeverPull":
		wait = 0
	case "ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed":
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
		end.Cause, end.Detail = NotStarted, waiting.Reason+": "+waiting.Message
	default:
		return Verdict{}
	}
	if wait > 0 {
		return Verdict{After: wait}
	}
	return Verdict{End: &end}
}

// sooner is the shorter one of two waits, of which 0 is endless.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
