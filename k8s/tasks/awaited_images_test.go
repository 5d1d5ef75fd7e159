package tasks

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubetesting "k8s.io/client-go/testing"
	eventrecord "k8s.io/client-go/tools/record"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures/jobtest"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// assembly returns the error that was set.
type assembly struct {
	mutex sync.Mutex
	err   error
	asked []opi.LRP
	tags  []string
}

// AssembleAs implements ImageAssembly.
func (a *assembly) AssembleAs(_ context.Context, lrp opi.LRP, tag string) (render.AppImage, error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.asked, a.tags = append(a.asked, lrp), append(a.tags, tag)
	return render.AppImage{Stack: "cflinuxfs4", Revision: "new"}, a.err
}

func (a *assembly) becomes(err error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.err = err
}

func (a *assembly) times() int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return len(a.asked)
}

// awaiting has a task that was accepted before its image was there.
type awaiting struct {
	world
	*assembly
	time   *testingclock.FakeClock
	events *eventrecord.FakeRecorder
}

func acceptedTask() opi.Task {
	task := testTask()
	task.Door, task.Domain, task.RootFS.Stack = opi.DoorBBS, "cf-tasks", "cflinuxfs4"
	task.Droplet = &opi.Droplet{Checksum: opi.Checksum{Algorithm: "sha256", Value: "abc"}, URL: "https://blobstore/droplet?signature=url-hunter2"}
	return task
}

func newAwaiting(t *testing.T, err error) *awaiting {
	t.Helper()
	w := &awaiting{world: newWorld(), assembly: &assembly{err: err}, time: testingclock.NewFakeClock(now), events: eventrecord.NewFakeRecorder(10)}
	w.options.Images = &images{awaited: true}
	NewWithT(t).Expect(w.Accept(t.Context(), acceptedTask())).To(Succeed())
	return w
}

// run runs the controller until the test ends.
func (w *awaiting) run(t *testing.T) {
	t.Helper()
	controller := NewAwaitedImages(AwaitedImagesOptions{Tasks: w.Tasks, Images: w.assembly, Events: w.events, Clock: w.time})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = controller.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
}

func (w *awaiting) job(t *testing.T) *batchv1.Job {
	t.Helper()
	jobs, _ := w.objects(t)
	NewWithT(t).Expect(jobs).To(HaveLen(1))
	return &jobs[0]
}

func (w *awaiting) decided(t *testing.T) *opi.Outcome {
	t.Helper()
	outcome, _, err := w.Decide(t.Context(), w.job(t), nil)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return outcome
}

func TestAcceptWaitsForNoImage(t *testing.T) {
	g := NewWithT(t)
	w := newAwaiting(t, nil)
	job := w.job(t)
	g.Expect(job.Spec.Suspend).To(HaveValue(BeTrue()))
	g.Expect(job.Labels).To(HaveKeyWithValue(keys.AwaitedImage, "true"))
	g.Expect(job.Spec.Template.Labels).NotTo(HaveKey(keys.AwaitedImage))
	g.Expect(job.Annotations[keys.AwaitedImage]).To(MatchJSON(`{"droplet":{"checksum":{"algorithm":"sha256","value":"abc"}},"stack":"cflinuxfs4"}`))
	g.Expect(job.Spec.Template.Spec.Containers[0].Image).To(Equal("127.0.0.1:32123/cloudfoundry/app-guid:abc-task-" + testGUID))
	_, secrets := w.objects(t)
	g.Expect(secrets[0].Data).To(HaveKeyWithValue("droplet-url", []byte("https://blobstore/droplet?signature=url-hunter2")))

	g.Expect(w.Get(t.Context(), testGUID)).To(Succeed(), "it is listed")
	w.clock.SetTime(now.Add(time.Hour))
	g.Expect(w.decided(t)).To(BeNil(), "nothing but its image ends it")
	g.Expect(w.Accept(t.Context(), acceptedTask())).To(Succeed(), "it is there already")
	g.Expect(w.Cancel(t.Context(), testGUID)).To(Succeed())
	g.Expect(jobtest.Callback(w.decided(t))).To(ContainSubstring("task was cancelled"))
}

// A task with its image in the registry is made as Desire makes it.
func TestAcceptWithTheImage(t *testing.T) {
	g := NewWithT(t)
	w := newWorld()
	w.options.Images = &images{}
	g.Expect(w.Accept(t.Context(), acceptedTask())).To(Succeed())
	accepted, _ := w.objects(t)
	other := newWorld()
	other.options.Images = &images{}
	g.Expect(other.Desire(t.Context(), acceptedTask())).To(Succeed())
	desired, _ := other.objects(t)
	accepted[0].ManagedFields, desired[0].ManagedFields = nil, nil // they have times
	g.Expect(accepted).To(Equal(desired))
	g.Expect(accepted[0].Spec.Suspend).To(BeNil())
}

