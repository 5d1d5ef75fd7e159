package view

import (
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/flowcontrol"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// restarting is a pod on a kubelet that starts an app again and again, with the back-off
// that kubelets have (doBackOff in pkg/kubelet/kuberuntime). The app never gets ready.
type restarting struct {
	clock   *testingclock.FakeClock
	backoff *flowcontrol.Backoff
	// run is how long each run lasts, exit its status.
	run  time.Duration
	exit int32

	pod      *corev1.Pod
	restarts int32
	// ends are the times of the ends so far.
	ends []time.Time
}

func newRestarting(run time.Duration, exit int32, maxBackoff time.Duration) *restarting {
	clock := testingclock.NewFakeClock(at(2))
	k := &restarting{
		clock: clock, backoff: flowcontrol.NewFakeBackOff(10*time.Second, maxBackoff, clock), run: run, exit: exit,
		pod: ownedPod("uid-a", "pod-uid", 0, 5, placed(false, running(2, false)), neverTrue),
	}
	k.start(corev1.ContainerState{})
	return k
}

// neverTrue gives a pod the conditions that a kubelet writes together with the start time.
func neverTrue(pod *corev1.Pod) {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.ContainersReady || c.Type == corev1.PodReady {
			c.LastTransitionTime = *pod.Status.StartTime
		}
	}
}

func (k *restarting) start(last corev1.ContainerState) {
	started := false
	k.pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: keys.AppContainer, Started: &started, RestartCount: k.restarts, LastTerminationState: last,
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(k.clock.Now())}},
	}}
}

// step passes a second.
func (k *restarting) step() {
	k.clock.Step(time.Second)
	status := &k.pod.Status.ContainerStatuses[0]
	now := k.clock.Now()
	switch {
	case status.State.Running != nil && now.Sub(status.State.Running.StartedAt.Time) >= k.run:
		k.ends = append(k.ends, now)
		status.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: k.exit, Reason: "Error", StartedAt: status.State.Running.StartedAt, FinishedAt: metav1.NewTime(now),
		}}
	case status.State.Running != nil:
	case k.backoff.IsInBackOffSince("opi", k.ends[len(k.ends)-1]):
		if status.State.Terminated != nil {
			status.LastTerminationState, status.State = status.State, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reasonCrashLoop}}
		}
	default:
		k.backoff.Next("opi", k.ends[len(k.ends)-1])
		last := status.LastTerminationState
		if status.State.Terminated != nil {
			last = status.State
		}
		k.restarts++
		k.start(last)
	}
}

// An app that never gets ready turns CRASHED, and stays so whatever its kubelet does.
func TestInstanceThatNeverGetsReady(t *testing.T) {
	const watched = 12 * time.Minute
	for name, c := range map[string]struct {
		run    time.Duration
		exit   int32
		within time.Duration
		reason string
	}{
		"exits at once":           {time.Second, 1, 30 * time.Second, "exited with status 1"},
		"fails a check of 60s":    {61 * time.Second, 137, 3*61*time.Second + 30*time.Second, "exited with status 137 (killed by signal 9)"},
		"fails a check of 10 min": {601 * time.Second, 137, 3*601*time.Second + 30*time.Second, "exited with status 137 (killed by signal 9)"},
	} {
		for _, maxBackoff := range []time.Duration{time.Second, 10 * time.Second, 5 * time.Minute} {
			t.Run(fmt.Sprintf("%s, back-off up to %s", name, maxBackoff), func(t *testing.T) {
				g := NewWithT(t)
				kubelet := newRestarting(c.run, c.exit, maxBackoff)
				var crashedAt time.Time
				for kubelet.clock.Now().Before(start.Add(watched + c.within)) {
					kubelet.step()
					if len(kubelet.ends) < 3 {
						continue
					}
					// A replica that has just started has to find the same.
					v, now := idleView(t)
					now.SetTime(kubelet.clock.Now())
					list(g, v.pods, 10, kubelet.pod)
					instance := v.Instances(LRP{UID: "uid-a", Instances: 1, Created: start})[0]
					if crashedAt.IsZero() {
						crashedAt = now.Now()
					}
					g.Expect(instance.State).To(Equal(opi.InstanceCrashed), "at %s", now.Now())
					g.Expect(instance.PlacementError).To(Equal(c.reason))
					g.Expect(instance.Since).To(Equal(kubelet.ends[len(kubelet.ends)-1]))
				}
				g.Expect(crashedAt.Sub(start)).To(BeNumerically("<=", c.within))
			})
		}
	}
}

