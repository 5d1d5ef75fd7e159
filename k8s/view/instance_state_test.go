package view

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// The statuses are as kubelets, the scheduler and the node controller write them.

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

func stamp(seconds int) metav1.Time { return metav1.NewTime(at(seconds)) }

func condition(kind corev1.PodConditionType, status corev1.ConditionStatus, seconds int, reason, message string) corev1.PodCondition {
	return corev1.PodCondition{Type: kind, Status: status, LastTransitionTime: stamp(seconds), Reason: reason, Message: message}
}

// placed is a pod on a node with its container's status, ready or not.
func placed(ready bool, status corev1.ContainerStatus) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		startTime := stamp(2)
		pod.Spec.NodeName = "node-1"
		pod.Status.Phase = corev1.PodRunning
		pod.Status.StartTime = &startTime
		pod.Status.PodIP = "10.0.0.7"
		status.Name, status.Ready = keys.AppContainer, ready
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "sidecar", Ready: true}, status}
		answer, reason := corev1.ConditionTrue, ""
		if !ready {
			answer, reason = corev1.ConditionFalse, "ContainersNotReady"
		}
		pod.Status.Conditions = []corev1.PodCondition{
			condition(corev1.PodReadyToStartContainers, corev1.ConditionTrue, 3, "", ""),
			condition(corev1.PodScheduled, corev1.ConditionTrue, 1, "", ""),
			condition(corev1.ContainersReady, answer, 20, reason, ""),
			condition(corev1.PodReady, answer, 20, reason, ""),
		}
	}
}

func running(seconds int, started bool) corev1.ContainerStatus {
	return corev1.ContainerStatus{Started: &started, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: stamp(seconds)}}}
}

func waiting(reason, message string) corev1.ContainerStatus {
	started := false
	return corev1.ContainerStatus{Started: &started, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}

func ended(seconds int, exit, signal int32, reason, message string) *corev1.ContainerStateTerminated {
	return &corev1.ContainerStateTerminated{FinishedAt: stamp(seconds), ExitCode: exit, Signal: signal, Reason: reason, Message: message}
}

func terminated(end *corev1.ContainerStateTerminated) corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Terminated: end}}
}

func after(last *corev1.ContainerStateTerminated, status corev1.ContainerStatus) corev1.ContainerStatus {
	status.LastTerminationState.Terminated = last
	status.RestartCount = 1
	return status
}

func conditionsOf(conditions ...corev1.PodCondition) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Status.Conditions = conditions }
}

func deletedAt(seconds int, grace int64) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		deadline := stamp(seconds + int(grace))
		pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &deadline, &grace
	}
}

func replaceCondition(changed corev1.PodCondition) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		for i := range pod.Status.Conditions {
			if pod.Status.Conditions[i].Type == changed.Type {
				pod.Status.Conditions[i] = changed
			}
		}
	}
}

