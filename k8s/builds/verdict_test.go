package builds

import (
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures/jobtest"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
)

var now = jobtest.Now()

// testJob is a Job as Kubernetes has it a minute after its creation.
func testJob(t *testing.T, changes ...func(*batchv1.Job)) *batchv1.Job {
	t.Helper()
	objects, err := testSettings().Render(testBuild(), testImages(), testCredentials())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return jobtest.Created(objects.Job, changes...)
}

// testPod is the Job's pod on a node, with fetch running.
func testPod(job *batchv1.Job, changes ...func(*corev1.Pod)) *corev1.Pod {
	pod := jobtest.Pod(job)
	pod.Status.Phase = corev1.PodPending
	pod.Status.InitContainerStatuses = []corev1.ContainerStatus{
		{Name: "fetch", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: jobtest.Ago(45 * time.Second)}}},
		{Name: "build", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}},
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "push", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}}}
	for _, change := range changes {
		change(pod)
	}
	return pod
}

// setState sets a step's state; the steps before have succeeded.
func setState(step string, state corev1.ContainerState) func(*corev1.Pod) {
	succeeded := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", FinishedAt: jobtest.Ago(30 * time.Second)}}
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
		ExitCode: status, Reason: reason, Message: message, FinishedAt: jobtest.Ago(30 * time.Second),
	}})
}

func waiting(step, reason, message string) func(*corev1.Pod) {
	return setState(step, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}})
}

func running(step string) func(*corev1.Pod) {
	return setState(step, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: jobtest.Ago(20 * time.Second)}})
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

