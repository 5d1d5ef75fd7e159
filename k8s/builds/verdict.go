package builds

import (
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/kubelet"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager"
	"github.com/irene-cf/irene/stager/steps"
)

// stepNames are the containers in the order in which they run.
var stepNames = []string{steps.FetchStep, steps.BuildStep, steps.PushStep}

// pushed returns the droplet once Cloud Controller and the registry have it, and since when.
func pushed(pods []job.Pod) (droplet *steps.OutcomeDroplet, at time.Time, failure *stager.Failure) {
	for _, pod := range pods {
		if push := stepEnd(pod, len(stepNames)-1); push != nil {
			if droplet, failure = push.Pushed(); droplet != nil || failure != nil {
				return droplet, pod.State(push.Step).Terminated.FinishedAt.Time, failure
			}
		}
	}
	return nil, time.Time{}, nil
}

// failedStep returns why a step has failed by itself; nil when none has, or when its pod was
// ended from outside, which explains it.
func failedStep(pods []job.Pod) *stager.Failure {
	for _, pod := range pods {
		for i := range stepNames {
			if end := stepEnd(pod, i); end != nil && !pod.Rejected() {
				if failure := end.Failure(); failure != nil {
					return failure
				}
			}
		}
	}
	return nil
}

// stepEnd returns how a step ended; nil until it has.
func stepEnd(pod job.Pod, number int) *stager.StepEnd {
	step := stepNames[number]
	state := pod.State(step).Terminated
	if state == nil {
		return nil
	}
	end := &stager.StepEnd{
		Step: step, ExitCode: int(state.ExitCode), Message: state.Message,
		OutOfMemory: state.Reason == job.OOMKilled, MemoryMiB: pod.LimitMiB(step, corev1.ResourceMemory),
		GoesOn: true, Deleting: pod.DeletionTimestamp != nil, DeletedBefore: pod.DeletedBy(state.FinishedAt.Time),
	}
	if number+1 < len(stepNames) {
		next := pod.State(stepNames[number+1])
		end.GoesOn = next.Running != nil || next.Terminated != nil
	}
	return end
}

// stopped returns why Irene has stopped the Job; nil when it has not.
func stopped(build *batchv1.Job) *stager.Failure {
	var because stager.Failure
	if !job.ReadStop(build, &because) {
		return nil
	}
	if because.ID == "" || because.Reason == "" {
		// It was written by hand.
		because = stager.Canceled()
	}
	return &because
}

// deleted is for a Job that was deleted by hand.
func deleted() *stager.Failure { return Settings{}.interruption(job.End{Cause: job.JobDeleted}, nil) }

// interruption words for users what Kubernetes has made of a build.
func (s Settings) interruption(end job.End, build *batchv1.Job) *stager.Failure {
	reason := end.Reason()
	switch end.Cause {
	case job.DeadlinePassed:
		deadline := s.Limits.Deadline
		if seconds := build.Spec.Template.Spec.ActiveDeadlineSeconds; seconds != nil {
			deadline = time.Duration(*seconds) * time.Second
		}
		return stager.Failed(reason, opi.StagingTimeExpired, "Staging took longer than %s and was stopped: exceeded %s timeout", job.InWords(deadline), deadline) // Diego's words at the end
	case job.OutOfDisk:
		return stager.Failed(reason, opi.StagingError, "Staging ran out of disk: limit %dM. Give the app more disk, or make its build leave less behind", end.DiskMiB)
	case job.NodeRefused:
		return stager.Failed(reason, opi.StagerError, "The node refused to stage the app")
	case job.NodeFull:
		return stager.Failed(reason, opi.InsufficientResources, "Staging could not begin: its node had no room left after all")
	case job.NoRoom:
		return stager.Failed(reason, opi.InsufficientResources, "There was no room to stage the app within %s (%s)", job.InWords(s.Limits.SchedulingPatience), end.Detail)
	case job.NoNode:
		return stager.Failed(reason, opi.NoCompatibleCell, "There is no node on which apps may be staged (%s)", end.Detail)
	case job.NoPod:
		return stager.Failed(reason, opi.InsufficientResources, "Staging could not begin within %s: Kubernetes made no pod for it%s", job.InWords(s.Limits.SchedulingPatience), end.Because())
	case job.NotPulled:
		text := fmt.Sprintf("The platform could not pull the image for step %s of staging", end.Container)
		if cause := kubelet.PullCause(end.Detail); cause != "" {
			text += ": " + cause
		}
		return stager.Failed(reason, opi.StagerError, "%s", text)
	case job.NotStarted:
		return stager.Failed(reason, opi.StagerError, "The platform could not start step %s of staging", end.Container)
	case job.JobDeleted, job.JobSuspended, job.PodDeleted, job.Evicted:
		return stager.Failed(reason, opi.StagingError, "Staging was interrupted: %s", end.Interruption())
	default:
		return stager.Failed(reason, opi.StagingError, "Staging was interrupted: %s. Push the app again", end.Interruption())
	}
}
