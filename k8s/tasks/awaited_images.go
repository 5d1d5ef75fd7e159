package tasks

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"code.cloudfoundry.org/lager/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metalabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	eventrecord "k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/imagewait"
	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/reconcile"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// ImageAssembly puts images of droplets into the registry.
type ImageAssembly interface {
	// AssembleAs makes sure that the image of the LRP's droplet can be pulled under a tag of
	// the caller's, and returns what it is built on. Errors wrap opi.ErrRefused if there can't
	// be one, and opi.ErrUnavailable if it may succeed later; work that takes longer than the
	// caller waits goes on, and the error then wraps context.DeadlineExceeded.
	AssembleAs(ctx context.Context, lrp opi.LRP, tag string) (render.AppImage, error)
}

const (
	// awaitAtMost bounds the pauses between attempts at the image of one task. Refusals are
	// final.
	awaitAtMost = 30 * time.Second
	// changedPause is the pause after a write that met another version of the Job.
	changedPause = 50 * time.Millisecond
)

// AwaitedImages starts tasks that were accepted before their images were in the registry
// ([Tasks.Accept]): it has the image put there, and then resumes the Job and removes the
// annotation in one write, for one version of the Job. A task that was canceled or deleted
// meanwhile is left alone.
//
// The reason why an image can't be made is written to the annotation. One that lasts, or has
// lasted for the PullPatience of tasks, makes Decide fail the task. All that must be remembered
// is on the Job, so a new leader goes on where the last one was.
type AwaitedImages struct {
	options AwaitedImagesOptions
	tasks   *Tasks
	logger  lager.Logger
	metrics *awaitedImageMetrics
	steps   *reconcile.Steps[*awaitedTask]
}

// AwaitedImagesOptions are what AwaitedImages works with.
type AwaitedImagesOptions struct {
	Tasks  *Tasks
	Images ImageAssembly
	// Events shows people with kubectl why a task has no pod.
	Events eventrecord.EventRecorder
	// Workers bounds how many images are waited for at the same time; 500 when 0. They hardly
	// do more than wait.
	Workers int
	// Clock is the source of the time and of timers; the real one when nil.
	Clock clock.WithTicker
}

// awaitedTask is a task on its way through the steps.
type awaitedTask struct {
	name  string
	job   *batchv1.Job
	state *awaited
	// revision is set once the image is in the registry.
	revision string
}

// NewAwaitedImages returns a controller that does not run yet.
func NewAwaitedImages(options AwaitedImagesOptions) *AwaitedImages {
	options.Workers = cmp.Or(options.Workers, 500)
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	registerer := options.Tasks.options.Registerer
	a := &AwaitedImages{
		options: options, tasks: options.Tasks, logger: options.Tasks.logger.Session("awaited-images"), metrics: newAwaitedImageMetrics(registerer),
	}
	a.steps = reconcile.NewSteps("awaited-task-images", registerer,
		reconcile.Step[*awaitedTask]{Name: "find-task", Run: a.findTask},
		reconcile.Step[*awaitedTask]{Name: "assemble-image", Run: a.assembleImage},
		reconcile.Step[*awaitedTask]{Name: "resume-job", Run: a.resumeJob},
	)
	return a
}

// Run looks at every task that waits for its image, and at each again when its Job changes or
// another attempt is due, until ctx ends. It belongs where this replica leads; two that overlap
// do no harm. It returns when all workers have stopped.
func (a *AwaitedImages) Run(ctx context.Context) error {
	loop := reconcile.New(reconcile.Options[string]{
		Reconcile: func(ctx context.Context, name string) (time.Duration, error) {
			again, err := a.steps.Run(ctx, &awaitedTask{name: name})
			if err != nil {
				err = fmt.Errorf("start Job %s with its image: %w", name, err)
			}
			return again, err
		},
		Failed: func(name string, err error, _ time.Duration) {
			a.logger.Error("reconcile-failed", err, lager.Data{"job": name})
		},
		Workers: a.options.Workers,
		Clock:   a.options.Clock,
	})
	factory := informers.NewSharedInformerFactoryWithOptions(a.tasks.options.Client, 0,
		informers.WithNamespace(a.namespace()),
		informers.WithTransform(metadataOnly),
		informers.WithTweakListOptions(func(options *metav1.ListOptions) {
			options.LabelSelector = metalabels.SelectorFromSet(metalabels.Set{keys.SourceType: keys.SourceTypeTask, keys.AwaitedImage: waits}).String()
		}))
	jobs := factory.Batch().V1().Jobs().Informer()
	add := func(object any) { loop.Add(object.(*batchv1.Job).Name) }
	if _, err := jobs.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, object any) { add(object) }}); err != nil {
		return fmt.Errorf("watch tasks that wait for their images: %w", err)
	}
	watching, stop := context.WithCancel(ctx)
	factory.StartWithContext(watching)
	defer factory.Shutdown()
	defer stop()
	a.metrics.waiting.show(jobs.GetStore())
	defer a.metrics.waiting.show(nil)
	loop.Run(ctx)
	return nil
}

