package job

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/eviction"
)

// OOMKilled is the reason that kubelet gives for the end of a container in which the
// kernel has killed a process at the memory limit: any process, at any time. It explains a
// failure; only the exit status decides whether there was one.
const OOMKilled = "OOMKilled"

// Killed is the exit status of a process that got SIGKILL.
const Killed = 128 + 9

// Pod is a pod as a judge looks at it.
type Pod struct{ *corev1.Pod }

// Pods are the views of pods.
func Pods(pods []*corev1.Pod) []Pod {
	views := make([]Pod, 0, len(pods))
	for _, pod := range pods {
		views = append(views, Pod{pod})
	}
	return views
}

// State is the state of a container; zero where there is none yet.
func (p Pod) State(container string) corev1.ContainerState {
	for _, statuses := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for _, status := range statuses {
			if status.Name == container {
				return status.State
			}
		}
	}
	return corev1.ContainerState{}
}

// LimitMiB is a limit of a container.
func (p Pod) LimitMiB(container string, resource corev1.ResourceName) int64 {
	for _, containers := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for _, c := range containers {
			if c.Name == container {
				limit := c.Resources.Limits[resource]
				return limit.Value() >> 20
			}
		}
	}
	return 0
}

// Rejected reports whether the pod as a whole failed, whatever its containers did.
func (p Pod) Rejected() bool { return p.rejected() != nil }

// rejected returns why kubelet failed the pod as a whole; nil if it did not.
func (p Pod) rejected() *End {
	if p.Status.Phase != corev1.PodFailed {
		return nil
	}
	reason, message := p.Status.Reason, p.Status.Message
	switch {
	case reason == "DeadlineExceeded":
		return &End{Cause: DeadlinePassed}
	case eviction.ForNode(reason, message):
		return &End{Cause: NodePressure}
	case eviction.ForOwnDisk(reason, message):
		return &End{Cause: OutOfDisk}
	case reason == eviction.Reason:
		return &End{Cause: Evicted, Detail: message}
	case strings.HasPrefix(reason, "OutOf"):
		return &End{Cause: NodeFull, Detail: message}
	case reason == "NodeLost":
		return &End{Cause: NodeLost}
	case reason == "Terminated", reason == "NodeShutdown", reason == "Shutdown", reason == "Preempting":
		return &End{Cause: NodeShutDown}
	case reason == "NodeAffinity", reason == "UnexpectedAdmissionError", reason == "PodFeatureUnsupported":
		return &End{Cause: NodeRefused, Detail: message}
	}
	return nil
}

// DeletedBy is whether the pod's deletion had been asked for at a time. Kubernetes counts
// in seconds: in the same second, it had, since what is told to end mostly does at once.
func (p Pod) DeletedBy(at time.Time) bool {
	if p.DeletionTimestamp == nil {
		return false
	}
	// The timestamp includes the grace. Once kubelet has done its part, a pod that somebody's
	// finalizer keeps, as that of its Job, has no grace any more and the time of that; then
	// the deletion had been asked for up to the pod's own grace before.
	grace := ptr.Deref(p.DeletionGracePeriodSeconds, 0)
	if grace == 0 {
		grace = ptr.Deref(p.Spec.TerminationGracePeriodSeconds, 0)
	}
	return !at.Before(p.DeletionTimestamp.Add(-time.Duration(grace) * time.Second))
}

// disruption is why Kubernetes itself deletes the pod; nil when somebody else does.
func (p Pod) disruption() *End {
	for _, condition := range p.Status.Conditions {
		if condition.Type != corev1.DisruptionTarget || condition.Status != corev1.ConditionTrue {
			continue
		}
		switch condition.Reason {
		case "DeletionByTaintManager", "DeletionByPodGC":
			return &End{Cause: NodeLost}
		case corev1.PodReasonPreemptionByScheduler:
			return &End{Cause: Preempted}
		case "EvictionByEvictionAPI":
			return &End{Cause: Drained}
		default:
			return &End{Cause: Disrupted, Detail: condition.Reason}
		}
	}
	return nil
}

// lostNode is for pods that are deleted because their node fell silent or is gone.
func (p Pod) lostNode() *End {
	if end := p.disruption(); end != nil && end.Cause == NodeLost {
		return end
	}
	return nil
}

// nothingRuns is whether none of the containers runs, as far as kubelet has said.
func (p Pod) nothingRuns(containers []string) bool {
	for _, container := range containers {
		if p.State(container).Running != nil {
			return false
		}
	}
	return true
}

// turn is the container that runs or should, and when its turn began: when the one
// before ended or, for the first, when the node took the pod.
func (p Pod) turn(containers []string, now time.Time) (turn string, began time.Time) {
	began = now
	if p.Status.StartTime != nil {
		began = p.Status.StartTime.Time
	}
	for _, container := range containers {
		ended := p.State(container).Terminated
		if ended == nil {
			return container, began
		}
		if container != containers[len(containers)-1] {
			began = ended.FinishedAt.Time
		}
	}
	return containers[len(containers)-1], began
}