func TestInstanceState(t *testing.T) {
	const grace = 60 * time.Second
	lost := func(seconds int) func(*corev1.Pod) {
		// The node controller turns the status and keeps reason and message.
		return replaceCondition(condition(corev1.PodReady, corev1.ConditionFalse, seconds, "", ""))
	}
	backOff := "back-off 10s restarting failed container=opi pod=app-0"
	docker := func(pod *corev1.Pod) { pod.Spec.Containers[0].Image = "org/app:1" }
	buildpack := func(pod *corev1.Pod) {
		pod.Spec.Containers[0].Image, pod.Labels[keys.RootFSVersion] = "registry.internal/apps/droplet:1", "4f1a9c07"
	}
	for name, c := range map[string]struct {
		pod   []func(*corev1.Pod)
		state opi.InstanceState
		since int
		// reason is the placement error.
		reason   string
		routable bool
		// none is whether the instance has neither guid nor cell.
		none, noCell bool
	}{
		"just created": {
			state: opi.InstanceUnclaimed, since: 0, noCell: true,
		},
		"unschedulable": {
			pod:   []func(*corev1.Pod){conditionsOf(condition(corev1.PodScheduled, corev1.ConditionFalse, 4, "Unschedulable", "0/3 nodes are available: 3 Insufficient memory."))},
			state: opi.InstanceUnclaimed, since: 4, noCell: true, reason: "0/3 nodes are available: 3 Insufficient memory.",
		},
		"gated": {
			pod:   []func(*corev1.Pod){conditionsOf(condition(corev1.PodScheduled, corev1.ConditionFalse, 4, "SchedulingGated", ""))},
			state: opi.InstanceUnclaimed, since: 4, noCell: true, reason: "SchedulingGated",
		},
		"the scheduler stumbled": {
			pod:   []func(*corev1.Pod){conditionsOf(condition(corev1.PodScheduled, corev1.ConditionFalse, 4, "SchedulerError", "binding rejected"))},
			state: opi.InstanceUnclaimed, since: 4, noCell: true,
		},
		"scheduled, not seen by its kubelet": {
			pod:   []func(*corev1.Pod){conditionsOf(condition(corev1.PodScheduled, corev1.ConditionTrue, 1, "", "")), func(p *corev1.Pod) { p.Spec.NodeName = "node-1" }},
			state: opi.InstanceClaimed, since: 1,
		},
		"creating": {
			pod:   []func(*corev1.Pod){placed(false, waiting("ContainerCreating", ""))},
			state: opi.InstanceClaimed, since: 1,
		},
		"initializing": {
			pod:   []func(*corev1.Pod){placed(false, waiting("PodInitializing", ""))},
			state: opi.InstanceClaimed, since: 1,
		},
		"creating again after the node was restarted": {
			pod:   []func(*corev1.Pod){placed(false, after(ended(30, 255, 0, "Unknown", ""), waiting("ContainerCreating", "")))},
			state: opi.InstanceClaimed, since: 30,
		},
		"startup check not passed": {
			pod:   []func(*corev1.Pod){placed(false, running(5, false))},
			state: opi.InstanceClaimed, since: 5,
		},
		"startup check not passed after a crash": {
			pod:   []func(*corev1.Pod){placed(false, after(ended(30, 1, 0, "Error", ""), running(31, false)))},
			state: opi.InstanceClaimed, since: 31,
		},
		"running": {
			pod:   []func(*corev1.Pod){placed(true, running(5, true))},
			state: opi.InstanceRunning, since: 5, routable: true,
		},
		"running, status without started": {
			pod: []func(*corev1.Pod){placed(true, corev1.ContainerStatus{State: corev1.ContainerState{
				Running: &corev1.ContainerStateRunning{StartedAt: stamp(5)}}})},
			state: opi.InstanceRunning, since: 5, routable: true,
		},
		"its startup check passed, not ready yet": {
			pod:   []func(*corev1.Pod){placed(false, running(20, true))},
			state: opi.InstanceClaimed, since: 20,
		},
		"running, readiness check fails": {
			pod:   []func(*corev1.Pod){placed(false, running(5, true))},
			state: opi.InstanceRunning, since: 5,
		},
		"running again after a crash": {
			pod:   []func(*corev1.Pod){placed(true, after(ended(30, 1, 0, "Error", ""), running(31, true)))},
			state: opi.InstanceRunning, since: 31, routable: true,
		},
		"running, a sidecar of somebody else's not ready": {
			pod: []func(*corev1.Pod){placed(true, running(5, true)),
				replaceCondition(condition(corev1.ContainersReady, corev1.ConditionFalse, 20, "ContainersNotReady", "")),
				replaceCondition(condition(corev1.PodReady, corev1.ConditionFalse, 20, "ContainersNotReady", ""))},
			state: opi.InstanceRunning, since: 5,
		},
		"running, a readiness gate closed": {
			pod: []func(*corev1.Pod){placed(true, running(5, true)),
				replaceCondition(condition(corev1.PodReady, corev1.ConditionFalse, 20, "ReadinessGatesNotReady", "the status of pod readiness gate"))},
			state: opi.InstanceRunning, since: 5,
		},
		"terminating": {
			pod:   []func(*corev1.Pod){placed(true, running(5, true)), deletedAt(50, 15)},
			state: opi.InstanceUnclaimed, since: 50, none: true,
		},
		"terminating and ended": {
			pod:   []func(*corev1.Pod){placed(false, terminated(ended(55, 143, 0, "Error", ""))), deletedAt(50, 15)},
			state: opi.InstanceUnclaimed, since: 50, none: true,
		},
		"exited": {
			pod:   []func(*corev1.Pod){placed(false, terminated(ended(40, 3, 0, "Error", "")))},
			state: opi.InstanceCrashed, since: 40, reason: "exited with status 3",
		},
		"exited and waits": {
			pod:   []func(*corev1.Pod){placed(false, after(ended(40, 0, 0, "Completed", ""), waiting("CrashLoopBackOff", backOff)))},
			state: opi.InstanceCrashed, since: 40, reason: "exited with status 0",
		},
		"killed by a signal that the runtime names": {
			pod:   []func(*corev1.Pod){placed(false, terminated(ended(40, 137, 9, "Error", "")))},
			state: opi.InstanceCrashed, since: 40, reason: "killed by signal 9",
		},
		"killed by a signal as containerd reports it": {
			pod:   []func(*corev1.Pod){placed(false, terminated(ended(40, 139, 0, "Error", "")))},
			state: opi.InstanceCrashed, since: 40, reason: "exited with status 139 (killed by signal 11)",
		},
		"status 255 is no signal": {
			pod:   []func(*corev1.Pod){placed(false, terminated(ended(40, 255, 0, "Error", "")))},
			state: opi.InstanceCrashed, since: 40, reason: "exited with status 255",
		},
		"out of memory": {
			pod:   []func(*corev1.Pod){placed(false, after(ended(40, 137, 0, "OOMKilled", ""), waiting("CrashLoopBackOff", backOff)))},
			state: opi.InstanceCrashed, since: 40, reason: "out of memory: limit 256M",
		},
		"command not found": {
			pod:   []func(*corev1.Pod){placed(false, after(ended(40, 128, 0, "StartError", `exec: "nothing": executable file not found in $PATH`), waiting("CrashLoopBackOff", backOff)))},
			state: opi.InstanceCrashed, since: 40, reason: `can't be started: exec: "nothing": executable file not found in $PATH`,
		},
		"the container vanished": {
			pod: []func(*corev1.Pod){placed(false, terminated(&corev1.ContainerStateTerminated{ExitCode: 137, Reason: "ContainerStatusUnknown",
				Message: "The container could not be located when the pod was terminated"}))},
			state: opi.InstanceCrashed, since: 20, reason: "was lost: its node was restarted, or lost track of it",
		},
		"image pull error": {
			pod:   []func(*corev1.Pod){docker, placed(false, waiting("ErrImagePull", "docker.io/org/app:1: not found"))},
			state: opi.InstanceCrashed, since: 20, reason: "the image org/app:1 can't be pulled: not found",
		},
		"image pull back-off": {
			pod:   []func(*corev1.Pod){docker, placed(false, waiting("ImagePullBackOff", `Back-off pulling image "org/app:1": ErrImagePull: 401 Unauthorized`))},
			state: opi.InstanceCrashed, since: 20, reason: `the image org/app:1 can't be pulled: 401 Unauthorized`,
		},
		"image pull error, conditions missing": {
			pod:   []func(*corev1.Pod){docker, placed(false, waiting("InvalidImageName", "")), conditionsOf()},
			state: opi.InstanceCrashed, since: 2, reason: "the image org/app:1 can't be pulled",
		},
		"a droplet's image can't be pulled": {
			pod: []func(*corev1.Pod){buildpack, placed(false, waiting("ErrImagePull",
				`failed to pull and unpack image "registry.internal/apps/droplet:1": failed to do request: dial tcp: lookup registry.internal: no such host`))},
			state: opi.InstanceCrashed, since: 20, reason: "the platform can't fetch the app's image at present (no such host); it tries again",
		},
		"secret missing": {
			pod:   []func(*corev1.Pod){placed(false, waiting("CreateContainerConfigError", `secret "s" not found`))},
			state: opi.InstanceCrashed, since: 20, reason: "can't be started: the platform can't set it up at present",
		},
		"the image runs as root": {
			pod: []func(*corev1.Pod){placed(false, waiting("CreateContainerConfigError",
				`container has runAsNonRoot and image will run as root (pod: "app-0_cf-apps(1b1f)", container: opi)`))},
			state: opi.InstanceCrashed, since: 20, reason: "can't be started: " + opi.ImageRunsAsRoot,
		},
		"the image names its user": {
			pod: []func(*corev1.Pod){placed(false, waiting("CreateContainerConfigError",
				`container has runAsNonRoot and image has non-numeric user (node), cannot verify user is non-root (pod: "app-0_cf-apps(1b1f)", container: opi)`))},
			state: opi.InstanceCrashed, since: 20,
			reason: "can't be started: the image names its user instead of giving its number, and the platform could not look it up; give USER as a number",
		},
		"the image has no command": {
			pod: []func(*corev1.Pod){placed(false, waiting("CreateContainerError",
				`failed to generate container "63d1" spec: failed to generate spec: no command specified`))},
			state: opi.InstanceCrashed, since: 20, reason: "can't be started: " + opi.ImageHasNoCommand,
		},
		"container can't be created": {
			pod:   []func(*corev1.Pod){placed(false, waiting("CreateContainerError", "no space left on device"))},
			state: opi.InstanceCrashed, since: 20, reason: "can't be started: no space left on device",
		},
		"container can't be run": {
			pod:   []func(*corev1.Pod){placed(false, waiting("RunContainerError", `exec: "/app": permission denied`))},
			state: opi.InstanceCrashed, since: 20, reason: `can't be started: exec: "/app": permission denied`,
		},
		"back-off without a run": {
			pod:   []func(*corev1.Pod){placed(false, waiting("CrashLoopBackOff", backOff))},
			state: opi.InstanceCrashed, since: 20, reason: "can't be started: the platform can't set it up at present",
		},
		"evicted": {
			pod: []func(*corev1.Pod){placed(false, terminated(ended(45, 137, 0, "Error", ""))), func(p *corev1.Pod) {
				p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory."
			}},
			state: opi.InstanceCrashed, since: 45, reason: "Evicted: The node was low on resource: memory.",
		},
		"over its disk limit": {
			pod: []func(*corev1.Pod){placed(false, terminated(ended(45, 137, 0, "Error", ""))),
				phase(corev1.PodFailed, "Evicted", `Pod ephemeral local storage usage exceeds the total limit of containers 512Mi. `)},
			state: opi.InstanceCrashed, since: 45, reason: "out of disk: limit 512M",
		},
		"over its disk limit, and its replacement is delayed": {
			pod: []func(*corev1.Pod){placed(false, terminated(ended(45, 137, 0, "Error", ""))), deletedAt(46, 0),
				phase(corev1.PodFailed, "Evicted", `Container opi exceeded its local ephemeral storage limit "512Mi". `)},
			state: opi.InstanceCrashed, since: 45, reason: "out of disk: limit 512M",
		},
		"evicted for its node's sake, and about to go": {
			pod: []func(*corev1.Pod){placed(false, terminated(ended(45, 137, 0, "Error", ""))), deletedAt(46, 0),
				phase(corev1.PodFailed, "Evicted", "The node was low on resource: ephemeral-storage. ")},
			state: opi.InstanceUnclaimed, since: 46, none: true,
		},
		"refused by its kubelet": {
			pod: []func(*corev1.Pod){func(p *corev1.Pod) {
				startTime := stamp(3)
				p.Spec.NodeName = "node-1"
				p.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "OutOfmemory", Message: "Node didn't have enough resource: memory", StartTime: &startTime}
			}},
			state: opi.InstanceCrashed, since: 3, reason: "OutOfmemory: Node didn't have enough resource: memory",
		},
		"ended by its node's shutdown": {
			pod: []func(*corev1.Pod){placed(false, terminated(ended(45, 0, 0, "Completed", ""))), func(p *corev1.Pod) {
				p.Status.Phase = corev1.PodSucceeded
			}},
			state: opi.InstanceCrashed, since: 45, reason: "exited with status 0",
		},
		"node silent, within the grace": {
			pod:   []func(*corev1.Pod){placed(true, running(5, true)), lost(41)},
			state: opi.InstanceRunning, since: 5,
		},
		"node silent for the grace": {
			pod:   []func(*corev1.Pod){placed(true, running(5, true)), lost(40)},
			state: opi.InstanceUnknown, since: 40,
		},
		"node silent, ContainersReady never written": {
			pod: []func(*corev1.Pod){placed(true, running(5, true)), conditionsOf(
				condition(corev1.PodScheduled, corev1.ConditionTrue, 1, "", ""),
				condition(corev1.PodReady, corev1.ConditionUnknown, 30, "NodeStatusUnknown", ""))},
			state: opi.InstanceUnknown, since: 30,
		},
		"node silent and pod being evicted": {
			pod:   []func(*corev1.Pod){placed(true, running(5, true)), lost(20), deletedAt(80, 15)},
			state: opi.InstanceUnclaimed, since: 80, none: true,
		},
		"clock of the kubelet ahead": {
			pod:   []func(*corev1.Pod){placed(true, running(500, true))},
			state: opi.InstanceRunning, since: 100, routable: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			v, now := idleView(t)
			now.SetTime(at(100))
			list(g, v.pods, 10, ownedPod("uid-a", "pod-uid", 0, 5, c.pod...))
			expected := opi.Instance{GUID: "pod-uid", Cell: "node-1", State: c.state, Since: at(c.since), PlacementError: c.reason, Routable: c.routable}
			if c.none {
				expected.GUID = ""
			}
			if c.none || c.noCell {
				expected.Cell = ""
			}
			v.lostNodeGrace = grace
			instances := v.Instances(LRP{UID: "uid-a", Instances: 1, Created: start})
			g.Expect(instances).To(HaveLen(1))
			// These follow from the pod whatever its state.
			expected.Address, expected.Zone, expected.Modification = instances[0].Address, instances[0].Zone, instances[0].Modification
			expected.Crashes, expected.CrashReason = instances[0].Crashes, instances[0].CrashReason
			g.Expect(instances[0]).To(Equal(expected))
		})
	}
}