func beingDeleted(grace time.Duration) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.DeletionTimestamp = ptr.To(metav1.NewTime(now.Add(grace))) }
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
		"a process was killed, later the pod was deleted": {job: jobs{jobtest.Finished(batchv1.JobFailed, "BackoffLimitExceeded", 0)}, pod: pods{ended("build", 137, "OOMKilled", ""), beingDeleted(-5 * time.Second)},
			reason: "interrupted", id: "StagingError", message: "Staging was interrupted: somebody deleted its pod in Kubernetes"},
		"out of memory, a process": {pod: pods{ended("build", 71, "Error", told(t, "build", steps.OutOfMemory, "out of memory: limit 1024M"))},
			reason: "memory", id: "StagingError", message: "out of memory: limit 1024M"},
		"killed and nobody says why": {pod: pods{ended("build", 137, "Error", "")},
			reason: "killed", id: "StagingError", message: "Staging was killed in step build, mostly a sign that there was not enough memory: limit 1024M"},
		"out of disk, the volume": {pod: pods{ended("build", 143, "Error", told(t, "build", steps.Canceled, "staging was canceled")), jobtest.PodFailed("Evicted", `Usage of EmptyDir volume "workspace" exceeds the limit "2Gi". `)},
			reason: "disk", id: "StagingError", message: "Staging ran out of disk: limit 2048M. Give the app more disk, or make its build leave less behind"},
		"out of disk, the container": {pod: pods{running("build"), jobtest.PodFailed("Evicted", "Container build exceeded its local ephemeral storage limit \"2Gi\". ")},
			reason: "disk", id: "StagingError", message: "Staging ran out of disk: limit 2048M. Give the app more disk, or make its build leave less behind"},
		"out of disk, the pod": {pod: pods{jobtest.PodFailed("Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 2Gi. ")},
			reason: "disk", id: "StagingError", message: "Staging ran out of disk: limit 2048M. Give the app more disk, or make its build leave less behind"},
		"the node is short of memory": {pod: pods{jobtest.PodFailed("Evicted", "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. ")},
			reason: "interrupted", id: "StagingError", message: "Staging was interrupted: its node ran out of memory or disk. Push the app again"},
		"the pod's time is up": {pod: pods{ended("build", 143, "Error", told(t, "build", steps.Canceled, "staging was canceled")), jobtest.PodFailed("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")},
			reason: "timeout", id: "StagingTimeExpired", message: "Staging took longer than 15 min and was stopped: exceeded 15m0s timeout"},
		"the Job's time is up": {job: jobs{jobtest.Finished(batchv1.JobFailed, "DeadlineExceeded", time.Second)},
			reason: "timeout", id: "StagingTimeExpired", message: "Staging took longer than 15 min and was stopped: exceeded 15m0s timeout"},
		"the Job's time is about to be up": {job: jobs{jobtest.Finished(batchv1.JobFailureTarget, "DeadlineExceeded", 0)},
			pod:    pods{ended("build", 143, "Error", told(t, "build", steps.Canceled, "staging was canceled")), beingDeleted(30 * time.Second)},
			reason: "timeout", id: "StagingTimeExpired", message: "Staging took longer than 15 min and was stopped: exceeded 15m0s timeout"},
		"the Job's time is up on a lost node": {job: jobs{jobtest.Finished(batchv1.JobFailed, "DeadlineExceeded", time.Second)}, pod: pods{running("build"), jobtest.Disrupted("DeletionByTaintManager"), beingDeleted(-time.Hour)},
			reason: "node-lost", id: "StagingError", message: "Staging was interrupted: its node was lost. Push the app again"},
		"no room after all": {pod: pods{jobtest.PodFailed("OutOfmemory", "Pod was rejected: Node didn't have enough resource: memory")},
			reason: "unschedulable", id: "InsufficientResources", message: "Staging could not begin: its node had no room left after all"},
		"the node shuts down": {pod: pods{running("build"), jobtest.PodFailed("Terminated", "Pod was terminated in response to imminent node shutdown.")},
			reason: "interrupted", id: "StagingError", message: "Staging was interrupted: its node was needed for something else or shut down. Push the app again"},
		"no room": {pod: pods{jobtest.Unschedulable(5*time.Minute, full)},
			reason: "unschedulable", id: "InsufficientResources", message: "There was no room to stage the app within 5 min (" + full + ")"},
		"no node for apps": {pod: pods{jobtest.Unschedulable(5*time.Minute, "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.")},
			reason: "unschedulable", id: "NoCompatibleCell", message: "There is no node on which apps may be staged (0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.)"},
		"no pod at all": {job: jobs{func(job *batchv1.Job) { job.Status.StartTime = ptr.To(jobtest.Ago(5 * time.Minute)) }},
			reason: "unschedulable", id: "InsufficientResources", message: "Staging could not begin within 5 min: Kubernetes made no pod for it"},
		"the first image can't be pulled": {pod: pods{jobtest.StartedAgo(3 * time.Minute), waiting("fetch", "ImagePullBackOff", `Back-off pulling image "r/stage:1"`)},
			reason: "image-pull", id: "StagerError", message: "The platform could not pull the image for step fetch of staging"},
		"an image has no name": {pod: pods{waiting("build", "InvalidImageName", "invalid reference format")},
			reason: "image-pull", id: "StagerError", message: "The platform could not pull the image for step build of staging: it is not a reference to an image"},
		"a container can't be made": {pod: pods{jobtest.StartedAgo(3 * time.Minute), waiting("fetch", "CreateContainerConfigError", `secret "x" not found`)},
			reason: "container", id: "StagerError", message: "The platform could not start step fetch of staging"},
		"the node is lost": {pod: pods{running("build"), jobtest.Disrupted("DeletionByTaintManager"), beingDeleted(-time.Minute)},
			reason: "node-lost", id: "StagingError", message: "Staging was interrupted: its node was lost. Push the app again"},
		"the node does not answer": {pod: pods{running("build"), beingDeleted(-time.Minute)},
			reason: "node-lost", id: "StagingError", message: "Staging was interrupted: its node was lost. Push the app again"},
		"preempted": {pod: pods{ended("build", 143, "Error", told(t, "build", steps.Canceled, "staging was canceled")), jobtest.Disrupted("PreemptionByScheduler"), beingDeleted(20 * time.Second)},
			reason: "interrupted", id: "StagingError", message: "Staging was interrupted: something more important needed its place. Push the app again"},
		"drained": {pod: pods{ended("build", 137, "Error", ""), jobtest.Disrupted("EvictionByEvictionAPI"), beingDeleted(20 * time.Second)},
			reason: "interrupted", id: "StagingError", message: "Staging was interrupted: its node is being emptied for maintenance. Push the app again"},
		"the pod was deleted by hand": {job: jobs{jobtest.Finished(batchv1.JobFailed, "BackoffLimitExceeded", 0)}, pod: pods{ended("build", 143, "Error", ""), beingDeleted(20 * time.Second)},
			reason: "interrupted", id: "StagingError", message: "Staging was interrupted: somebody deleted its pod in Kubernetes"},
		"the pod is gone": {job: jobs{jobtest.Finished(batchv1.JobFailed, "BackoffLimitExceeded", 16*time.Second)},
			reason: "interrupted", id: "StagingError", message: "Staging was interrupted: its pod is gone. Push the app again"},
		"the Job was deleted": {job: jobs{jobtest.Deleted}, pod: pods{running("build")},
			reason: "deleted", id: "StagingError", message: "Staging was interrupted: somebody deleted its Job in Kubernetes"},
		"the Job was deleted after it had failed": {job: jobs{jobtest.Deleted}, pod: pods{ended("build", 222, "Error", "")},
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
			outcome, wait, err := newWorld(t).Decide(t.Context(), job, found)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(wait).To(BeZero())
			g.Expect(outcome).To(HaveValue(Equal(opi.Outcome{
				Work: opi.WorkBuild, GUID: testGUID, Reason: c.reason, Failed: true, ErrorID: c.id, Message: c.message,
			})))
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
		"and whose Job was deleted":  {job: jobtest.Deleted},
		"and whose pod was evicted":  {pod: jobtest.PodFailed("Evicted", "x")},
		"and whose time was just up": {job: jobtest.Finished(batchv1.JobFailed, "DeadlineExceeded", 0), pod: beingDeleted(time.Second)},
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
			w := newWorld(t)
			w.registries.err = fmt.Errorf("read: %w", opi.ErrNotFound)
			decide := func() (*opi.Outcome, error) {
				outcome, _, err := w.Decide(t.Context(), job, []*corev1.Pod{pod})
				return outcome, err
			}
			w.clock.SetTime(now.Add(missingResult - 30*time.Second))
			_, err := decide()
			g.Expect(err).To(MatchError(opi.ErrNotFound), "it was pushed 30 s ago")
			w.clock.SetTime(now.Add(missingResult - 30*time.Second + 1))
			g.Expect(decide()).To(HaveField("Reason", "internal"), "the registry has lost it")
			w.registries.results[testResult] = resultJSON
			g.Expect(decide()).To(HaveField("Reason", "succeeded"))
			g.Expect(w.registries.tagged[0].Result).To(Equal(testResult))
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
		"waiting for a node":     {pod: pods{jobtest.Unschedulable(time.Minute, "0/1 nodes are available: 1 Insufficient cpu.")}, after: 4 * time.Minute},
		"a pull failed":          {pod: pods{waiting("fetch", "ErrImagePull", "timeout")}, after: 130 * time.Second},
		"the second pull failed": {pod: pods{jobtest.StartedAgo(10 * time.Minute), waiting("build", "ImagePullBackOff", "timeout")}, after: 150 * time.Second},
		"the pod is being deleted and nobody has said why": {pod: pods{ended("build", 143, "Error", ""), beingDeleted(30 * time.Second)}, after: 46 * time.Second},
		"the pod is preempted and still runs":              {pod: pods{running("build"), jobtest.Disrupted("PreemptionByScheduler"), beingDeleted(30 * time.Second)}, after: 46 * time.Second},
		"the Job failed and its pod's end is not seen yet": {job: jobtest.Finished(batchv1.JobFailed, "BackoffLimitExceeded", 5*time.Second), pod: pods{running("build")}, after: 10 * time.Second},
		"the Job is done and its pod's end is not seen":    {job: jobtest.Finished(batchv1.JobComplete, "CompletionsReached", 0), pod: pods{running("push")}, after: 15 * time.Second},
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
			outcome, wait, err := newWorld(t).Decide(t.Context(), job, found)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(outcome).To(BeNil())
			g.Expect(wait).To(Equal(c.after))
		})
	}
}
