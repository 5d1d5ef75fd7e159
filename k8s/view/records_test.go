package view

import (
	"testing"

	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

func restarted(times int32, status corev1.ContainerStatus) corev1.ContainerStatus {
	status.RestartCount = times
	return status
}

func phase(p corev1.PodPhase, reason, message string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Status.Phase, pod.Status.Reason, pod.Status.Message = p, reason, message }
}

func disrupted(seconds int, reason, message string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status.Conditions = append(pod.Status.Conditions, condition(corev1.DisruptionTarget, corev1.ConditionTrue, seconds, reason, message))
	}
}

// withSidecars makes the pod's instance one of several processes.
func withSidecars(pod *corev1.Pod) {
	pod.Spec.Containers[0].Args = []string{"--source=APP/PROC/WEB", `--sidecar={"source":"APP/PROC/WEB/SIDECAR/LOGGER","command":"./logger"}`}
}

func TestInstanceRecord(t *testing.T) {
	died := ended(30, 1, 0, "Error", "")
	crash := func(status int32, description string, seconds int) gomegatypes.GomegaMatcher {
		return HaveValue(Equal(opi.Crash{ExitStatus: &status, Description: description, At: at(seconds)}))
	}
	evicted := disrupted(40, "EvictionByEvictionAPI", "Eviction API: evicting")
	for name, c := range map[string]struct {
		pod     []func(*corev1.Pod)
		crashes int
		last    gomegatypes.GomegaMatcher
		moves   string
		ready   *bool
		silent  bool
	}{
		"just created":     {},
		"starting":         {pod: []func(*corev1.Pod){placed(false, running(5, false))}},
		"ready":            {pod: []func(*corev1.Pod){placed(true, running(5, true))}, ready: new(true)},
		"not ready":        {pod: []func(*corev1.Pod){placed(false, running(5, true))}, ready: new(false)},
		"nobody hears":     {pod: []func(*corev1.Pod){placed(false, running(5, true))}, silent: true},
		"can't be pulled":  {pod: []func(*corev1.Pod){placed(false, waiting("ErrImagePull", "no"))}},
		"has just died":    {pod: []func(*corev1.Pod){placed(false, terminated(died))}, crashes: 1, last: crash(1, "exited with status 1", 30)},
		"ended as it does": {pod: []func(*corev1.Pod){placed(false, terminated(ended(30, 0, 0, "Completed", "")))}, crashes: 1, last: crash(0, "exited with status 0", 30)},
		"one of several processes ended": {
			pod:     []func(*corev1.Pod){withSidecars, placed(false, terminated(ended(30, 3, 0, "Error", "APP/PROC/WEB/SIDECAR/LOGGER: Exited with status 3")))},
			crashes: 1, last: crash(3, "APP/PROC/WEB/SIDECAR/LOGGER: Exited with status 3", 30),
		},
		"one of several ended as it does": {
			pod:     []func(*corev1.Pod){withSidecars, placed(false, terminated(ended(30, 0, 0, "Completed", "APP/PROC/WEB: Exited with status 0")))},
			crashes: 1, last: crash(0, "APP/PROC/WEB: Exited with status 0", 30),
		},
		"one of several was killed for memory": {
			pod:     []func(*corev1.Pod){withSidecars, placed(false, terminated(ended(30, 137, 0, "OOMKilled", "APP/PROC/WEB/SIDECAR/LOGGER: Exited with status 137")))},
			crashes: 1, last: crash(137, "APP/PROC/WEB/SIDECAR/LOGGER: Out of memory: limit 256M", 30),
		},
		"another text of one of several": {
			pod:     []func(*corev1.Pod){withSidecars, placed(false, terminated(ended(30, 3, 0, "Error", "APP/PROC/WEB: Exited with status 4")))},
			crashes: 1, last: crash(3, "exited with status 3", 30),
		},
		"a text of an app without sidecars": {
			pod:     []func(*corev1.Pod){placed(false, terminated(ended(30, 3, 0, "Error", "APP/PROC/WEB: Exited with status 3")))},
			crashes: 1, last: crash(3, "exited with status 3", 30),
		},
		"runs again":       {pod: []func(*corev1.Pod){placed(false, after(died, running(31, false)))}, crashes: 1, last: crash(1, "exited with status 1", 30)},
		"starts again":     {pod: []func(*corev1.Pod){placed(false, after(died, waiting("ContainerCreating", "")))}, crashes: 1, last: crash(1, "exited with status 1", 30)},
		"has died again":   {pod: []func(*corev1.Pod){placed(false, after(died, terminated(ended(60, 137, 0, "OOMKilled", ""))))}, crashes: 2, last: crash(137, "out of memory: limit 256M", 60)},
		"waits to restart": {pod: []func(*corev1.Pod){placed(false, after(died, waiting("CrashLoopBackOff", "back-off")))}, crashes: 2, last: crash(1, "exited with status 1", 30)},
		"waits for its image after it died": {
			pod: []func(*corev1.Pod){placed(false, restarted(4, after(died, waiting("ErrImagePull", "no"))))}, crashes: 5, last: crash(1, "exited with status 1", 30),
		},
		"could not be started": {
			pod: []func(*corev1.Pod){placed(false, terminated(ended(0, 128, 0, "StartError", `exec: "/app": no such file or directory`)))}, crashes: 1, last: crash(128, `can't be started: exec: "/app": no such file or directory`, 0),
		},
		"was lost with its node's memory": {
			pod: []func(*corev1.Pod){placed(false, after(&corev1.ContainerStateTerminated{ExitCode: 137, Reason: "ContainerStatusUnknown", Message: "not located"}, waiting("ErrImagePull", "no")))}, crashes: 1,
			last: HaveValue(Equal(opi.Crash{ExitStatus: new(int32(137)), Description: "was lost: its node was restarted, or lost track of it"})),
		},
		"died unseen":                 {pod: []func(*corev1.Pod){placed(true, restarted(7, running(60, true)))}, crashes: 7, last: BeNil(), ready: new(true)},
		"ended because it is stopped": {pod: []func(*corev1.Pod){placed(false, after(died, terminated(ended(61, 143, 0, "Error", "")))), deletedAt(60, 15)}, crashes: 1, last: crash(1, "exited with status 1", 30)},
		"ended when it was stopped":   {pod: []func(*corev1.Pod){placed(false, terminated(ended(60, 1, 0, "Error", ""))), deletedAt(60, 15)}},
		"died long before it was stopped": {
			pod: []func(*corev1.Pod){placed(false, terminated(ended(50, 1, 0, "Error", ""))), deletedAt(60, 15)}, crashes: 1, last: crash(1, "exited with status 1", 50),
		},
		"waits to restart and is stopped": {
			pod: []func(*corev1.Pod){placed(false, after(died, waiting("CrashLoopBackOff", ""))), deletedAt(60, 15)}, crashes: 2, last: crash(1, "exited with status 1", 30),
		},
		"ended in good order, and is about to go": {
			pod: []func(*corev1.Pod){placed(false, terminated(ended(61, 0, 0, "Completed", ""))), deletedAt(60, 15), phase(corev1.PodSucceeded, "", "")},
		},
		"failed in good order": {
			pod: []func(*corev1.Pod){placed(false, terminated(ended(61, 143, 0, "Error", ""))), deletedAt(60, 15), phase(corev1.PodFailed, "", "")},
		},
		"is to be evicted":          {pod: []func(*corev1.Pod){placed(true, running(5, true)), evicted}, ready: new(true)},
		"was not evicted after all": {pod: []func(*corev1.Pod){placed(false, restarted(2, running(70, false))), evicted}, crashes: 2, last: BeNil()},
		"is evicted":                {pod: []func(*corev1.Pod){placed(true, running(5, true)), evicted, deletedAt(40, 15)}, moves: "evicted: cell node-1 is being emptied"},
		"was evicted": {
			pod: []func(*corev1.Pod){placed(false, terminated(ended(45, 143, 0, "Error", ""))), evicted, deletedAt(40, 15)}, moves: "evicted: cell node-1 is being emptied",
		},
		"is pressed off by its node": {
			pod:   []func(*corev1.Pod){placed(false, terminated(ended(45, 137, 0, "Error", ""))), disrupted(40, "TerminationByKubelet", "x"), phase(corev1.PodFailed, "Evicted", "The node was low on resource: memory.")},
			moves: "Evicted: The node was low on resource: memory.",
		},
		"was over its disk limit": {
			pod: []func(*corev1.Pod){placed(false, after(died, terminated(ended(60, 137, 0, "Error", "")))), deletedAt(60, 0),
				phase(corev1.PodFailed, "Evicted", `Container opi exceeded its local ephemeral storage limit "512Mi". `)},
			crashes: 2, last: crash(137, "out of disk: limit 512M", 60),
		},
		"was over its disk limit, on a node that is drained meanwhile": {
			pod: []func(*corev1.Pod){placed(false, terminated(ended(45, 0, 0, "Completed", ""))), evicted, deletedAt(45, 0),
				phase(corev1.PodFailed, "Evicted", `Usage of EmptyDir volume "data" exceeds the limit "1Gi". `)},
			crashes: 1, last: crash(0, "out of disk: limit 512M", 45),
		},
		"was over its disk limit, and nothing is known of its container": {
			pod:     []func(*corev1.Pod){placed(false, corev1.ContainerStatus{}), phase(corev1.PodFailed, "Evicted", `Pod ephemeral local storage usage exceeds the total limit of containers 512Mi. `)},
			crashes: 1, last: HaveValue(Equal(opi.Crash{Description: "out of disk: limit 512M"})),
		},
		"is refused by its node": {pod: []func(*corev1.Pod){phase(corev1.PodFailed, "OutOfmemory", "Node didn't have enough resource: memory, requested: 2, used: 1, capacity: 2")}, moves: "OutOfmemory: Node didn't have enough resource: memory"},
		"its node is gone": {
			pod: []func(*corev1.Pod){placed(true, running(5, true)), disrupted(40, "DeletionByPodGC", "x"), phase(corev1.PodFailed, "", "")}, moves: "cell node-1 is gone",
		},
		"is preempted": {
			pod: []func(*corev1.Pod){placed(true, running(5, true)), disrupted(40, "PreemptionByScheduler", "x"), deletedAt(40, 15)}, moves: "preempted on cell node-1 by what is more important",
		},
		"its node is tainted": {
			pod:   []func(*corev1.Pod){placed(true, running(5, true)), disrupted(40, "DeletionByTaintManager", "deleting due to NoExecute taint"), deletedAt(40, 15)},
			moves: "cell node-1 must not run it any longer (deleting due to NoExecute taint)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			v, _ := idleView(t)
			pod := v.FromLivePod(ownedPod("set", "guid", 3, 1, c.pod...))
			record := instanceRecord(&pod, c.silent, failedChecks{})
			if c.last == nil {
				c.last = BeNil()
			}
			g.Expect(record.Crashes).To(Equal(c.crashes))
			g.Expect(record.LastCrash).To(c.last)
			g.Expect(record.Rescheduled).To(Equal(c.moves))
			g.Expect(record.Ready).To(Equal(c.ready))
			g.Expect(record.GUID).To(Equal("guid"))
			g.Expect(record.Index).To(Equal(3))
		})
	}
}