func TestEveryDesiredIndexOnceInOrder(t *testing.T) {
	g := NewWithT(t)
	v, now := idleView(t)
	now.SetTime(at(100))
	list(g, v.pods, 10,
		ownedPod("uid-a", "p3", 3, 5, placed(true, running(5, true))),
		ownedPod("uid-a", "p1", 1, 5, placed(true, running(6, true))),
		ownedPod("uid-a", "px", 0, 5, func(p *corev1.Pod) { p.Name, p.Labels = "uid-a-x", labelsFor(appID) }),
		ownedPod("uid-b", "other", 0, 5, placed(true, running(7, true))),
	)
	instances := v.Instances(LRP{UID: "uid-a", Instances: 3, Created: at(-5)})
	g.Expect(instances).To(HaveLen(3))
	for index, state := range []opi.InstanceState{opi.InstanceUnclaimed, opi.InstanceRunning, opi.InstanceUnclaimed} {
		g.Expect(instances[index].Index).To(Equal(index))
		g.Expect(instances[index].State).To(Equal(state))
	}
	g.Expect(instances[0]).To(Equal(opi.Instance{Index: 0, State: opi.InstanceUnclaimed, Since: at(-5), Modification: opi.ModificationTag{Epoch: "uid-a"}}))
	g.Expect(v.Instances(LRP{UID: "uid-a", Created: start})).To(BeEmpty())
	g.Expect(v.Instances(LRP{UID: "nobody", Instances: 1})[0].Since).NotTo(BeZero())
}

