package tasks

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/metadata/fake"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures/jobtest"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// images answers with errors first.
type images struct {
	errs  []error
	asked int
	// awaited reports that the registry has none.
	awaited bool
}

func (i *images) ResolveTaskImage(context.Context, opi.Task) (render.ResolvedImage, error) {
	i.asked++
	if i.asked <= len(i.errs) {
		return render.ResolvedImage{}, i.errs[i.asked-1]
	}
	return assembled(), nil
}

// FindTaskImage implements Images.
func (i *images) FindTaskImage(ctx context.Context, task opi.Task) (render.ResolvedImage, bool, error) {
	image, err := i.ResolveTaskImage(ctx, task)
	return image, i.awaited, err
}

func (w world) objects(t *testing.T) (jobs []batchv1.Job, secrets []corev1.Secret) {
	t.Helper()
	g := NewWithT(t)
	jobList, err := w.client.BatchV1().Jobs("cf-apps").List(t.Context(), metav1.ListOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	secretList, err := w.client.CoreV1().Secrets("cf-apps").List(t.Context(), metav1.ListOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	return jobList.Items, secretList.Items
}

func TestDesireMakesOneSecretAndOneJob(t *testing.T) {
	g := NewWithT(t)
	w := newWorld()
	w.options.Images = &images{errs: []error{fmt.Errorf("assemble: %w", opi.ErrUnavailable)}}
	for range 2 {
		g.Expect(w.Desire(t.Context(), testTask())).To(Succeed())
	}
	jobs, secrets := w.objects(t)
	g.Expect(jobs).To(HaveLen(1))
	g.Expect(secrets).To(HaveLen(1))
	g.Expect(secrets[0].Name).To(Equal(jobs[0].Name))
	g.Expect(secrets[0].OwnerReferences).To(BeEmpty())
	g.Expect(w.options.Images.(*images).asked).To(Equal(2), "a task that is there needs no image")
}

func TestDesireLeavesNothingOfATaskThatCannotRun(t *testing.T) {
	g := NewWithT(t)
	w := newWorld()
	w.options.Images = &images{errs: []error{fmt.Errorf("assemble: %w", opi.ErrRefused)}}
	g.Expect(w.Desire(t.Context(), testTask())).To(MatchError(opi.ErrRefused))
	jobs, secrets := w.objects(t)
	g.Expect(jobs).To(BeEmpty())
	g.Expect(secrets).To(BeEmpty())
}

func TestANameThatIsTaken(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(testJob(t, func(job *batchv1.Job) { job.Labels[keys.SourceType] = "OTHER" }))
	w.options.Images = &images{}
	g.Expect(w.Desire(t.Context(), testTask())).To(MatchError(opi.ErrRefused))
	g.Expect(w.Get(t.Context(), testGUID)).To(MatchError(opi.ErrNotFound))
	g.Expect(w.Cancel(t.Context(), testGUID)).To(MatchError(opi.ErrNotFound))
}

func answered(job *batchv1.Job) {
	job.Annotations[keys.Outcome], job.Annotations[keys.OutcomeAnswer] = "{}", "200 2026-01-01T00:00:00Z"
}

// metadataOf returns what a metadata client does of a Job.
func metadataOf(job *batchv1.Job) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}, ObjectMeta: job.ObjectMeta}
}

func TestListedUntilAnswered(t *testing.T) {
	g := NewWithT(t)
	named := func(guid string, change func(*batchv1.Job)) *metav1.PartialObjectMetadata {
		job := testJob(t, change)
		job.Name, job.Labels[keys.GUID] = "task-"+guid, guid
		return metadataOf(job)
	}
	scheme := runtime.NewScheme()
	g.Expect(metav1.AddMetaToScheme(scheme)).To(Succeed())
	w := newWorld()
	w.options.Metadata = fake.NewSimpleMetadataClient(scheme,
		named("running", func(*batchv1.Job) {}),
		named("ended", func(job *batchv1.Job) { job.Annotations[keys.Outcome] = "{}" }),
		named("deleting", func(job *batchv1.Job) { job.DeletionTimestamp = ptr.To(jobtest.Ago(0)) }),
		named("answered", answered),
		named("robbed", func(job *batchv1.Job) { job.Finalizers = nil }),
		named("another door's", func(job *batchv1.Job) { job.Annotations["irene.cloudfoundry.org/door"] = "other" }),
		named("build", func(job *batchv1.Job) { job.Labels[keys.SourceType] = keys.SourceTypeStaging }),
	)
	g.Expect(w.List(t.Context(), opi.DoorOPI)).To(Equal([]string{"deleting", "ended", "running"}))
	g.Expect(w.List(t.Context(), "other")).To(Equal([]string{"another door's"}))
}

func TestCancel(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(testJob(t))
	g.Expect(w.Get(t.Context(), testGUID)).To(Succeed())
	g.Expect(w.Cancel(t.Context(), testGUID)).To(Succeed())
	jobs, _ := w.objects(t)
	g.Expect(jobs[0].Spec.Suspend).To(HaveValue(BeTrue()))
	var told stop
	g.Expect(json.Unmarshal([]byte(jobs[0].Annotations[keys.Stopped]), &told)).To(Succeed())
	g.Expect(told.At).To(BeTemporally("==", now))

	w.clock.SetTime(now.Add(time.Minute))
	g.Expect(w.Cancel(t.Context(), testGUID)).To(Succeed())
	again, _ := w.objects(t)
	g.Expect(again[0].Annotations).To(Equal(jobs[0].Annotations), "the first one counts")
	outcome, _, err := w.Decide(t.Context(), &again[0], nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(outcome.Reason).To(Equal("canceled"))
}

func TestCancelOfWhatHasEnded(t *testing.T) {
	g := NewWithT(t)
	w := newWorld(testJob(t, func(job *batchv1.Job) { job.Annotations[keys.Outcome] = "{}" }))
	g.Expect(w.Cancel(t.Context(), testGUID)).To(Succeed())
	jobs, _ := w.objects(t)
	g.Expect(jobs[0].Annotations).NotTo(HaveKey(keys.Stopped))
	g.Expect(jobs[0].Spec.Suspend).To(BeNil())

	w = newWorld(testJob(t, answered))
	g.Expect(w.Get(t.Context(), testGUID)).To(MatchError(opi.ErrNotFound))
	g.Expect(w.Cancel(t.Context(), testGUID)).To(MatchError(opi.ErrNotFound))
	g.Expect(w.Cancel(t.Context(), "unknown")).To(MatchError(opi.ErrNotFound))
}