func TestRecordsAreOfDesiredInstances(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	told := func(text string) func(*corev1.Pod) {
		return func(pod *corev1.Pod) { pod.Annotations = map[string]string{keys.Told: text} }
	}
	list(g, v.pods, 5, ownedPod("set", "a", 0, 1, told(`{"crashes":4,"ready":true}`)), ownedPod("set", "b", 1, 2, told("?")), ownedPod("set", "c", 2, 3))
	records := v.Records(LRP{UID: "set", Instances: 2, Door: "other"})
	g.Expect(records).To(HaveLen(2))
	g.Expect(records[0].Door).To(Equal(opi.Door("other")))
	g.Expect(records[0].Told).To(Equal(opi.InstanceTold{Crashes: 4, Ready: true}))
	g.Expect(records[1].Told).To(Equal(opi.InstanceTold{}))
}

// withReason gives the end of a container another reason.
func withReason(end *corev1.ContainerStateTerminated, reason string) *corev1.ContainerStateTerminated {
	end.Reason = reason
	return end
}

// unhealthy is an Event that was there once.
func unhealthy(name string, pod string, seconds int, message string) *corev1.Event {
	return unhealthyTimes(name, pod, seconds, seconds, 1, message)
}

func unhealthyTimes(name string, pod string, from, to, times int, message string) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: name, UID: types.UID(name)},
		InvolvedObject: corev1.ObjectReference{UID: types.UID(pod), FieldPath: "spec.containers{opi}"},
		Reason:         "Unhealthy", Message: message, FirstTimestamp: stamp(from), LastTimestamp: stamp(to), Count: int32(times),
	}
}

