package tasks

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures/texts"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// exited ends the container d ago.
func exited(status int32, reason, message string, d time.Duration) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: status, Reason: reason, Message: message, FinishedAt: ago(d),
		}}
	}
}

func waiting(reason, message string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status.Phase = corev1.PodPending
		pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
}

func startedAgo(d time.Duration) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Status.StartTime = ptr.To(ago(d)) }
}

func podFailed(reason, message string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status.Phase, pod.Status.Reason, pod.Status.Message = corev1.PodFailed, reason, message
	}
}

// deletedAgo has a grace of 10 s.
func deletedAgo(d time.Duration) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = ptr.To(ago(d-10*time.Second)), ptr.To(int64(10))
	}
}

func disrupted(reason string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason})
	}
}

func unschedulable(since time.Duration, message string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Spec.NodeName = ""
		pod.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable, Message: message, LastTransitionTime: ago(since),
		}}}
	}
}

func finished(kind batchv1.JobConditionType, reason string, since time.Duration) func(*batchv1.Job) {
	return func(job *batchv1.Job) {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{
			Type: kind, Status: corev1.ConditionTrue, Reason: reason, LastTransitionTime: ago(since),
		})
	}
}

func jobDeleted(job *batchv1.Job) { job.DeletionTimestamp = ptr.To(ago(0)) }

func stoppedAgo(d time.Duration) func(*batchv1.Job) {
	return func(job *batchv1.Job) {
		job.Spec.Suspend = ptr.To(true)
		job.Annotations[keys.Stopped] = `{"at":"` + ago(d).Format(time.RFC3339Nano) + `"}`
	}
}

