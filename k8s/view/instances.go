package view

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/opi"
)

// Instances returns the state of every desired index of lrp, in order.
func (v *View) Instances(lrp LRP) []opi.Instance {
	v.mu.RLock()
	defer v.mu.RUnlock()
	now := v.clock.Now()
	all := make([]opi.Instance, max(lrp.Instances, 0))
	for index := range all {
		all[index] = opi.Instance{
			Index: index, State: opi.InstanceUnclaimed, Since: firstTime(lrp.Created, now), Modification: lrp.Modification(),
		}
		if lrp.Awaited != nil {
			all[index] = lrp.Awaited.instance(all[index])
		}
	}
	reported := NoIndex
	for _, pod := range v.podsOf(lrp.UID) {
		// The first of two pods at one index is the one that matters.
		if pod.Index == reported || pod.Index < 0 || pod.Index >= len(all) {
			continue
		}
		reported = pod.Index
		all[pod.Index] = instanceState(&pod, v.silenceOf(&pod), v.checkEvents.of(pod.UID), now, v.lostNodeGrace)
		instance := &all[pod.Index]
		instance.Routable = v.routable(&pod)
		instance.Modification = modification(pod.UID, pod.ResourceVersion)
		if instance.GUID == "" {
			continue // the pod is over
		}
		count, last := crashes(&pod, v.checkEvents.of(pod.UID))
		instance.Address, instance.Crashes = pod.IP, count
		if last != nil {
			instance.CrashReason = last.Description
		}
		if node, known := v.nodes.byName[pod.Node]; known {
			instance.Zone = node.Zone
		}
	}
	return all
}

// silence is whether a pod's node has stopped reporting, and when Kubernetes
// found out; zero where that is not told.
type silence struct {
	silent bool
	since  time.Time
}

// silenceOf asks the node, which speaks for pods that were not ready before, too.
// Where the view does not know the node, the pod's own status may tell.
func (v *View) silenceOf(pod *Pod) silence {
	if node, known := v.nodes.byName[pod.Node]; known {
		return silence{silent: node.Silent(), since: node.Ready.Since}
	}
	return silence{silent: nodeLost(pod), since: pod.Ready.Since}
}

// instanceState says how far the instance is that a pod stands for, from the
// pod's status and what is known of its node. Since is the time of the present
// state as closely as the status tells: never zero and never after now.
func instanceState(pod *Pod, node silence, seen failedChecks, now time.Time, lostNodeGrace time.Duration) opi.Instance {
	instance := opi.Instance{Index: pod.Index, GUID: string(pod.UID), Cell: pod.Node}
	since := func(times ...time.Time) {
		instance.Since = firstTime(append(times, pod.Started, pod.Created, now)...)
		if instance.Since.After(now) {
			instance.Since = now
		}
	}
	crashed := func(reason string, times ...time.Time) opi.Instance {
		instance.State, instance.PlacementError = opi.InstanceCrashed, reason
		since(append(times, pod.ContainersReady.Since)...)
		return instance
	}
	container := &pod.Container
	last, passed, failed := failedToStart(pod)

	switch {
	case pod.OverDisk():
		// Also while it is being deleted: a back-off may keep it for minutes.
		return crashed(overDiskText(pod), pod.overDiskAt())

	case pod.Deleting != nil:
		// The instance is over: what comes next at this index has no pod yet.
		instance.State, instance.GUID, instance.Cell = opi.InstanceUnclaimed, "", ""
		since(*pod.Deleting)

	case pod.Phase == corev1.PodFailed || pod.Phase == corev1.PodSucceeded:
		ended := container.Terminated
		if ended == nil {
			ended = &Termination{}
		}
		return crashed(podEnd(pod), ended.FinishedAt)

	case pod.Node == "" && !pod.Scheduled.True():
		instance.State = opi.InstanceUnclaimed
		if reason := pod.Scheduled.Reason; reason == corev1.PodReasonUnschedulable || reason == corev1.PodReasonSchedulingGated {
			instance.PlacementError = orReason(pod.Scheduled.Message, reason)
		}
		since(pod.Scheduled.Since, pod.Created)

	case node.silent && now.Sub(node.since) >= lostNodeGrace:
		instance.State = opi.InstanceUnknown
		since(node.since)

	case container.Terminated != nil:
		return crashed(container.crash(container.Terminated, container.Passed, seen), container.Terminated.FinishedAt)

	case container.Waiting != nil && !starting(container.Waiting.Reason):
		if last := container.LastTermination; last != nil && container.Waiting.Reason == reasonCrashLoop {
			return crashed(container.crash(last, container.Passed, seen), last.FinishedAt)
		}
		return crashed(waitingEnd(container.Waiting))

	case failed && last == nil:
		return crashed("ended again and again before it was ready")

	case failed:
		return crashed(container.crash(last, passed, seen), last.FinishedAt)

	case container.Running && container.Started && !neverReady(pod):
		instance.State = opi.InstanceRunning
		since(container.RunningSince, pod.ContainersReady.Since)

	case container.Running:
		instance.State = opi.InstanceClaimed
		since(container.RunningSince, pod.Scheduled.Since)

	default:
		instance.State = opi.InstanceClaimed
		if last := container.LastTermination; last != nil {
			since(last.FinishedAt, pod.Scheduled.Since)
		} else {
			since(pod.Scheduled.Since)
		}
	}
	return instance
}

// nodeLost is whether the node stopped reporting while the app's containers were
// ready. Kubernetes' node controller then turns the Ready condition and leaves
// ContainersReady as it is; a kubelet turns both together. A readiness gate that
// does not pass looks alike and is told by its reason. Of a pod that was not ready
// before its node was lost the status tells nothing.
func nodeLost(pod *Pod) bool {
	if pod.Phase == corev1.PodUnknown {
		return true
	}
	containersReady := pod.ContainersReady.True() || pod.ContainersReady.Status == "" && pod.Container.Ready
	known := pod.Ready.Status != "" && !pod.Ready.True()
	return known && containersReady && pod.Ready.Reason != reasonReadinessGates
}

// neverReady is whether this run of the container has not been ready yet, although its
// startup check may have passed: a kubelet asks once more before it says so. Cloud
// Controller takes away an old instance as soon as a new one is RUNNING, and until the
// new one is ready no request gets to it.
func neverReady(pod *Pod) bool {
	return pod.ContainersReady.Status == corev1.ConditionFalse && !pod.ContainersReady.Since.After(pod.Container.RunningSince)
}

func firstTime(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
