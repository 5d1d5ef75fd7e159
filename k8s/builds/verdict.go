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

// verdict is what a Job and its pods say of a build. At most one of pushed and failure
// is set; neither means that it is still under way.
type verdict struct {
	// pushed is set when Cloud Controller and registry have the droplet.
	pushed *steps.OutcomeDroplet
	// pushedAt is when that was.
	pushedAt time.Time
	failure  *stager.Failure
	// noPod says that the failure is one of making the pod; its Events may know more.
	noPod bool
	// after is when time alone may change the verdict; 0 for never.
	after time.Duration
}

// judge is pure: the same Job, pods and time give the same verdict.
//
// What a step has said about its own end counts most, and its success more than
// anything; then what Irene decided before, then what Kubernetes says.
func (s Settings) judge(build *batchv1.Job, pods []*corev1.Pod, now time.Time) verdict {
	views := job.Pods(pods)
	for _, pod := range views {
		push := stepEnd(pod, len(stepNames)-1)
		if push == nil {
			continue
		}
		if droplet, failure := push.Pushed(); droplet != nil || failure != nil {
			return verdict{pushed: droplet, pushedAt: pod.State(push.Step).Terminated.FinishedAt.Time, failure: failure}
		}
	}
	if because := stopped(build); because != nil {
		return verdict{failure: because}
	}
	for _, pod := range views {
		if failure := failedStep(pod); failure != nil {
			return verdict{failure: failure}
		}
	}
	rules := job.Rules{Containers: stepNames, UserContainer: steps.BuildStep, Limits: s.Limits}
	found := rules.Judge(build, views, now)
	if found.End == nil {
		return verdict{after: found.After}
	}
	return verdict{failure: s.interruption(*found.End), noPod: found.End.Cause == job.NoPod}
}

// failedStep returns why a step has failed by itself; nil when none has, or when the pod was
// ended from outside, which explains it.
func failedStep(pod job.Pod) *stager.Failure {
	if pod.Rejected() {
		return nil
	}
	for i := range stepNames {
		if end := stepEnd(pod, i); end != nil {
			if failure := end.Failure(); failure != nil {
				return failure
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
func deleted() *stager.Failure { return Settings{}.interruption(job.End{Cause: job.JobDeleted}) }

// interruption words for users what Kubernetes has made of a build.
func (s Settings) interruption(end job.End) *stager.Failure {
	reason := end.Reason()
	switch end.Cause {
	case job.DeadlinePassed:
		return stager.Failed(reason, opi.StagingTimeExpired, "Staging took longer than %s and was stopped", job.InWords(s.Limits.Deadline))
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
		return stager.Failed(reason, opi.InsufficientResources, "Staging could not begin within %s: Kubernetes made no pod for it", job.InWords(s.Limits.SchedulingPatience))
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