func TestTasksThatHaveEnded(t *testing.T) {
	type pods = []func(*corev1.Pod)
	type jobs = []func(*batchv1.Job)
	const full = "0/2 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint {x: }."
	for name, c := range map[string]struct {
		job     jobs
		pod     pods // nil: there is no pod
		reason  string
		message string
	}{
		"well":                  {pod: pods{exited(0, "Completed", "", time.Second)}, reason: "succeeded"},
		"with a status":         {pod: pods{exited(3, "Error", "", time.Second)}, reason: "exit", message: "Exited with status 3"},
		"out of memory":         {pod: pods{exited(137, "OOMKilled", "", time.Second)}, reason: "memory", message: "Exited with status 137 (out of memory: limit 256M)"},
		"well, a child killed":  {pod: pods{exited(0, "OOMKilled", "", time.Second)}, reason: "succeeded"},
		"later, a child killed": {pod: pods{exited(3, "OOMKilled", "", time.Second)}, reason: "exit", message: "Exited with status 3, after a process ran out of memory: limit 256M"},
		"killed":                {pod: pods{exited(137, "Error", "", time.Second)}, reason: "killed", message: "Exited with status 137 (killed, mostly a sign that there was not enough memory: limit 256M)"},
		"not startable":         {pod: pods{exited(128, "StartError", `runc create failed: exec: "nope": not found: unknown`, time.Second)}, reason: "start", message: `The command could not be started: exec: "nope": not found`},
		"the node restarted":    {pod: pods{exited(255, "Unknown", "", time.Second)}, reason: "interrupted", message: "The task was interrupted: its node was restarted, or lost track of it"},
		"the container lost":    {pod: pods{exited(137, "ContainerStatusUnknown", "", time.Second)}, reason: "interrupted", message: "The task was interrupted: its node was restarted, or lost track of it"},
		"well, Job deleted":     {job: jobs{jobDeleted}, pod: pods{exited(0, "Completed", "", time.Minute), deletedAgo(time.Second)}, reason: "succeeded"},
		"with a status, then":   {job: jobs{jobDeleted}, pod: pods{exited(3, "Error", "", time.Minute), deletedAgo(time.Second)}, reason: "exit", message: "Exited with status 3"},

		"canceled":                {job: jobs{stoppedAgo(time.Second)}, pod: pods{}, reason: "canceled", message: "task was cancelled"},
		"canceled, pod gone":      {job: jobs{stoppedAgo(time.Hour)}, reason: "canceled", message: "task was cancelled"},
		"canceled, exits well":    {job: jobs{stoppedAgo(5 * time.Second)}, pod: pods{exited(0, "Completed", "", 4*time.Second), deletedAgo(5 * time.Second)}, reason: "canceled", message: "task was cancelled"},
		"canceled, at once":       {job: jobs{stoppedAgo(5*time.Second - time.Millisecond)}, pod: pods{exited(143, "Error", "", 5*time.Second)}, reason: "canceled", message: "task was cancelled"},
		"canceled after it ended": {job: jobs{stoppedAgo(time.Second)}, pod: pods{exited(0, "Completed", "", 5*time.Second)}, reason: "succeeded"},
		"canceled after failing":  {job: jobs{stoppedAgo(time.Second)}, pod: pods{exited(4, "Error", "", 5*time.Second)}, reason: "exit", message: "Exited with status 4"},
		"canceled with nonsense":  {job: jobs{func(job *batchv1.Job) { job.Annotations[keys.Stopped] = "yes" }}, pod: pods{}, reason: "canceled", message: "task was cancelled"},
		"canceled before evicted": {job: jobs{stoppedAgo(time.Second)}, pod: pods{podFailed("Evicted", "x")}, reason: "canceled", message: "task was cancelled"},

		"too late": {job: jobs{func(job *batchv1.Job) { job.Spec.Template.Spec.ActiveDeadlineSeconds = ptr.To(int64(90)) }},
			pod:    pods{exited(0, "Completed", "", time.Second), podFailed("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")},
			reason: "timeout", message: "The task took longer than 90 s and was stopped"},
		"too late, the Job": {job: jobs{finished(batchv1.JobFailed, "DeadlineExceeded", 0), func(job *batchv1.Job) { job.Spec.Template.Spec.ActiveDeadlineSeconds = ptr.To(int64(120)) }},
			reason: "timeout", message: "The task took longer than 2 min and was stopped"},
		"out of disk": {pod: pods{exited(137, "Error", "", time.Second), podFailed("Evicted", `Container opi-task exceeded its local ephemeral storage limit "512Mi". `)},
			reason: "disk", message: "The task ran out of disk: limit 512M"},
		"the node's memory": {pod: pods{podFailed("Evicted", "The node was low on resource: memory. ")},
			reason: "interrupted", message: "The task was interrupted: its node ran out of memory or disk"},
		"evicted":     {pod: pods{podFailed("Evicted", "because")}, reason: "interrupted", message: "The task was interrupted: it was evicted from its node"},
		"no room now": {pod: pods{podFailed("OutOfcpu", "too much")}, reason: "unschedulable", message: "The task could not begin: its node had no room left after all"},
		"refused":     {pod: pods{podFailed("UnexpectedAdmissionError", "no")}, reason: "internal", message: "The task could not begin: its node refused it"},
		"shutdown":    {pod: pods{podFailed("Terminated", "imminent node shutdown")}, reason: "interrupted", message: "The task was interrupted: its node was needed for something else or shut down"},

		"node lost":           {pod: pods{disrupted("DeletionByTaintManager"), deletedAgo(time.Minute)}, reason: "node-lost", message: "The task was interrupted: its node was lost"},
		"node silent":         {pod: pods{deletedAgo(time.Minute)}, reason: "node-lost", message: "The task was interrupted: its node was lost"},
		"preempted":           {pod: pods{exited(143, "Error", "", time.Second), disrupted("PreemptionByScheduler"), deletedAgo(2 * time.Second)}, reason: "interrupted", message: "The task was interrupted: something more important needed its place"},
		"drained, exits well": {pod: pods{exited(0, "Completed", "", time.Second), disrupted("EvictionByEvictionAPI"), deletedAgo(2 * time.Second)}, reason: "interrupted", message: "The task was interrupted: its node is being emptied for maintenance"},
		"pod deleted": {job: jobs{finished(batchv1.JobFailed, "BackoffLimitExceeded", 0)}, pod: pods{exited(143, "Error", "", 2*time.Second), deletedAgo(2 * time.Second)},
			reason: "interrupted", message: "The task was interrupted: somebody deleted its pod in Kubernetes"},
		"pod deleted, and kubelet has done its part": {job: jobs{finished(batchv1.JobFailed, "BackoffLimitExceeded", 0)},
			pod: pods{exited(143, "Error", "", 3*time.Second), func(pod *corev1.Pod) {
				pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = ptr.To(ago(time.Second)), ptr.To(int64(0))
			}},
			reason: "interrupted", message: "The task was interrupted: somebody deleted its pod in Kubernetes"},
		"pod gone": {job: jobs{finished(batchv1.JobFailed, "BackoffLimitExceeded", 16*time.Second)}, reason: "interrupted", message: "The task was interrupted: its pod is gone"},
		"Job suspended by hand": {job: jobs{func(job *batchv1.Job) { job.Spec.Suspend = ptr.To(true) }}, pod: pods{deletedAgo(0)},
			reason: "interrupted", message: "The task was interrupted: somebody suspended its Job in Kubernetes"},
		"Job deleted": {job: jobs{jobDeleted}, pod: pods{}, reason: "deleted", message: "The task was interrupted: somebody deleted its Job in Kubernetes"},

		"no room": {pod: pods{unschedulable(5*time.Minute, full)}, reason: "unschedulable", message: "There was no room to run the task within 5 min (" + full + ")"},
		"no node": {pod: pods{unschedulable(5*time.Minute, "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.")},
			reason: "unschedulable", message: "There is no node on which the task may run (0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.)"},
		"no pod": {job: jobs{func(job *batchv1.Job) { job.Status.StartTime = ptr.To(ago(5 * time.Minute)) }},
			reason: "unschedulable", message: "The task could not begin within 5 min: Kubernetes made no pod for it"},
		"droplet not pulled": {pod: pods{startedAgo(3 * time.Minute), waiting("ImagePullBackOff", `Back-off pulling image "registry.example/d:1": ErrImagePull: registry.example/d:1: not found`)},
			reason: "image-pull", message: "The task could not be started: the platform can't fetch the app's image at present (not found)"},
		"image not pulled": {job: jobs{dockerJob}, pod: pods{startedAgo(3 * time.Minute), waiting("ErrImagePull", "docker.io/org/app:1: not found")},
			reason: "image-pull", message: "The task could not be started: the image org/app:1 can't be pulled: not found"},
		"no such name": {job: jobs{dockerJob}, pod: pods{waiting("InvalidImageName", "invalid reference format")},
			reason: "image-pull", message: "The task could not be started: the image org/app:1 can't be pulled: it is not a reference to an image"},
		"not made": {pod: pods{startedAgo(3 * time.Minute), waiting("CreateContainerConfigError", "image will run as root")},
			reason: "container", message: "The task could not be started: " + opi.ImageRunsAsRoot},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			job := testJob(t, c.job...)
			var found []*corev1.Pod
			if c.pod != nil {
				found = append(found, testPod(job, c.pod...))
			}
			verdict := testSettings().judge(job, found, now)
			g.Expect(verdict.end).To(HaveValue(Equal(end{reason: c.reason, message: c.message})))
			g.Expect(verdict.noPod).To(Equal(name == "no pod"))
		})
	}
}