func TestTwoPodsAtOneIndex(t *testing.T) {
	g := NewWithT(t)
	v, now := idleView(t)
	now.SetTime(at(100))
	named := func(name string, created int) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Name, p.CreationTimestamp = name, stamp(created) }
	}
	list(g, v.pods, 10,
		ownedPod("uid-a", "older", 0, 5, named("x-0", 1)),
		ownedPod("uid-a", "newer", 0, 6, named("y-0", 2)),
		ownedPod("uid-a", "going", 0, 7, named("z-0", 3), deletedAt(50, 15)),
	)
	g.Expect(v.Instances(LRP{UID: "uid-a", Instances: 1})[0].GUID).To(Equal("newer"))
	pod, _ := v.PodAt("uid-a", 0)
	g.Expect(string(pod.UID)).To(Equal("newer"))
}

// TestSinceIsNeverZero takes statuses with every time missing.
func TestSinceIsNeverZero(t *testing.T) {
	g := NewWithT(t)
	for _, pod := range []Pod{
		{}, {Node: "n"}, {Phase: corev1.PodFailed}, {Phase: corev1.PodUnknown, Node: "n"}, {Deleting: &time.Time{}},
		{Node: "n", Container: Container{Running: true}}, {Node: "n", Container: Container{Running: true, Started: true}},
		{Node: "n", Container: Container{Terminated: &Termination{}}},
		{Node: "n", Container: Container{Waiting: &Waiting{Reason: "CrashLoopBackOff"}, LastTermination: &Termination{}}},
		{Node: "n", Container: Container{Waiting: &Waiting{}, LastTermination: &Termination{}}},
	} {
		g.Expect(instanceState(&pod, silence{silent: nodeLost(&pod), since: pod.Ready.Since}, failedChecks{}, start, time.Minute).Since).To(Equal(start))
	}
}
