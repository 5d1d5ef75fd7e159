package tasks

import (
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

// verdict is what a Job and its pods say of a task.
type verdict struct {
	// end is nil while the task is under way.
	end *end
	// noPod says that the pod could not be made; the Job's Events may know more.
	noPod bool
	// after is when time alone may change the verdict; 0 for never.
	after time.Duration
}

// judge is pure: the same Job, pods and time give the same verdict.
//
// A task that came to an end before anybody told it to has ended so, whatever came
// after. Then counts what its user decided, then what Kubernetes says.
func (s Settings) judge(task *batchv1.Job, pods []*corev1.Pod, now time.Time) verdict {
	views := job.Pods(pods)
	var told stop
	stopped := job.ReadStop(task, &told)
	for _, pod := range views {
		ended := pod.State(keys.TaskContainer).Terminated
		switch {
		case ended == nil, pod.Rejected(), pod.DeletedBy(ended.FinishedAt.Time):
		case stopped && !ended.FinishedAt.Time.Before(told.At.Truncate(time.Second)):
		default:
			return verdict{end: byItself(pod, ended)}
		}
	}
	if stopped {
		return verdict{end: canceled()}
	}
	rules := job.Rules{Containers: []string{keys.TaskContainer}, UserContainer: keys.TaskContainer, Limits: s.Limits}
	found := rules.Judge(task, views, now)
	if found.End == nil {
		return verdict{after: found.After}
	}
	return verdict{end: s.interruption(*found.End, task), noPod: found.End.Cause == job.NoPod}
}

// byItself lets the exit status decide whether the task succeeded, and takes from kubelet's
// reason what to say about a failure.
func byItself(pod job.Pod, ended *corev1.ContainerStateTerminated) *end {
	memory := pod.LimitMiB(keys.TaskContainer, corev1.ResourceMemory)
	switch {
	case ended.Reason == "StartError", ended.Reason == "ContainerCannotRun":
		return failed("start", "The command could not be started: %s", kubelet.StartFailure(ended.Message))
	case ended.Reason == "ContainerStatusUnknown", ended.Reason == "Unknown":
		return failed("interrupted", "The task was interrupted: its node was restarted, or lost track of it")
	case ended.ExitCode == 0:
		return &end{reason: opi.ReasonSucceeded}
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
func (s Settings) interruption(why job.End, task *batchv1.Job) *end {
	reason := why.Reason()
	switch why.Cause {
	case job.DeadlinePassed:
		deadline := s.Limits.Deadline
		if seconds := task.Spec.Template.Spec.ActiveDeadlineSeconds; seconds != nil {
			deadline = time.Duration(*seconds) * time.Second
		}
		return failed(reason, "The task took longer than %s and was stopped", job.InWords(deadline))
	case job.OutOfDisk:
		return failed(reason, "The task ran out of disk: limit %dM", why.DiskMiB)
	case job.NodeRefused:
		return failed(reason, "The task could not begin: its node refused it")
	case job.NodeFull:
		return failed(reason, "The task could not begin: its node had no room left after all")
	case job.NoRoom:
		return failed(reason, "There was no room to run the task within %s (%s)", job.InWords(s.Limits.SchedulingPatience), why.Detail)
	case job.NoNode:
		return failed(reason, "There is no node on which the task may run (%s)", why.Detail)
	case job.NoPod:
		return failed(reason, "The task could not begin within %s: Kubernetes made no pod for it", job.InWords(s.Limits.SchedulingPatience))
	case job.NotPulled:
		return failed(reason, "The task could not be started: %s", kubelet.PullFailure(why.Detail, usersImage(task)))
	case job.NotStarted:
		return failed(reason, "The task could not be started: %s", kubelet.StartFailure(why.Detail))
	default:
		return failed(reason, "The task was interrupted: %s", why.Interruption())
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
