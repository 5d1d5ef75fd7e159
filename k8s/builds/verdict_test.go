package builds

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/stager"
	"github.com/irene-cf/irene/stager/steps"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

// testJob is a Job as Kubernetes has it a minute after its creation.
func testJob(t *testing.T, changes ...func(*batchv1.Job)) *batchv1.Job {
	t.Helper()
	objects, err := testSettings().Render(testBuild(), testImages(), testCredentials())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	job := objects.Job
	job.UID, job.ResourceVersion, job.CreationTimestamp = "job-uid", "7", ago(time.Minute)
	job.Status.StartTime = ptr.To(ago(time.Minute))
	for _, change := range changes {
		change(job)
	}
	return job
}

func finished(kind batchv1.JobConditionType, reason string, since time.Duration) func(*batchv1.Job) {
	return func(job *batchv1.Job) {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{
			Type: kind, Status: corev1.ConditionTrue, Reason: reason, LastTransitionTime: ago(since),
		})
	}
}

// testPod is the Job's pod on a node, with fetch running.
func testPod(job *batchv1.Job, changes ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: job.Name + "-abcde", Namespace: job.Namespace, Labels: job.Spec.Template.Labels},
		Spec:       *job.Spec.Template.Spec.DeepCopy(),
		Status: corev1.PodStatus{
			Phase: corev1.PodPending, StartTime: ptr.To(ago(50 * time.Second)),
			Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}},
			InitContainerStatuses: []corev1.ContainerStatus{
				{Name: "fetch", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: ago(45 * time.Second)}}},
				{Name: "build", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}},
			},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "push", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}}},
		},
	}
	pod.Spec.NodeName = "node-1"
	for _, change := range changes {
		change(pod)
	}
	return pod
}

// setState sets a step's state; the steps before have succeeded.
func setState(step string, state corev1.ContainerState) func(*corev1.Pod) {
	succeeded := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", FinishedAt: ago(30 * time.Second)}}
	return func(pod *corev1.Pod) {
		before := true
		for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
			for i := range statuses {
				switch {
				case statuses[i].Name == step:
					statuses[i].State, before = state, false
				case before:
					statuses[i].State = succeeded
				}
			}
		}
	}
}

func ended(step string, status int32, reason, message string) func(*corev1.Pod) {
	return setState(step, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: status, Reason: reason, Message: message, FinishedAt: ago(30 * time.Second),
	}})
}

func waiting(step, reason, message string) func(*corev1.Pod) {
	return setState(step, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}})
}

func running(step string) func(*corev1.Pod) {
	return setState(step, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: ago(20 * time.Second)}})
}

// told is the termination message of a step that failed.
func told(t *testing.T, step string, reason steps.Reason, message string) string {
	t.Helper()
	text, err := steps.NewOutcome(step, now, nil, steps.Fail(reason, "%s", message)).Text()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return string(text)
}

// done is the termination message of a step that succeeded.
func done(t *testing.T, step string) string {
	t.Helper()
	outcome := steps.Outcome{Step: step, Seconds: 1.5}
	if step == steps.PushStep {
		outcome.Droplet = &steps.OutcomeDroplet{Bytes: 10, SHA1: "s", SHA256: "t", Manifest: "sha256:m", Result: testResult}
	}
	text, err := outcome.Text()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return string(text)
}

var testResult = "sha256:" + strings.Repeat("cd", 32)

func podFailed(reason, message string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status.Phase, pod.Status.Reason, pod.Status.Message = corev1.PodFailed, reason, message
	}
}

func beingDeleted(grace time.Duration) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.DeletionTimestamp = ptr.To(metav1.NewTime(now.Add(grace))) }
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

func startedAgo(d time.Duration) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Status.StartTime = ptr.To(ago(d)) }
}