func TestTasksThatAreUnderWay(t *testing.T) {
	type pods = []func(*corev1.Pod)
	for name, c := range map[string]struct {
		job   func(*batchv1.Job)
		pod   pods
		after time.Duration
	}{
		"running":                                    {pod: pods{}},
		"waiting for a pod":                          {after: 4 * time.Minute},
		"suspended by hand":                          {job: func(job *batchv1.Job) { job.Spec.Suspend = ptr.To(true) }},
		"waiting for a node":                         {pod: pods{unschedulable(time.Minute, "0/1 nodes are available: 1 Insufficient cpu.")}, after: 4 * time.Minute},
		"a pull failed":                              {pod: pods{waiting("ErrImagePull", "timeout")}, after: 130 * time.Second},
		"the container is made":                      {pod: pods{waiting("ContainerCreating", "")}},
		"being deleted and running":                  {pod: pods{deletedAgo(0)}, after: 26 * time.Second},
		"deleted and ended, and nobody has said why": {pod: pods{exited(143, "Error", "", 0), deletedAgo(0)}, after: 26 * time.Second},
		"the Job is done and its pod's end not seen": {job: finished(batchv1.JobComplete, "CompletionsReached", 0), pod: pods{}, after: 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			job := testJob(t)
			if c.job != nil {
				c.job(job)
			}
			var found []*corev1.Pod
			if c.pod != nil {
				found = append(found, testPod(job, c.pod...))
			}
			g.Expect(testSettings().judge(job, found, now)).To(Equal(verdict{after: c.after}))
		})
	}
}