func TestCrashesOfFailedChecks(t *testing.T) {
	const (
		refused = "dial tcp 10.0.0.7:8080: connect: connection refused"
		silent  = "dial tcp 10.0.0.7:8080: i/o timeout"
	)
	probes := func(pod *corev1.Pod) {
		port := corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8080)}}
		pod.Spec.Containers[0].StartupProbe = &corev1.Probe{ProbeHandler: port, PeriodSeconds: 1, TimeoutSeconds: 1, FailureThreshold: 60}
		pod.Spec.Containers[0].LivenessProbe = &corev1.Probe{ProbeHandler: port, PeriodSeconds: 10, TimeoutSeconds: 1, FailureThreshold: 3}
	}
	http := func(pod *corev1.Pod) {
		probes(pod)
		for _, probe := range []*corev1.Probe{pod.Spec.Containers[0].StartupProbe, pod.Spec.Containers[0].LivenessProbe} {
			probe.ProbeHandler = corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/health", Port: intstr.FromInt32(8080)}}
		}
	}
	exec := func(pod *corev1.Pod) {
		probes(pod)
		for _, probe := range []*corev1.Probe{pod.Spec.Containers[0].StartupProbe, pod.Spec.Containers[0].LivenessProbe} {
			probe.TimeoutSeconds = 11
			probe.ProbeHandler = corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/lifecycle/launch", "check", "1s", "8080", "8081"}}}
		}
	}
	run := func(from, to int, status int32) *corev1.ContainerStateTerminated {
		end := ended(to, status, 0, "Error", "")
		end.StartedAt = stamp(from)
		return end
	}
	for name, c := range map[string]struct {
		edit   func(*corev1.Pod)
		end    *corev1.ContainerStateTerminated
		passed bool
		events []*corev1.Event
		want   string
	}{
		"a check of several ports": {
			edit: exec, end: run(10, 71, 0), events: []*corev1.Event{unhealthy("e", "guid", 69, "Startup probe failed: port 8081 refused the connection\n")},
			want: "failed health check: port 8081 refused the connection (not passed within 60s of the start)",
		},
		"a check of several ports that hangs": {
			edit: exec, end: run(10, 71, 0), events: []*corev1.Event{unhealthy("e", "guid", 69, `Startup probe failed: command timed out: "/lifecycle/launch check 1s 8080 8081" timed out after 11s`)},
			want: "failed health check: no answer within 11s (not passed within 60s of the start)",
		},
		"the start took too long": {
			end: run(10, 71, 0), events: []*corev1.Event{unhealthy("e", "guid", 69, "Startup probe failed: "+refused)},
			want: "failed health check: port 8080 refused the connection (not passed within 60s of the start)",
		},
		"kubelet said it only at first": {
			end: run(10, 71, 143), events: []*corev1.Event{unhealthy("e", "guid", 30, "Startup probe failed: "+silent)},
			want: "failed health check: port 8080 did not answer within 1s (not passed within 60s of the start)",
		},
		"kubelet said nothing":                  {end: run(10, 71, 143), want: "failed health check: port 8080 did not answer within 1s (not passed within 60s of the start)"},
		"nothing was said, and it died itself":  {end: run(10, 71, 1), want: "exited with status 1"},
		"the check was passed":                  {end: run(10, 71, 143), passed: true, want: "exited with status 143 (killed by signal 15)"},
		"it died while it started":              {end: run(10, 30, 1), events: []*corev1.Event{unhealthy("e", "guid", 29, "Startup probe failed: "+refused)}, want: "exited with status 1"},
		"long after a slow start":               {end: run(10, 3600, 1), events: []*corev1.Event{unhealthy("e", "guid", 29, "Startup probe failed: "+refused)}, want: "exited with status 1"},
		"what was said was of the run before":   {end: run(10, 30, 1), events: []*corev1.Event{unhealthy("e", "guid", 9, "Liveness probe failed: "+refused)}, want: "exited with status 1"},
		"what was said was of another pod":      {end: run(10, 100, 137), passed: true, events: []*corev1.Event{unhealthy("e", "other", 99, "Liveness probe failed: "+refused)}, want: "exited with status 137 (killed by signal 9)"},
		"what was said was of readiness":        {end: run(10, 100, 137), passed: true, events: []*corev1.Event{unhealthy("e", "guid", 99, "Readiness probe failed: "+refused)}, want: "exited with status 137 (killed by signal 9)"},
		"out of memory all the same":            {end: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled", StartedAt: stamp(10), FinishedAt: stamp(100)}, events: []*corev1.Event{unhealthy("e", "guid", 99, "Liveness probe failed: "+refused)}, want: "out of memory: limit 256M"},
		"a child was killed for memory before":  {end: withReason(run(10, 100, 3), "OOMKilled"), passed: true, want: "exited with status 3, after a process ran out of memory: limit 256M"},
		"a child was killed, and it ended well": {end: withReason(run(10, 100, 0), "OOMKilled"), passed: true, want: "exited with status 0, after a process ran out of memory: limit 256M"},
		"a child was killed, and later it stopped to answer": {
			end: withReason(run(10, 100, 137), "OOMKilled"), passed: true, events: []*corev1.Event{unhealthyTimes("e", "guid", 78, 98, 3, "Liveness probe failed: "+silent)},
			want: "failed health check: port 8080 did not answer within 1s, after a process ran out of memory: limit 256M",
		},
		"a child was killed, and the start took too long": {
			end: withReason(run(10, 71, 137), "OOMKilled"), events: []*corev1.Event{unhealthy("e", "guid", 69, "Startup probe failed: "+refused)},
			want: "failed health check: port 8080 refused the connection (not passed within 60s of the start), after a process ran out of memory: limit 256M",
		},
		"it was killed itself when the start had taken long": {end: withReason(run(10, 71, 137), "OOMKilled"), want: "out of memory: limit 256M"},
		"a failure that it lived through":                    {end: run(10, 100, 1), passed: true, events: []*corev1.Event{unhealthy("e", "guid", 60, "Liveness probe failed: "+silent)}, want: "exited with status 1"},
		"it stopped to answer":                               {end: run(10, 100, 137), passed: true, events: []*corev1.Event{unhealthy("d", "guid", 78, "Liveness probe failed: "+refused), unhealthyTimes("e", "guid", 88, 98, 2, "Liveness probe failed: "+silent)}, want: "failed health check: port 8080 did not answer within 1s"},
		"it answers no more because it is over":              {end: run(10, 100, 1), passed: true, events: []*corev1.Event{unhealthy("e", "guid", 100, "Liveness probe failed: "+refused)}, want: "exited with status 1"},
		"it ended well after one failure":                    {end: run(10, 100, 0), passed: true, events: []*corev1.Event{unhealthyTimes("e", "guid", 20, 98, 5, "Liveness probe failed: "+refused)}, want: "exited with status 0"},
		"kubelet said it once, and killed it":                {end: run(10, 100, 137), passed: true, events: []*corev1.Event{unhealthy("e", "guid", 98, "Liveness probe failed: "+refused)}, want: "failed health check: port 8080 refused the connection"},
		"it answered with an error":                          {edit: http, end: run(10, 100, 0), passed: true, events: []*corev1.Event{unhealthyTimes("e", "guid", 78, 98, 3, "Liveness probe failed: HTTP probe failed with statuscode: 503")}, want: "failed health check: GET /health on port 8080 was answered with status 503"},
		"its HTTP did not answer":                            {edit: http, end: run(10, 100, 0), passed: true, events: []*corev1.Event{unhealthyTimes("e", "guid", 78, 98, 3, `Liveness probe failed: Get "http://10.0.0.7:8080/health": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`)}, want: "failed health check: GET /health on port 8080 did not answer within 1s"},
		"something that kubelet did not say yet":             {edit: http, end: run(10, 100, 0), passed: true, events: []*corev1.Event{unhealthyTimes("e", "guid", 78, 98, 3, "Liveness probe failed: strange")}, want: "failed health check: GET /health on port 8080: strange"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			v, _ := idleView(t)
			events := make([]any, len(c.events))
			for i, event := range c.events {
				events[i] = event
			}
			g.Expect(v.checkEvents.Replace(events, "1")).To(Succeed())
			if c.edit == nil {
				c.edit = probes
			}
			list(g, v.pods, 1, ownedPod("set", "guid", 0, 1, c.edit, placed(c.passed, running(10, c.passed))))
			g.Expect(v.pods.Update(ownedPod("set", "guid", 0, 2, c.edit, placed(false, terminated(c.end))))).To(Succeed())
			lrp := LRP{UID: "set", Instances: 1}
			g.Expect(v.Records(lrp)[0].LastCrash.Description).To(Equal(c.want))
			g.Expect(v.Instances(lrp)[0].PlacementError).To(Equal(c.want), "both say the same")

			described := func(status corev1.ContainerStatus) string {
				g.Expect(v.pods.Update(ownedPod("set", "guid", 0, 3, c.edit, placed(false, status)))).To(Succeed())
				return v.Records(lrp)[0].LastCrash.Description
			}
			backOff := waiting("CrashLoopBackOff", "")
			backOff.LastTerminationState.Terminated = c.end
			g.Expect(described(backOff)).To(Equal(c.want), "while it waits to be started again")
			g.Expect(described(after(c.end, running(101, false)))).To(Equal(c.want), "once it runs again")
		})
	}
}