func (a *AwaitedImages) namespace() string { return a.tasks.options.Settings.Translation.Namespace }

// metadataOnly keeps the memory small: what is to be done is read from the API server.
func metadataOnly(object any) (any, error) {
	if job, ok := object.(*batchv1.Job); ok {
		metadata := job.ObjectMeta
		metadata.ManagedFields = nil
		return &batchv1.Job{ObjectMeta: metadata}, nil
	}
	return object, nil
}

// isWaiting reports whether a Job still waits for its image: not once its end is decided.
func isWaiting(task *batchv1.Job) bool {
	_, awaits := task.Annotations[keys.AwaitedImage]
	return awaits && task.DeletionTimestamp == nil && task.Annotations[keys.Stopped] == "" && task.Annotations[keys.Outcome] == ""
}

// findTask ends the reconcile unless the task waits for its image and another attempt is due.
func (a *AwaitedImages) findTask(ctx context.Context, i *awaitedTask) (reconcile.Result, error) {
	nothing := reconcile.Result{Last: true}
	found, err := a.tasks.options.Client.BatchV1().Jobs(a.namespace()).Get(ctx, i.name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nothing, nil
	case err != nil:
		return nothing, fmt.Errorf("read Job: %w", apierror.Classify(err))
	case !isWaiting(found):
		return nothing, nil
	}
	state, err := awaitedOf(found)
	if err != nil || state.Lasting {
		return nothing, err
	}
	if wait := state.Next.Sub(a.options.Clock.Now()); wait > 0 {
		return reconcile.Result{Again: wait, Last: true}, nil
	}
	i.job, i.state = found, state
	return reconcile.Result{}, nil
}

// assembleImage waits for the image. What went wrong is written down for users.
func (a *AwaitedImages) assembleImage(ctx context.Context, i *awaitedTask) (reconcile.Result, error) {
	droplet := i.state.Droplet // a copy: its URL must not get into the annotation
	task := opi.Task{
		GUID: i.job.Labels[keys.GUID], App: opi.Owner{GUID: i.job.Annotations[keys.ApplicationID]},
		RootFS: opi.RootFS{Stack: i.state.Stack}, Droplet: &droplet,
	}
	secret, err := a.tasks.options.Client.CoreV1().Secrets(i.job.Namespace).Get(ctx, i.job.Name, metav1.GetOptions{})
	switch {
	case err == nil:
		droplet.URL = string(secret.Data[dropletURLKey])
	case !apierrors.IsNotFound(err): // without it the droplet may come from elsewhere
		return reconcile.Result{Last: true}, fmt.Errorf("read Secret: %w", apierror.Classify(err))
	}
	image, err := a.options.Images.AssembleAs(ctx, render.TaskLRP(task), render.DropletTag(droplet, i.job.Name))
	if err == nil {
		i.revision = image.Revision
		return reconcile.Result{}, nil
	}
	if ctx.Err() != nil {
		return reconcile.Result{Last: true}, err
	}
	again, err := a.note(ctx, i, err)
	return reconcile.Result{Again: again, Last: true}, err
}