func TestFailedStarts(t *testing.T) {
	ends := func(restarts int32, last *corev1.ContainerStateTerminated, status corev1.ContainerStatus) corev1.ContainerStatus {
		status.LastTerminationState.Terminated, status.RestartCount = last, restarts
		return status
	}
	exited := ended(80, 7, 0, "Error", "")
	for name, c := range map[string]struct {
		pod    []func(*corev1.Pod)
		state  opi.InstanceState
		reason string
		since  int
	}{
		"the third run": {
			pod:   []func(*corev1.Pod){placed(false, ends(2, exited, running(81, false))), neverTrue},
			state: opi.InstanceClaimed, since: 81,
		},
		"the fourth run": {
			pod:   []func(*corev1.Pod){placed(false, ends(3, exited, running(81, false))), neverTrue},
			state: opi.InstanceCrashed, since: 80, reason: "exited with status 7",
		},
		"the fourth run has passed its startup check and is not ready": {
			pod:   []func(*corev1.Pod){placed(false, ends(3, exited, running(81, true))), neverTrue},
			state: opi.InstanceCrashed, since: 80, reason: "exited with status 7",
		},
		"the fourth run is being made": {
			pod:   []func(*corev1.Pod){placed(false, ends(3, exited, waiting("ContainerCreating", ""))), neverTrue},
			state: opi.InstanceCrashed, since: 80, reason: "exited with status 7",
		},
		"the fourth run is ready": {
			pod:   []func(*corev1.Pod){placed(true, ends(3, exited, running(81, true)))},
			state: opi.InstanceRunning, since: 81,
		},
		"the fourth run is ready and a sidecar of somebody else's is not": {
			pod: []func(*corev1.Pod){placed(false, ends(3, exited, running(81, true))), neverTrue, func(pod *corev1.Pod) {
				pod.Status.ContainerStatuses[1].Ready = true
			}},
			state: opi.InstanceClaimed, since: 81,
		},
		"it was ready in an earlier run": {
			pod:   []func(*corev1.Pod){placed(false, ends(9, exited, running(81, false)))},
			state: opi.InstanceClaimed, since: 81,
		},
		"the kubelet set its start time a second earlier": {
			pod: []func(*corev1.Pod){placed(false, ends(3, exited, running(81, false))), neverTrue, func(pod *corev1.Pod) {
				startTime := stamp(1)
				pod.Status.StartTime = &startTime
			}},
			state: opi.InstanceCrashed, since: 80, reason: "exited with status 7",
		},
		"no start time": {
			pod: []func(*corev1.Pod){placed(false, ends(3, exited, running(81, false))), func(pod *corev1.Pod) {
				pod.Status.StartTime = nil
				pod.Status.Conditions = []corev1.PodCondition{condition(corev1.ContainersReady, corev1.ConditionFalse, 0, "", "")}
			}},
			state: opi.InstanceCrashed, since: 80, reason: "exited with status 7",
		},
		"how the last run ended is not known": {
			pod:   []func(*corev1.Pod){placed(false, ends(3, nil, running(81, false))), neverTrue},
			state: opi.InstanceCrashed, since: 2, reason: "ended again and again before it was ready",
		},
		"its image can't be pulled any more": {
			pod:   []func(*corev1.Pod){placed(false, ends(3, exited, waiting("ErrImagePull", "manifest unknown"))), neverTrue},
			state: opi.InstanceCrashed, since: 2, reason: "the platform can't fetch the app's image at present (not found); it tries again",
		},
		"it is being deleted": {
			pod:   []func(*corev1.Pod){placed(false, ends(3, exited, running(81, false))), neverTrue, deletedAt(90, 15)},
			state: opi.InstanceUnclaimed, since: 90,
		},
		"its node is silent": {
			pod: []func(*corev1.Pod){placed(false, ends(3, exited, running(81, false))), neverTrue, func(pod *corev1.Pod) {
				pod.Status.Phase = corev1.PodUnknown
			}},
			state: opi.InstanceUnknown, since: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			v, now := idleView(t)
			now.SetTime(at(100))
			list(g, v.pods, 10, ownedPod("uid-a", "pod-uid", 0, 5, c.pod...))
			instance := v.Instances(LRP{UID: "uid-a", Instances: 1, Created: start})[0]
			g.Expect(instance.State).To(Equal(c.state))
			g.Expect(instance.PlacementError).To(Equal(c.reason))
			g.Expect(instance.Since).To(Equal(at(c.since)))
		})
	}
}