func TestFailedChecksAreForgottenWithTheirEvents(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	const message = "Startup probe failed: x"
	failure := func(from, to, times int) checkFailure {
		return checkFailure{from: at(from), at: at(to), times: times, message: message}
	}
	g.Expect(v.checkEvents.Add(unhealthyTimes("e", "guid", 1, 3, 3, message))).To(Succeed())
	g.Expect(v.checkEvents.Add(unhealthy("f", "guid", 3, "Liveness probe failed: z"))).To(Succeed())
	for n := 4; n <= 5; n++ {
		g.Expect(v.checkEvents.Update(unhealthyTimes("e", "guid", 1, n, n, message))).To(Succeed())
	}
	g.Expect(v.checkEvents.Update(unhealthyTimes("e", "guid", 1, 5, 5, message))).To(Succeed())
	g.Expect(v.checkEvents.of("guid").startup).To(Equal([]checkFailure{failure(1, 3, 3), failure(4, 4, 1), failure(5, 5, 1)}))
	g.Expect(v.checkEvents.of("guid").liveness).To(HaveLen(1))
	for n := 6; n <= 50; n++ {
		g.Expect(v.checkEvents.Update(unhealthyTimes("e", "guid", 1, n, n, message))).To(Succeed())
	}
	g.Expect(v.checkEvents.of("guid").startup).To(HaveLen(maxFailures))
	for _, name := range []string{"e", "f", "never seen"} {
		g.Expect(v.checkEvents.Delete(unhealthy(name, "guid", 1, ""))).To(Succeed())
	}
	g.Expect(v.checkEvents.events).To(BeEmpty())
	g.Expect(v.checkEvents.pods).To(BeEmpty())
}