// note writes down why there is no image, and returns the time until the next attempt.
func (a *AwaitedImages) note(ctx context.Context, i *awaitedTask, cause error) (again time.Duration, err error) {
	outcome := imagewait.Outcome(cause)
	a.metrics.attempts.WithLabelValues(outcome).Inc()
	noted := *i.state
	now, patience := a.options.Clock.Now().UTC(), a.tasks.options.Settings.Limits.PullPatience
	noted.State, again = noted.Failed(cause, now, imagewait.Pauses{Unavailable: awaitAtMost})
	if outcome == imagewait.Unavailable {
		if noted.FailingSince.IsZero() {
			noted.FailingSince = now.Truncate(time.Second)
		}
		if now.Sub(noted.FailingSince) >= patience {
			noted.Lasting, noted.Fault = true, fmt.Sprintf("the platform could not get the app's image ready within %s", job.InWords(patience))
		}
	}
	if noted == *i.state {
		return again, nil
	}
	text, err := noted.encode()
	if err != nil {
		return 0, err
	}
	if err := a.patch(ctx, i.job, jobPatch{Metadata: patchedMetadata{Annotations: map[string]*string{keys.AwaitedImage: &text}}}); err != nil {
		return onChange(err)
	}
	if isNew := noted.Fault != i.state.Fault || noted.Lasting != i.state.Lasting; isNew && outcome != imagewait.Ongoing {
		a.options.Events.Event(reference(i.job), corev1.EventTypeWarning, "ImageMissing", noted.Fault)
		a.logger.Info("image-missing", lager.Data{
			"task_guid": i.job.Labels[keys.GUID], "job": i.job.Name, "lasting": noted.Lasting, "reason": cause.Error(),
		})
	}
	if noted.Lasting {
		return 0, nil // Decide fails the task
	}
	return again, nil
}

// resumeJob lets the task run.
func (a *AwaitedImages) resumeJob(ctx context.Context, i *awaitedTask) (reconcile.Result, error) {
	now := a.options.Clock.Now().UTC()
	resumed := now.Format(time.RFC3339)
	var patch jobPatch
	patch.Metadata.Annotations = map[string]*string{keys.AwaitedImage: nil, keys.ResumedAt: &resumed}
	patch.Metadata.Labels = map[string]*string{keys.AwaitedImage: nil, keys.RootFSVersion: &i.revision}
	patch.Spec = &patchedSpec{}
	patch.Spec.Template.Metadata.Labels = map[string]*string{keys.RootFSVersion: &i.revision}
	if err := a.patch(ctx, i.job, patch); err != nil {
		again, err := onChange(err)
		return reconcile.Result{Again: again}, err
	}
	a.metrics.attempts.WithLabelValues(imagewait.Assembled).Inc()
	a.metrics.seconds.Observe(now.Sub(i.job.CreationTimestamp.Time).Seconds())
	a.logger.Info("resumed", lager.Data{"task_guid": i.job.Labels[keys.GUID], "job": i.job.Name})
	return reconcile.Result{}, nil
}

// onChange makes a reconcile begin again that met another version of the Job.
func onChange(err error) (time.Duration, error) {
	if errors.Is(err, errChanged) {
		return changedPause, nil
	}
	return 0, err
}

// errChanged means that a Job was written, or deleted, since it was read.
var errChanged = errors.New("the Job changed meanwhile")

// jobPatch is a merge patch of a Job, for one version of it.
type jobPatch struct {
	Metadata patchedMetadata `json:"metadata"`
	// Spec resumes the Job; nil leaves it as it is.
	Spec *patchedSpec `json:"spec,omitempty"`
}

type patchedMetadata struct {
	UID             types.UID          `json:"uid,omitempty"`
	ResourceVersion string             `json:"resourceVersion,omitempty"`
	Labels          map[string]*string `json:"labels,omitempty"`
	Annotations     map[string]*string `json:"annotations,omitempty"`
}

type patchedSpec struct {
	Suspend  bool `json:"suspend"`
	Template struct {
		Metadata patchedMetadata `json:"metadata"`
	} `json:"template"`
}

func (a *AwaitedImages) patch(ctx context.Context, task *batchv1.Job, patch jobPatch) error {
	patch.Metadata.UID, patch.Metadata.ResourceVersion = task.UID, task.ResourceVersion
	text, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	_, err = a.tasks.options.Client.BatchV1().Jobs(task.Namespace).Patch(ctx, task.Name, types.MergePatchType, text, metav1.PatchOptions{})
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return errChanged
	case err != nil:
		return fmt.Errorf("patch Job: %w", apierror.Classify(err))
	}
	return nil
}

// reference returns what an Event on a Job is about.
func reference(task *batchv1.Job) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job", Namespace: task.Namespace, Name: task.Name, UID: task.UID,
	}
}
