package stager

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/stager/steps"
)

// underWay judges a pod that has not ended by itself: one that is being deleted, waits
// for a node or can't start.
func (v podView) underWay(jobFinished bool) verdict {
	switch {
	case v.pod.DeletionTimestamp != nil:
		return v.deleting(jobFinished)
	case v.pod.Spec.NodeName == "":
		return v.unscheduled()
	default:
		return v.notStarting()
	}
}

// deleting waits until it is clear that the pod does not come to an end of its own, and
// why it goes: for a pod that was deleted because the Job's time is up, the Job says so
// a little later.
func (v podView) deleting(jobFinished bool) verdict {
	// The timestamp includes the grace; a node that lives has killed everything by then.
	overdue := v.pod.DeletionTimestamp.Add(settling)
	cause := v.disruption()
	switch {
	case v.now.After(overdue) && cause == nil:
		return verdict{failure: lostNode()}
	case cause != nil && (v.nothingRuns() || v.now.After(overdue)):
		return verdict{failure: cause}
	case jobFinished && v.nothingRuns():
		return verdict{failure: failed("interrupted", stagingError, "Staging was interrupted: somebody deleted its pod in Kubernetes")}
	}
	return verdict{after: overdue.Sub(v.now) + time.Second}
}

// disruption is why Kubernetes itself deletes the pod; nil when somebody else does.
func (v podView) disruption() *failure {
	if lost := v.lostNode(); lost != nil {
		return lost
	}
	for _, condition := range v.pod.Status.Conditions {
		if condition.Type != corev1.DisruptionTarget || condition.Status != corev1.ConditionTrue {
			continue
		}
		switch condition.Reason {
		case corev1.PodReasonPreemptionByScheduler:
			return failed("interrupted", stagingError, "Staging was interrupted: something more important needed its place. Push the app again")
		case "EvictionByEvictionAPI":
			return failed("interrupted", stagingError, "Staging was interrupted: its node is being emptied for maintenance. Push the app again")
		default:
			return failed("interrupted", stagingError, "Staging was interrupted by its node (%s). Push the app again", condition.Reason)
		}
	}
	return nil
}

// lostNode is for pods that are deleted because their node fell silent or is gone.
func (v podView) lostNode() *failure {
	for _, condition := range v.pod.Status.Conditions {
		if condition.Type == corev1.DisruptionTarget && condition.Status == corev1.ConditionTrue &&
			(condition.Reason == "DeletionByTaintManager" || condition.Reason == "DeletionByPodGC") {
			return lostNode()
		}
	}
	return nil
}

// nothingRuns is whether no container runs, as far as kubelet has said.
func (v podView) nothingRuns() bool {
	for _, step := range stepNames {
		if v.state(step).Running != nil {
			return false
		}
	}
	return true
}

// unscheduled gives the scheduler its time.
func (v podView) unscheduled() verdict {
	for _, condition := range v.pod.Status.Conditions {
		if condition.Type != corev1.PodScheduled || condition.Status != corev1.ConditionFalse {
			continue
		}
		if wait := v.settings.SchedulingPatience - v.now.Sub(condition.LastTransitionTime.Time); wait > 0 {
			return verdict{after: wait}
		}
		if compatibleButFull(condition.Message) {
			return verdict{failure: failed("unschedulable", insufficientResources,
				"There was no room to stage the app within %s (%s)", inWords(v.settings.SchedulingPatience), condition.Message)}
		}
		return verdict{failure: failed("unschedulable", noCompatibleCell,
			"There is no node on which apps may be staged (%s)", condition.Message)}
	}
	return verdict{}
}

// compatibleButFull reads the scheduler's message: as long as a single node lacks
// nothing but room, it is room that is lacking.
func compatibleButFull(message string) bool {
	return strings.Contains(message, "Insufficient ") || strings.Contains(message, "Too many pods") || !strings.Contains(message, "nodes are available")
}

// notStarting looks at the container whose turn it is.
func (v podView) notStarting() verdict {
	turn := v.turn()
	waiting := v.state(turn).Waiting
	if waiting == nil {
		return verdict{}
	}
	wait := v.settings.PullPatience - v.now.Sub(v.turnBegan(turn))
	switch waiting.Reason {
	case "InvalidImageName", "ErrImageNeverPull":
		wait = 0
	case "ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed":
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
		if wait > 0 {
			return verdict{after: wait}
		}
		return verdict{failure: failed("container", stagerError, "The platform could not start step %s of staging: %s: %s", turn, waiting.Reason, waiting.Message)}
	default:
		return verdict{}
	}
	if wait > 0 {
		return verdict{after: wait}
	}
	return verdict{failure: failed("image-pull", stagerError, "The platform could not pull the image for step %s of staging: %s", turn, waiting.Message)}
}

// turn is the step that runs or should.
func (v podView) turn() string {
	for _, step := range stepNames {
		if v.state(step).Terminated == nil {
			return step
		}
	}
	return steps.PushStep
}

// turnBegan is when the step before ended or, for the first, the node took the pod.
func (v podView) turnBegan(turn string) time.Time {
	began := v.now
	if v.pod.Status.StartTime != nil {
		began = v.pod.Status.StartTime.Time
	}
	for _, step := range stepNames {
		if step == turn {
			break
		}
		if ended := v.state(step).Terminated; ended != nil {
			began = ended.FinishedAt.Time
		}
	}
	return began
}