func TestBuildsThatHaveFailed(t *testing.T) {
	type pods = []func(*corev1.Pod)
	type jobs = []func(*batchv1.Job)
	full := "0/2 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint {x: }."
	for name, c := range map[string]struct {
		job     jobs
		pod     pods // nil: there is no pod
		reason  string
		id      string
		message string
	}{
		"no buildpack wants the app": {pod: pods{ended("build", 222, "Error", told(t, "build", steps.NoAppDetected, "None of the buildpacks detected a compatible application"))},
			reason: "detect", id: "NoAppDetectedError", message: "None of the buildpacks detected a compatible application"},
		"a buildpack failed": {pod: pods{ended("build", 223, "Error", told(t, "build", steps.CompileFailed, "ruby: exit status 7"))},
			reason: "compile", id: "BuildpackCompileFailed", message: "ruby: exit status 7"},
		"release": {pod: pods{ended("build", 224, "Error", told(t, "build", steps.ReleaseFailed, "x"))}, reason: "release", id: "BuildpackReleaseFailed", message: "x"},
		"a buildpack failed and the message is lost": {pod: pods{ended("build", 225, "Error", "")},
			reason: "supply", id: "BuildpackCompileFailed", message: "Staging failed in step build: supply"},
		"the message is another step's": {pod: pods{ended("build", 226, "Error", told(t, "push", steps.Internal, "forged"))},
			reason: "finalize", id: "BuildpackCompileFailed", message: "Staging failed in step build: finalize"},
		"the message is garbage and so is the status": {pod: pods{ended("build", 7, "Error", "garbage")},
			reason: "internal", id: "StagerError", message: "Staging ended unexpectedly in step build with status 7"},
		"a download failed": {pod: pods{ended("fetch", 66, "Error", told(t, "fetch", steps.DownloadFailed, "the app package can't be had"))},
			reason: "download", id: "StagingError", message: "the app package can't be had"},
		"the droplet was not taken": {pod: pods{ended("push", 69, "Error", told(t, "push", steps.UploadFailed, "Cloud Controller refused"))},
			reason: "upload", id: "StagingError", message: "Cloud Controller refused"},
		"out of memory, the container": {pod: pods{ended("build", 137, "OOMKilled", "")},
			reason: "memory", id: "StagingError", message: "Staging ran out of memory: limit 1024M. Give the app more memory, or make its build need less"},
		"out of memory, whatever user code says": {pod: pods{ended("build", 137, "OOMKilled", told(t, "build", steps.Internal, "forged"))},
			reason: "memory", id: "StagingError", message: "Staging ran out of memory: limit 1024M. Give the app more memory, or make its build need less"},
		"a process was killed and the script went on": {pod: pods{ended("build", 0, "OOMKilled", done(t, "build"))},
			reason: "memory", id: "StagingError", message: "A process was killed in step build because the memory limit of 1024M was exceeded, and staging can't go on after that. Give the app more memory, or make its build need less"},
		"a process was killed and fetch went on": {pod: pods{ended("fetch", 0, "OOMKilled", done(t, "fetch"))},
			reason: "memory", id: "StagingError", message: "A process was killed in step fetch because the memory limit of 1024M was exceeded, and staging can't go on after that. Give the app more memory, or make its build need less"},
		"a process was killed, later the buildpack failed": {pod: pods{ended("build", 223, "OOMKilled", told(t, "build", steps.CompileFailed, "ruby: exit status 7"))},
			reason: "compile", id: "BuildpackCompileFailed", message: "ruby: exit status 7. Before that, a process was killed because the memory limit of 1024M was exceeded"},
		"a process was killed, and the buildpack with it": {pod: pods{ended("build", 71, "OOMKilled", told(t, "build", steps.OutOfMemory, "out of memory: limit 1024M"))},
			reason: "memory", id: "StagingError", message: "out of memory: limit 1024M"},
		"a process was killed, later the pod was deleted": {job: jobs{finished(batchv1.JobFailed, "BackoffLimitExceeded", 0)}, pod: pods{ended("build", 137, "OOMKilled", ""), beingDeleted(-5 * time.Second)},
			reason: "interrupted", id: "StagingError", message: "Staging was interrupted: somebody deleted its pod in Kubernetes"},
		"out of memory, a process": {pod: pods{ended("build", 71, "Error", told(t, "build", steps.OutOfMemory, "out of memory: limit 1024M"))},
			reason: "memory", id: "StagingError", message: "out of memory: limit 1024M"},
		"killed and nobody says why": {pod: pods{ended("build", 137, "Error", "")},
			reason: "killed", id: "StagingError", message: "Staging was killed in step build, mostly a sign that there was not enough memory: limit 1024M"},
		"out of disk, the volume": {pod: pods{ended("build", 143, "Error", told(t, "build", steps.Canceled, "staging was canceled")), podFailed("Evicted", `Usage of EmptyDir volume "workspace" exceeds the limit "2Gi". `)},
			reason: "disk", id: "StagingError", message: "Staging ran out of disk: limit 2048M. Give the app more disk, or make its build leave less behind"},
		"out of disk, the container": {pod: pods{running("build"), podFailed("Evicted", "Container build exceeded its local ephemeral storage limit \"2Gi\". ")},
			reason: "disk", id: "StagingError", message: "Staging ran out of disk: limit 2048M. Give the app more disk, or make its build leave less behind"},
		"out of disk, the pod": {pod: pods{podFailed("Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 2Gi. ")},
			reason: "disk", id: "StagingError", message: "Staging ran out of disk: limit 2048M. Give the app more disk, or make its build leave less behind"},
		"the node is short of memory": {pod: pods{podFailed("Evicted", "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. ")},
			reason: "interrupted", id: "StagingError", message: "Staging was interrupted: its node ran out of memory or disk. Push the app again"},
		"the pod's time is up": {pod: pods{ended("build", 143, "Error", told(t, "build", steps.Canceled, "staging was canceled")), podFailed("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")},
			reason: "timeout", id: "StagingTimeExpired", message: "Staging took longer than 15 min and was stopped"},
		"the Job's time is up": {job: jobs{finished(batchv1.JobFailed, "DeadlineExceeded", time.Second)},
			reason: "timeout", id: "StagingTimeExpired", message: "Staging took longer than 15 min and was stopped"},
		"the Job's time is about to be up": {job: jobs{finished(batchv1.JobFailureTarget, "DeadlineExceeded", 0)},
			pod:    pods{ended("build", 143, "Error", told(t, "build", steps.Canceled, "staging was canceled")), beingDeleted(30 * time.Second)},
			reason: "timeout", id: "StagingTimeExpired", message: "Staging took longer than 15 min and was stopped"},
		"the Job's time is up on a lost node": {job: jobs{finished(batchv1.JobFailed, "DeadlineExceeded", time.Second)}, pod: pods{running("build"), disrupted("DeletionByTaintManager"), beingDeleted(-time.Hour)},
			reason: "node-lost", id: "StagingError", message: "Staging was interrupted: its node was lost. Push the app again"},
		"no room after all": {pod: pods{podFailed("OutOfmemory", "Pod was rejected: Node didn't have enough resource: memory")},
			reason: "unschedulable", id: "InsufficientResources", message: "Staging could not begin: its node had no room left after all"},
		"the node shuts down": {pod: pods{running("build"), podFailed("Terminated", "Pod was terminated in response to imminent node shutdown.")},
			reason: "interrupted", id: "StagingError", message: "Staging was interrupted: its node was needed for something else or shut down. Push the app again"},
		"no room": {pod: pods{unschedulable(5*time.Minute, full)},
			reason: "unschedulable", id: "InsufficientResources", message: "There was no room to stage the app within 5 min (" + full + ")"},
		"no node for apps": {pod: pods{unschedulable(5*time.Minute, "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.")},
			reason: "unschedulable", id: "NoCompatibleCell", message: "There is no node on which apps may be staged (0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.)"},
		"no pod at all": {job: jobs{func(job *batchv1.Job) { job.Status.StartTime = ptr.To(ago(5 * time.Minute)) }},
			reason: "unschedulable", id: "InsufficientResources", message: "Staging could not begin within 5 min: Kubernetes made no pod for it"},
		"the first image can't be pulled": {pod: pods{startedAgo(3 * time.Minute), waiting("fetch", "ImagePullBackOff", `Back-off pulling image "r/stage:1"`)},
			reason: "image-pull", id: "StagerError", message: "The platform could not pull the image for step fetch of staging"},
		"an image has no name": {pod: pods{waiting("build", "InvalidImageName", "invalid reference format")},
			reason: "image-pull", id: "StagerError", message: "The platform could not pull the image for step build of staging: it is not a reference to an image"},
		"a container can't be made": {pod: pods{startedAgo(3 * time.Minute), waiting("fetch", "CreateContainerConfigError", `secret "x" not found`)},
			reason: "container", id: "StagerError", message: "The platform could not start step fetch of staging"},
		"the node is lost": {pod: pods{running("build"), disrupted("DeletionByTaintManager"), beingDeleted(-time.Minute)},
			reason: "node-lost", id: "StagingError", message: "Staging was interrupted: its node was lost. Push the app again"},
		"the node does not answer": {pod: pods{running("build"), beingDeleted(-time.Minute)},
			reason: "node-lost", id: "StagingError", message: "Staging was interrupted: its node was lost. Push the app again"},
		"preempted": {pod: pods{ended("build", 143, "Error", told(t, "build", steps.Canceled, "staging was canceled")), disrupted("PreemptionByScheduler"), beingDeleted(20 * time.Second)},
			reason: "interrupted", id: "StagingError", message: "Staging was interrupted: something more important needed its place. Push the app again"},
		"drained": {pod: pods{ended("build", 137, "Error", ""), disrupted("EvictionByEvictionAPI"), beingDeleted(20 * time.Second)},
			reason: "interrupted", id: "StagingError", message: "Staging was interrupted: its node is being emptied for maintenance. Push the app again"},
		"the pod was deleted by hand": {job: jobs{finished(batchv1.JobFailed, "BackoffLimitExceeded", 0)}, pod: pods{ended("build", 143, "Error", ""), beingDeleted(20 * time.Second)},
			reason: "interrupted", id: "StagingError", message: "Staging was interrupted: somebody deleted its pod in Kubernetes"},
		"the pod is gone": {job: jobs{finished(batchv1.JobFailed, "BackoffLimitExceeded", 16*time.Second)},
			reason: "interrupted", id: "StagingError", message: "Staging was interrupted: its pod is gone. Push the app again"},
		"the Job was deleted": {job: jobs{func(job *batchv1.Job) { job.DeletionTimestamp = ptr.To(ago(0)) }}, pod: pods{running("build")},
			reason: "deleted", id: "StagingError", message: "Staging was interrupted: somebody deleted its Job in Kubernetes"},
		"the Job was deleted after it had failed": {job: jobs{func(job *batchv1.Job) { job.DeletionTimestamp = ptr.To(ago(0)) }}, pod: pods{ended("build", 222, "Error", "")},
			reason: "detect", id: "NoAppDetectedError", message: "Staging failed in step build: detect"},
		"canceled": {job: jobs{func(job *batchv1.Job) {
			job.Annotations[keys.Stopped] = `{"reason":"canceled","id":"StagingError","message":"Staging was canceled"}`
		}},
			pod: pods{running("build")}, reason: "canceled", id: "StagingError", message: "Staging was canceled"},
		"stopped with nonsense": {job: jobs{func(job *batchv1.Job) { job.Annotations[keys.Stopped] = "yes" }},
			reason: "canceled", id: "StagingError", message: "Staging was canceled"},
		"push says nothing": {pod: pods{ended("push", 0, "Completed", "")},
			reason: "internal", id: "StagerError", message: "Staging ended without telling its result"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			job := testJob(t, c.job...)
			var found []*corev1.Pod
			if c.pod != nil {
				found = append(found, testPod(job, c.pod...))
			}
			verdict := testSettings().judge(job, found, now)
			g.Expect(verdict.pushed).To(BeNil())
			g.Expect(verdict.failure).NotTo(BeNil())
			g.Expect(*verdict.failure).To(Equal(stager.Failure{Reason: c.reason, ID: c.id, Message: c.message}))
		})
	}
}

