package tasks

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	metadatafake "k8s.io/client-go/metadata/fake"

	"github.com/irene-cf/irene/fixtures/jobtest"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// bbsTask is a task of a door with domains.
func bbsTask() opi.Task {
	task := testTask()
	task.Door, task.Domain, task.Request, task.Annotation = opi.DoorBBS, "cf-tasks", "request", "note"
	return task
}

func bbsJob(t *testing.T, task opi.Task, changes ...func(*batchv1.Job)) *batchv1.Job {
	t.Helper()
	objects, err := testSettings().Render(task, assembled())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return jobtest.Created(objects.Job, changes...)
}

func TestPresentTasks(t *testing.T) {
	g := NewWithT(t)
	docker := bbsTask()
	docker.GUID, docker.Droplet, docker.RootFS.Image, docker.Annotation = "docker", nil, testImageTask().RootFS.Image, ""
	running, waiting := bbsJob(t, keptTask()), bbsJob(t, docker, func(job *batchv1.Job) {
		job.Annotations[keys.WorkRecord] = `{"version":2}` // a later release's
	})
	pod := testPod(running, func(pod *corev1.Pod) { pod.Spec.NodeName = "node-1" })

	scheme := runtime.NewScheme()
	g.Expect(metav1.AddMetaToScheme(scheme)).To(Succeed())
	w := newWorld(running, waiting, pod)
	w.options.Metadata = metadatafake.NewSimpleMetadataClient(scheme, metadataOf(running), metadataOf(waiting), metadataOf(testJob(t, func(job *batchv1.Job) { job.Name = "task-opi" })))
	wanted := opi.PresentTask{
		GUID: testGUID, Door: opi.DoorBBS, Domain: "cf-tasks", Annotation: "note", AppGUID: "app-guid", Stack: "cflinuxfs4",
		MetricTags: keptTask().MetricTags, Limits: opi.Limits{PIDs: 1024, LogBytesPerSecond: new(int64(0))},
		Created: running.CreationTimestamp.Time, Cell: "node-1",
	}
	wantedDocker := opi.PresentTask{
		GUID: "docker", Door: opi.DoorBBS, Domain: "cf-tasks", AppGUID: "app-guid", Image: "registry.example:5000/some/image:1",
		Created: waiting.CreationTimestamp.Time,
	}
	g.Expect(w.Present(t.Context(), testGUID)).To(Equal(wanted))
	g.Expect(w.Present(t.Context(), "docker")).To(Equal(wantedDocker))
	g.Expect(w.ListPresent(t.Context(), []opi.Door{opi.DoorBBS})).To(Equal([]opi.PresentTask{wanted, wantedDocker}))
	both, err := w.ListPresent(t.Context(), []opi.Door{opi.DoorBBS, opi.DoorOPI})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(both).To(HaveLen(3))
	g.Expect(both).To(ContainElement(HaveField("Door", opi.DoorOPI)))
	g.Expect(w.ListPresent(t.Context(), []opi.Door{"other"})).To(BeEmpty())
	g.Expect(w.Door(t.Context(), testGUID)).To(Equal(opi.DoorBBS))
	_, err = w.Door(t.Context(), "unknown")
	g.Expect(err).To(MatchError(opi.ErrNotFound))

	w = newWorld(bbsJob(t, bbsTask(), answered))
	_, err = w.Present(t.Context(), testGUID)
	g.Expect(err).To(MatchError(opi.ErrNotFound))
}

func TestTheRequestOfATask(t *testing.T) {
	g := NewWithT(t)
	w := newWorld()
	w.options.Images = &images{}
	g.Expect(w.Desire(t.Context(), bbsTask())).To(Succeed())
	jobs, _ := w.objects(t)
	g.Expect(jobs[0].Annotations).To(HaveKeyWithValue(keys.Request, "request"))
	g.Expect(jobs[0].Spec.Template.Annotations).NotTo(HaveKey(keys.Request))

	made := jobs[0].DeepCopy()
	made.CreationTimestamp = metav1.NewTime(now)
	made.Annotations[keys.Outcome] = "{}"
	w = newWorld(made)
	w.options.Images = &images{}
	w.clock.SetTime(now.Add(time.Minute))
	g.Expect(w.Desire(t.Context(), bbsTask())).To(Succeed(), "sent again, although it has ended")
	duplicate := bbsTask()
	duplicate.Request = "another request"
	g.Expect(w.Desire(t.Context(), duplicate)).To(MatchError(opi.ErrExists))
	w.clock.SetTime(now.Add(2 * time.Minute))
	g.Expect(w.Desire(t.Context(), bbsTask())).To(MatchError(opi.ErrExists))
	g.Expect(w.Desire(t.Context(), testTask())).To(Succeed(), "a request without identity")
}
