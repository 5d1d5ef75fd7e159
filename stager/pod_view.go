package stager

import (
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/stager/steps"
)

// stepNames are the containers in the order in which they run.
var stepNames = []string{steps.FetchStep, steps.BuildStep, steps.PushStep}

// killed is the exit status of a process that got SIGKILL.
const killed = 128 + 9

// podView is a pod as a verdict looks at it.
type podView struct {
	pod      *corev1.Pod
	job      *batchv1.Job
	settings Settings
	now      time.Time
}

// state is the state of a step's container; zero where there is none yet.
func (v podView) state(step string) corev1.ContainerState {
	for _, statuses := range [][]corev1.ContainerStatus{v.pod.Status.InitContainerStatuses, v.pod.Status.ContainerStatuses} {
		for _, status := range statuses {
			if status.Name == step {
				return status.State
			}
		}
	}
	return corev1.ContainerState{}
}

// outcome is what a step left as its termination message; false where it left none that
// can be read.
func outcome(step string, ended *corev1.ContainerStateTerminated) (steps.Outcome, bool) {
	parsed, err := steps.ParseOutcome(step, []byte(ended.Message))
	return parsed, err == nil
}

// pushed is the droplet when push has succeeded. A push that ended well and doesn't say
// what it stored is a failure.
func (v podView) pushed() (*steps.OutcomeDroplet, time.Time, *failure) {
	ended := v.state(steps.PushStep).Terminated
	if ended == nil || ended.ExitCode != 0 {
		return nil, time.Time{}, nil
	}
	if parsed, ok := outcome(steps.PushStep, ended); ok && parsed.Droplet != nil {
		return parsed.Droplet, ended.FinishedAt.Time, nil
	}
	return nil, time.Time{}, failed("internal", stagerError, "Staging ended without telling its result")
}

// ended is why the pod has failed by itself; nil when it has not, or when it was ended
// from outside and somebody else has to say why.
func (v podView) ended() *failure {
	if f := v.rejectedOrEvicted(); f != nil {
		return f
	}
	for _, step := range stepNames {
		ended := v.state(step).Terminated
		if ended == nil || ended.ExitCode == 0 {
			continue
		}
		return v.stepFailure(step, ended)
	}
	return nil
}

// stepFailure believes kubelet first, then the step's own words, then its exit status.
func (v podView) stepFailure(step string, ended *corev1.ContainerStateTerminated) *failure {
	if ended.Reason == "OOMKilled" {
		return outOfMemory(v.limitMiB(step, corev1.ResourceMemory))
	}
	parsed, ok := outcome(step, ended)
	reason, known := steps.ReasonOfExit(int(ended.ExitCode))
	if ok && parsed.Failure != nil {
		reason, known = parsed.Failure.Reason, true
	}
	told := ok && parsed.Failure != nil && parsed.Failure.Message != ""
	switch {
	case v.pod.DeletionTimestamp != nil && (reason == steps.Canceled || ended.ExitCode == killed):
		return nil // whoever deletes the pod knows why
	case told:
		return failed(string(reason), reason.ErrorID(), "%s", parsed.Failure.Message)
	case known:
		return failed(string(reason), reason.ErrorID(), "Staging failed in step %s: %s", step, reason)
	case ended.ExitCode == killed:
		return failed("killed", stagingError, "Staging was killed in step %s, mostly a sign that there was not enough memory: limit %dM", step, v.limitMiB(step, corev1.ResourceMemory))
	default:
		return failed("internal", stagerError, "Staging ended unexpectedly in step %s with status %d", step, ended.ExitCode)
	}
}

// limitMiB is a limit of a step's container.
func (v podView) limitMiB(step string, resource corev1.ResourceName) int64 {
	for _, containers := range [][]corev1.Container{v.pod.Spec.InitContainers, v.pod.Spec.Containers} {
		for _, container := range containers {
			if container.Name == step {
				limit := container.Resources.Limits[resource]
				return limit.Value() >> 20
			}
		}
	}
	return 0
}

// rejectedOrEvicted is what kubelet says of the pod as a whole.
func (v podView) rejectedOrEvicted() *failure {
	if v.pod.Status.Phase != corev1.PodFailed {
		return nil
	}
	reason, message := v.pod.Status.Reason, v.pod.Status.Message
	switch {
	case reason == "DeadlineExceeded":
		return timedOut(v.settings.Deadline)
	case reason == "Evicted" && strings.Contains(message, "low on resource"):
		return failed("interrupted", stagingError, "Staging was interrupted: its node ran out of memory or disk. Push the app again")
	case reason == "Evicted" && overDisk(message):
		return outOfDisk(v.limitMiB(steps.BuildStep, corev1.ResourceEphemeralStorage))
	case reason == "Evicted":
		return failed("interrupted", stagingError, "Staging was interrupted: its pod was evicted (%s)", message)
	case strings.HasPrefix(reason, "OutOf"):
		return failed("unschedulable", insufficientResources, "Staging could not begin: its node had no room left after all (%s)", message)
	case reason == "NodeLost":
		return lostNode()
	case reason == "Terminated", reason == "NodeShutdown", reason == "Shutdown", reason == "Preempting":
		return failed("interrupted", stagingError, "Staging was interrupted: its node was needed for something else or shut down. Push the app again")
	case reason == "NodeAffinity", reason == "UnexpectedAdmissionError", reason == "PodFeatureUnsupported":
		return failed("internal", stagerError, "The node refused to stage the app: %s", message)
	}
	return nil
}

// overDisk recognizes the three texts by which kubelet says that a pod used more disk
// than its own limits allow.
func overDisk(message string) bool {
	message = strings.ToLower(message)
	return strings.Contains(message, "emptydir volume") || strings.Contains(message, "ephemeral local storage") || strings.Contains(message, "local ephemeral storage")
}

func lostNode() *failure {
	return failed("node-lost", stagingError, "Staging was interrupted: its node was lost. Push the app again")
}