func TestBuildsThatHaveSucceeded(t *testing.T) {
	pushed := []func(*corev1.Pod){ended("push", 0, "Completed", done(t, "push"))}
	for name, c := range map[string]struct {
		job func(*batchv1.Job)
		pod func(*corev1.Pod)
	}{
		"and nothing else happened": {},
		"and were canceled too late": {job: func(job *batchv1.Job) {
			job.Annotations[keys.Stopped] = `{"reason":"canceled","id":"StagingError","message":"m"}`
		}},
		"and whose Job was deleted":  {job: func(job *batchv1.Job) { job.DeletionTimestamp = ptr.To(ago(0)) }},
		"and whose pod was evicted":  {pod: podFailed("Evicted", "x")},
		"and whose time was just up": {job: finished(batchv1.JobFailed, "DeadlineExceeded", 0), pod: beingDeleted(time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			job := testJob(t)
			if c.job != nil {
				c.job(job)
			}
			pod := testPod(job, pushed...)
			if c.pod != nil {
				c.pod(pod)
			}
			verdict := testSettings().judge(job, []*corev1.Pod{pod}, now)
			g.Expect(verdict.failure).To(BeNil())
			g.Expect(verdict.pushed.Result).To(Equal(testResult))
			g.Expect(verdict.pushedAt).To(Equal(now.Add(-30 * time.Second)))
		})
	}
}

