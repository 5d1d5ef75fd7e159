package tasks

import (
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/kubelet"
	"github.com/irene-cf/irene/opi"
)

// stop is what Cancel writes on the Job.
type stop struct {
	At time.Time `json:"at"`
}

// ended returns the outcome of a task that came to an end by itself, was canceled, or waits for
// an image that can't be made; nil for any other.
//
// A task that came to an end before it was stopped from outside has ended so, whatever
// happened after. Then counts what its user decided.
func ended(task *batchv1.Job, pods []job.Pod) *opi.Outcome {
	guid := task.Labels[keys.GUID]
	var told stop
	stopped := job.ReadStop(task, &told)
	for _, pod := range pods {
		ended := pod.State(keys.TaskContainer).Terminated
		switch {
		case ended == nil, pod.Rejected(), pod.DeletedBy(ended.FinishedAt.Time):
		case stopped && !ended.FinishedAt.Time.Before(told.At.Truncate(time.Second)):
		default:
			return byItself(guid, pod, ended)
		}
	}
	if stopped {
		// Diego's words, which people's tools look for.
		return opi.TaskFailed(guid, "canceled", "task was cancelled")
	}
	return whyNoImage(task)
}

// byItself lets the exit status decide whether the task succeeded, and takes from kubelet's
// reason how to explain a failure.
func byItself(guid string, pod job.Pod, ended *corev1.ContainerStateTerminated) *opi.Outcome {
	failed := func(reason, format string, args ...any) *opi.Outcome {
		return opi.TaskFailed(guid, reason, fmt.Sprintf(format, args...))
	}
	memory := pod.LimitMiB(keys.TaskContainer, corev1.ResourceMemory)
	switch {
	case ended.Reason == "StartError", ended.Reason == "ContainerCannotRun":
		return failed("start", "The command could not be started: %s", kubelet.StartFailure(ended.Message))
	case ended.Reason == "ContainerStatusUnknown", ended.Reason == "Unknown":
		return failed("interrupted", "The task was interrupted: its node was restarted, or lost track of it")
	case ended.ExitCode == 0:
		return opi.TaskSucceeded(guid)
	case ended.ExitCode == job.Killed && ended.Reason == job.OOMKilled:
		return failed("memory", "Exited with status %d (out of memory: limit %dM)", ended.ExitCode, memory)
	case ended.Reason == job.OOMKilled:
		return failed("exit", "Exited with status %d, after a process ran out of memory: limit %dM", ended.ExitCode, memory)
	case ended.ExitCode == job.Killed:
		return failed("killed", "Exited with status %d (killed, mostly a sign that there was not enough memory: limit %dM)", ended.ExitCode, memory)
	default:
		return failed("exit", "Exited with status %d", ended.ExitCode)
	}
}

// interruption words for users what Kubernetes has made of a task.
func (s Settings) interruption(why job.End, task *batchv1.Job) *opi.Outcome {
	failed := func(format string, args ...any) *opi.Outcome {
		return opi.TaskFailed(task.Labels[keys.GUID], why.Reason(), fmt.Sprintf(format, args...))
	}
	switch why.Cause {
	case job.DeadlinePassed:
		deadline := s.Limits.Deadline
		if seconds := task.Spec.Template.Spec.ActiveDeadlineSeconds; seconds != nil {
			deadline = time.Duration(*seconds) * time.Second
		}
		return failed("The task took longer than %s and was stopped", job.InWords(deadline))
	case job.OutOfDisk:
		return failed("The task ran out of disk: limit %dM", why.DiskMiB)
	case job.NodeRefused:
		return failed("The task could not begin: its node refused it")
	case job.NodeFull:
		return failed("The task could not begin: its node had no room left after all")
	case job.NoRoom:
		return failed("There was no room to run the task within %s (%s)", job.InWords(s.Limits.SchedulingPatience), why.Detail)
	case job.NoNode:
		return failed("There is no node on which the task may run (%s)", why.Detail)
	case job.NoPod:
		return failed("The task could not begin within %s: Kubernetes made no pod for it%s", job.InWords(s.Limits.SchedulingPatience), why.Because())
	case job.NotPulled:
		return failed("The task could not be started: %s", kubelet.PullFailure(why.Detail, usersImage(task)))
	case job.NotStarted:
		return failed("The task could not be started: %s", kubelet.StartFailure(why.Detail))
	default:
		return failed("The task was interrupted: %s", why.Interruption())
	}
}

// usersImage returns the reference of the image that a task of a docker app runs in; it is
// empty for a buildpack app.
func usersImage(task *batchv1.Job) string {
	if task.Labels[keys.RootFSVersion] != "" {
		return ""
	}
	for _, container := range task.Spec.Template.Spec.Containers {
		if container.Name == keys.TaskContainer {
			return container.Image
		}
	}
	return ""
}