// The callback's form is Cloud Controller's (contract 3).
func TestDecide(t *testing.T) {
	g := NewWithT(t)
	w := newWorld()
	job := testJob(t)
	decide := func(pods ...*corev1.Pod) string {
		outcome, wait, err := w.Decide(context.Background(), job, pods)
		g.Expect(err).NotTo(HaveOccurred())
		if outcome == nil {
			return wait.String()
		}
		return callback(outcome)
	}
	g.Expect(decide()).To(Equal("4m0s"))
	for range 2 {
		g.Expect(decide(testPod(job, exited(0, "Completed", "", 0)))).To(MatchJSON(`{"task_guid":"` + testGUID + `","failed":false,"failure_reason":""}`))
	}
	g.Expect(testutil.GatherAndCompare(w.registered, strings.NewReader(`# HELP irene_tasks_total Tasks that have ended, by reason (succeeded, or why not).
# TYPE irene_tasks_total counter
irene_tasks_total{reason="succeeded"} 1
`), "irene_tasks_total")).To(Succeed(), "a decision that is made again is counted once")
	g.Expect(decide(testPod(job, exited(1, "Error", "", 0)))).To(MatchJSON(`{"task_guid":"` + testGUID + `","failed":true,"failure_reason":"Exited with status 1"}`))
	long := decide(testPod(job, exited(128, "StartError", `exec: "`+strings.Repeat("é", 4000), 0)))
	g.Expect(long).To(HaveSuffix(`é…"}`))
	g.Expect(len(long)).To(BeNumerically("<", opi.MaxMessageBytes+150))
}

// An outcome that can't be kept is refused again and again, and the task never ends.
func TestEveryOutcomeCanBeKept(t *testing.T) {
	g := NewWithT(t)
	w := newWorld()
	job := testJob(t)
	for _, text := range texts.Awkward() {
		for what, change := range map[string]func(*corev1.Pod){
			"a kubelet's message":   waiting("InvalidImageName", text),
			"a runtime's message":   exited(128, "StartError", text, 0),
			"an eviction's message": podFailed("Evicted", text),
			"a node's message":      podFailed("OutOfcpu", text),
		} {
			from := fmt.Sprintf("%s of %d bytes %q…", what, len(text), text[:min(len(text), 10)])
			outcome, _, err := w.Decide(t.Context(), job, []*corev1.Pod{testPod(job, change)})
			g.Expect(err).NotTo(HaveOccurred(), from)
			g.Expect(outcome).NotTo(BeNil(), from)
			g.Expect(outcome.Validate()).To(Succeed(), from)
			var body struct {
				FailureReason string `json:"failure_reason"`
			}
			g.Expect(json.Unmarshal([]byte(callback(outcome)), &body)).To(Succeed(), from)
			g.Expect(body.FailureReason == opi.PlainText(body.FailureReason, opi.MaxMessageBytes)).To(BeTrue(), from)
		}
	}
}

func TestWhyThereIsNoPod(t *testing.T) {
	g := NewWithT(t)
	job := testJob(t)
	w := newWorld(&corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: job.Namespace, Name: "e"},
		InvolvedObject: corev1.ObjectReference{UID: job.UID}, Reason: "FailedCreate", Message: "exceeded quota",
	})
	w.clock.SetTime(now.Add(time.Hour))
	outcome, _, err := w.Decide(context.Background(), job, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(callback(outcome)).To(ContainSubstring("Kubernetes made no pod for it: exceeded quota"))
}