func TestATaskBeginsOnceItsImageIsThere(t *testing.T) {
	g := NewWithT(t)
	w := newAwaiting(t, fmt.Errorf("registry 10.0.0.1: %w", opi.ErrUnavailable))
	w.run(t)
	const why = "the platform can't get the app's image ready at present; it goes on trying"
	g.Eventually(w.events.Events).Should(Receive(ContainSubstring(why)))
	g.Expect(w.decided(t)).To(BeNil())
	g.Expect(w.job(t).Annotations[keys.AwaitedImage]).To(MatchJSON(`{
		"droplet":{"checksum":{"algorithm":"sha256","value":"abc"}},"stack":"cflinuxfs4",
		"attempts":1,"next":"2026-03-01T12:00:05Z","fault":"` + why + `","since":"2026-03-01T12:00:00Z","failingSince":"2026-03-01T12:00:00Z"}`))

	w.becomes(nil)
	g.Eventually(func() map[string]string { w.time.Step(time.Second); return w.job(t).Annotations }).ShouldNot(HaveKey(keys.AwaitedImage))
	job := w.job(t)
	g.Expect(job.Spec.Suspend).To(HaveValue(BeFalse()))
	g.Expect(job.Labels).NotTo(HaveKey(keys.AwaitedImage))
	g.Expect(job.Labels).To(HaveKeyWithValue(keys.RootFSVersion, "new"))
	g.Expect(job.Spec.Template.Labels).To(HaveKeyWithValue(keys.RootFSVersion, "new"))
	g.Expect(job.Annotations).To(HaveKey(keys.ResumedAt))
	g.Expect(w.asked[0].Droplet.URL).To(Equal("https://blobstore/droplet?signature=url-hunter2"))
	g.Expect(w.asked[0].App.GUID).To(Equal("app-guid"))
	g.Expect(w.asked[0].RootFS.Stack).To(Equal("cflinuxfs4"))
	g.Expect(w.tags).To(HaveEach("abc-task-" + testGUID))
	g.Expect(testutil.GatherAndCount(w.registered, "irene_task_image_seconds")).To(Equal(1))
}

func TestATaskWhoseImageCannotBeMade(t *testing.T) {
	refused := opi.WithMessage(fmt.Errorf("fetch: %w", opi.ErrRefused), "the droplet is not what was promised")
	for name, c := range map[string]struct {
		err  error
		text string
	}{
		"refused":         {refused, "The task could not be started: the droplet is not what was promised"},
		"unavailable":     {opi.ErrUnavailable, "The task could not be started: the platform could not get the app's image ready within 3 min"},
		"first it lasted": {fmt.Errorf("%w: %w", opi.ErrUnavailable, context.DeadlineExceeded), "The task could not be started: the droplet is not what was promised"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newAwaiting(t, c.err)
			w.run(t)
			if name == "first it lasted" {
				// Work that goes on has no bound but its own.
				g.Eventually(func() int { w.time.Step(time.Minute); return w.times() }).Should(BeNumerically(">", 5))
				g.Expect(w.decided(t)).To(BeNil())
				w.becomes(refused)
			}
			g.Eventually(func() *opi.Outcome { w.time.Step(time.Second); return w.decided(t) }).WithTimeout(10 * time.Second).ShouldNot(BeNil())
			g.Expect(w.decided(t).Message).To(Equal(c.text))
			g.Expect(w.job(t).Spec.Suspend).To(HaveValue(BeTrue()))
		})
	}
}

// Whatever is written on the Job meanwhile, it is resumed only as it was read.
func TestATaskThatIsCanceledWhileItsImageIsMade(t *testing.T) {
	g := NewWithT(t)
	w := newAwaiting(t, nil)
	conflicts := 0
	w.client.PrependReactor("patch", "jobs", func(kubetesting.Action) (bool, runtime.Object, error) {
		if conflicts++; conflicts > 1 {
			return false, nil, nil
		}
		job, err := w.client.Tracker().Get(batchv1.SchemeGroupVersion.WithResource("jobs"), "cf-apps", "task-"+testGUID)
		if err != nil {
			return true, nil, err
		}
		canceled := job.(*batchv1.Job).DeepCopy()
		canceled.Annotations[keys.Stopped] = `{}`
		if err := w.client.Tracker().Update(batchv1.SchemeGroupVersion.WithResource("jobs"), canceled, "cf-apps"); err != nil {
			return true, nil, err
		}
		return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "jobs"}, "task", nil)
	})
	w.run(t)
	g.Eventually(w.times).Should(Equal(1))
	g.Eventually(func() string { return w.job(t).Annotations[keys.Stopped] }).ShouldNot(BeEmpty())
	w.time.Step(time.Minute)
	g.Expect(w.job(t).Spec.Suspend).To(HaveValue(BeTrue()))
	g.Expect(w.job(t).Annotations).To(HaveKey(keys.AwaitedImage))
}

// The Job controller gives a Job that it resumes a start time a little later.
func TestAPodIsDueFromTheResumption(t *testing.T) {
	g := NewWithT(t)
	w := newWorld()
	job := testJob(t, func(job *batchv1.Job) {
		job.CreationTimestamp, job.Status.StartTime = metav1.NewTime(now.Add(-time.Hour)), nil
		job.Spec.Suspend = ptr.To(false)
		job.Annotations[keys.ResumedAt] = now.Format(time.RFC3339)
	})
	outcome, wait, err := w.Decide(t.Context(), job, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(outcome).To(BeNil())
	g.Expect(wait).To(Equal(testSettings().Limits.SchedulingPatience))
}
