package stager

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/kubelet"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
)

// stepNames are the containers in the order in which they run.
var stepNames = []string{steps.FetchStep, steps.BuildStep, steps.PushStep}

// killed is the exit status of a process that got SIGKILL.
const killed = 128 + 9

// outcome is what a step left as its termination message; false where it left none that
// can be read.
func outcome(step string, ended *corev1.ContainerStateTerminated) (steps.Outcome, bool) {
	parsed, err := steps.ParseOutcome(step, []byte(ended.Message))
	return parsed, err == nil
}

// pushed is the droplet when push has succeeded. A push that ended well and doesn't say
// what it stored is a failure.
func pushed(pod job.Pod) (*steps.OutcomeDroplet, time.Time, *failure) {
	ended := pod.State(steps.PushStep).Terminated
	if ended == nil || ended.ExitCode != 0 {
		return nil, time.Time{}, nil
	}
	if parsed, ok := outcome(steps.PushStep, ended); ok && parsed.Droplet != nil {
		return parsed.Droplet, ended.FinishedAt.Time, nil
	}
	return nil, time.Time{}, failed("internal", opi.StagerError, "Staging ended without telling its result")
}

// ended is why the pod has failed by itself; nil when it has not, or when it was ended
// from outside and somebody else has to say why.
func (s Settings) ended(pod job.Pod) *failure {
	if end := pod.Rejected(); end != nil {
		return s.interruption(*end, pod)
	}
	for i, step := range stepNames {
		ended := pod.State(step).Terminated
		switch {
		case ended == nil:
		case ended.ExitCode != 0:
			return stepFailure(pod, step, ended)
		case ended.Reason == job.OOMKilled && i+1 < len(stepNames) && !begun(pod, stepNames[i+1]):
			return stuckAfterKill(step, pod.LimitMiB(step, corev1.ResourceMemory))
		}
	}
	return nil
}

// begun reports whether a step has been started.
func begun(pod job.Pod, step string) bool {
	state := pod.State(step)
	return state.Running != nil || state.Terminated != nil
}

// stepFailure explains why a step failed: at first by kubelet, if the step was killed at
// the memory limit, then by the step's own words, then by its exit status. A process that
// was killed in a step that went on is mentioned in addition.
func stepFailure(pod job.Pod, step string, ended *corev1.ContainerStateTerminated) *failure {
	if ended.Reason != job.OOMKilled {
		return ownFailure(pod, step, ended)
	}
	limit := pod.LimitMiB(step, corev1.ResourceMemory)
	if ended.ExitCode == killed && !pod.DeletedBy(ended.FinishedAt.Time) {
		return outOfMemory(limit)
	}
	failure := ownFailure(pod, step, ended)
	if failure != nil && failure.Reason != string(steps.OutOfMemory) {
		failure.Message += fmt.Sprintf(". Before that, a process was killed because the memory limit of %dM was exceeded", limit)
	}
	return failure
}

// ownFailure explains why a step failed without regard to memory.
func ownFailure(pod job.Pod, step string, ended *corev1.ContainerStateTerminated) *failure {
	parsed, ok := outcome(step, ended)
	reason, known := steps.ReasonOfExit(int(ended.ExitCode))
	if ok && parsed.Failure != nil {
		reason, known = parsed.Failure.Reason, true
	}
	told := ok && parsed.Failure != nil && parsed.Failure.Message != ""
	switch {
	case pod.DeletionTimestamp != nil && (reason == steps.Canceled || ended.ExitCode == killed):
		return nil // whoever deletes the pod knows why
	case told:
		return failed(string(reason), reason.ErrorID(), "%s", parsed.Failure.Message)
	case known:
		return failed(string(reason), reason.ErrorID(), "Staging failed in step %s: %s", step, reason)
	case ended.ExitCode == killed:
		return failed("killed", opi.StagingError, "Staging was killed in step %s, mostly a sign that there was not enough memory: limit %dM", step, pod.LimitMiB(step, corev1.ResourceMemory))
	default:
		return failed("internal", opi.StagerError, "Staging ended unexpectedly in step %s with status %d", step, ended.ExitCode)
	}
}

// interruption says in words for users what Kubernetes has made of a build. pod is
// needed for a disk that is full.
func (s Settings) interruption(end job.End, pod job.Pod) *failure {
	reason := end.Reason()
	switch end.Cause {
	case job.DeadlinePassed:
		return timedOut(s.Deadline)
	case job.OutOfDisk:
		return outOfDisk(pod.LimitMiB(steps.BuildStep, corev1.ResourceEphemeralStorage))
	case job.NodeRefused:
		return failed(reason, opi.StagerError, "The node refused to stage the app")
	case job.NodeFull:
		return failed(reason, opi.InsufficientResources, "Staging could not begin: its node had no room left after all")
	case job.NoRoom:
		return failed(reason, opi.InsufficientResources, "There was no room to stage the app within %s (%s)", job.InWords(s.SchedulingPatience), end.Detail)
	case job.NoNode:
		return failed(reason, opi.NoCompatibleCell, "There is no node on which apps may be staged (%s)", end.Detail)
	case job.NoPod:
		return failed(reason, opi.InsufficientResources, "Staging could not begin within %s: Kubernetes made no pod for it", job.InWords(s.SchedulingPatience))
	case job.NotPulled:
		text := fmt.Sprintf("The platform could not pull the image for step %s of staging", end.Container)
		if cause := kubelet.PullCause(end.Detail); cause != "" {
			text += ": " + cause
		}
		return failed(reason, opi.StagerError, "%s", text)
	case job.NotStarted:
		return failed(reason, opi.StagerError, "The platform could not start step %s of staging", end.Container)
	case job.JobDeleted, job.JobSuspended, job.PodDeleted, job.Evicted:
		return failed(reason, opi.StagingError, "Staging was interrupted: %s", end.Interruption())
	default:
		return failed(reason, opi.StagingError, "Staging was interrupted: %s. Push the app again", end.Interruption())
	}
}