func TestBuildsThatAreUnderWay(t *testing.T) {
	type pods = []func(*corev1.Pod)
	for name, c := range map[string]struct {
		job   func(*batchv1.Job)
		pod   pods
		after time.Duration
	}{
		"fetching":               {pod: pods{}},
		"building":               {pod: pods{running("build")}},
		"waiting for a pod":      {after: 4 * time.Minute},
		"suspended by hand":      {job: func(job *batchv1.Job) { job.Spec.Suspend = ptr.To(true) }},
		"waiting for a node":     {pod: pods{unschedulable(time.Minute, "0/1 nodes are available: 1 Insufficient cpu.")}, after: 4 * time.Minute},
		"a pull failed":          {pod: pods{waiting("fetch", "ErrImagePull", "timeout")}, after: 130 * time.Second},
		"the second pull failed": {pod: pods{startedAgo(10 * time.Minute), waiting("build", "ImagePullBackOff", "timeout")}, after: 150 * time.Second},
		"the pod is being deleted and nobody has said why": {pod: pods{ended("build", 143, "Error", ""), beingDeleted(30 * time.Second)}, after: 46 * time.Second},
		"the pod is preempted and still runs":              {pod: pods{running("build"), disrupted("PreemptionByScheduler"), beingDeleted(30 * time.Second)}, after: 46 * time.Second},
		"the Job failed and its pod's end is not seen yet": {job: finished(batchv1.JobFailed, "BackoffLimitExceeded", 5*time.Second), pod: pods{running("build")}, after: 10 * time.Second},
		"the Job is done and its pod's end is not seen":    {job: finished(batchv1.JobComplete, "CompletionsReached", 0), pod: pods{running("push")}, after: 15 * time.Second},
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
			verdict := testSettings().judge(job, found, now)
			g.Expect(verdict.failure).To(BeNil())
			g.Expect(verdict.pushed).To(BeNil())
			g.Expect(verdict.after).To(Equal(c.after))
		})
	}
}
