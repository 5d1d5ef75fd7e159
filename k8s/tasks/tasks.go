package tasks

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"code.cloudfoundry.org/lager/v3"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// Images makes sure of what a task runs in.
type Images interface {
	// ResolveTaskImage makes sure that the image of the task's droplet can be pulled, or
	// finds out whom its docker image runs as. Errors wrap opi.ErrRefused or are
	// *opi.FieldError where there can't be one, and wrap opi.ErrUnavailable where it may
	// succeed later.
	ResolveTaskImage(ctx context.Context, task opi.Task) (render.ResolvedImage, error)
	// FindTaskImage does what ResolveTaskImage does within a few seconds, and reports whether
	// the image of the task's droplet is yet to be put into the registry.
	FindTaskImage(ctx context.Context, task opi.Task) (image render.ResolvedImage, awaited bool, err error)
}

// Options of [New].
type Options struct {
	job.Dependencies
	Settings Settings
	Images   Images
}

// Tasks runs tasks. All methods may be called at the same time.
type Tasks struct {
	options Options
	jobs    *job.Store
	logger  lager.Logger
}

// New makes Tasks. Nothing runs before [Tasks.Sweep].
func New(o Options) *Tasks {
	o.Logger = o.Logger.Session("tasks")
	return &Tasks{options: o, logger: o.Logger, jobs: job.New(job.Options{
		Dependencies: o.Dependencies,
		Kind: job.Kind{
			SourceType: keys.SourceTypeTask, Name: "task", Prefix: namePrefix, GUIDField: "task_guid", EndedMessage: "ended",
		},
		Namespace: o.Settings.Translation.Namespace,
		Metrics:   newMetrics(),
	})}
}

// Desire makes sure that the task's Job exists. A Job that is there already, in whatever
// state, means that it was requested before. What may succeed later is tried again for
// some seconds, since Cloud Controller sends a request once. Errors wrap opi.ErrUnavailable,
// opi.ErrRefused, opi.ErrExists (see [opi.Task.Request]) or are *opi.FieldError.
func (t *Tasks) Desire(ctx context.Context, task opi.Task) error {
	return t.desire(ctx, task, func(ctx context.Context, task opi.Task) (image render.ResolvedImage, awaited bool, err error) {
		err = job.Patiently(ctx, func(ctx context.Context) (err error) {
			image, err = t.options.Images.ResolveTaskImage(ctx, task)
			return err
		})
		return image, false, err
	})
}

// Accept does what Desire does, but waits for no image: the Job of a task whose image is not in
// the registry is suspended until [AwaitedImages] has put it there. The task is listed and can be
// canceled meanwhile.
func (t *Tasks) Accept(ctx context.Context, task opi.Task) error {
	return t.desire(ctx, task, t.options.Images.FindTaskImage)
}

// resolver returns what a task's objects need of its image, and whether the image is yet to be
// put into the registry.
type resolver func(context.Context, opi.Task) (image render.ResolvedImage, awaited bool, err error)

func (t *Tasks) desire(ctx context.Context, task opi.Task, resolve resolver) error {
	awaited := false
	written, err := t.jobs.Desire(ctx, task.GUID, task.Request, func(ctx context.Context) (objects job.Objects, err error) {
		var image render.ResolvedImage
		if image, awaited, err = resolve(ctx, task); err != nil {
			return job.Objects{}, err
		}
		objects, err = t.options.Settings.Render(task, image)
		if err == nil && awaited {
			err = t.options.Settings.awaitImage(objects, task)
		}
		return objects, err
	})
	if err != nil {
		return fmt.Errorf("desire task %s: %w", task.GUID, err)
	}
	if written {
		t.logger.Info("desired", lager.Data{"task_guid": task.GUID, "job": t.jobs.Name(task.GUID), "app_guid": task.App.GUID, "awaits_image": awaited})
	}
	return nil
}

// Get finds out whether a task is listed. The error wraps opi.ErrNotFound if it isn't.
func (t *Tasks) Get(ctx context.Context, guid string) error {
	_, err := t.find(ctx, guid)
	return err
}

// find returns the Job of a task that is listed.
func (t *Tasks) find(ctx context.Context, guid string) (*batchv1.Job, error) {
	found, err := t.jobs.Find(ctx, guid)
	switch {
	case errors.Is(err, opi.ErrRefused):
		return nil, fmt.Errorf("task %s: %w", guid, opi.ErrNotFound) // another object has the name
	case err != nil:
		return nil, fmt.Errorf("get task: %w", err)
	case !pending(found):
		return nil, fmt.Errorf("task %s: %w: Cloud Controller has answered its outcome", guid, opi.ErrNotFound)
	}
	return found, nil
}

// List returns, in order, the guids of all tasks of a door that have no outcome that Cloud
// Controller has answered. It reads from the API server, since what one
// replica has watched may lack what another one has just made; Cloud Controller takes a
// task that is missing for failed. Errors wrap opi.ErrUnavailable.
func (t *Tasks) List(ctx context.Context, door opi.Door) ([]string, error) {
	found, err := t.list(ctx, []opi.Door{door})
	if err != nil {
		return nil, err
	}
	guids := make([]string, 0, len(found))
	for i := range found {
		guids = append(guids, found[i].Labels[keys.GUID])
	}
	slices.Sort(guids)
	return guids, nil
}

func (t *Tasks) list(ctx context.Context, doors []opi.Door) ([]metav1.PartialObjectMetadata, error) {
	found, err := t.options.Metadata.Resource(batchv1.SchemeGroupVersion.WithResource("jobs")).
		Namespace(t.options.Settings.Translation.Namespace).List(ctx, metav1.ListOptions{LabelSelector: t.jobs.Selector()})
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", apierror.Classify(err))
	}
	return slices.DeleteFunc(found.Items, func(found metav1.PartialObjectMetadata) bool {
		return !pending(&found) || !slices.Contains(doors, job.Door(&found))
	}), nil
}

// pending reports whether the outcome was not answered, and will be sent: not for a Job
// without the finalizer of reports.
func pending(found metav1.Object) bool {
	return found.GetAnnotations()[keys.OutcomeAnswer] == "" && slices.Contains(found.GetFinalizers(), keys.ReportFinalizer)
}

// Cancel ends a task: its pod goes, and its outcome is that it was cancelled. One that has
// ended stays as it is. The error wraps opi.ErrNotFound for a task that is not listed.
func (t *Tasks) Cancel(ctx context.Context, guid string) error {
	if err := t.Get(ctx, guid); err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	if err := t.jobs.Cancel(ctx, guid, stop{At: t.jobs.Now().UTC()}); err != nil {
		return fmt.Errorf("cancel task: %w", err)
	}
	return nil
}

// Sweep deletes the Secrets of tasks whose outcome was answered, and those that have no Job,
// until ctx ends. Run it where this replica leads.
func (t *Tasks) Sweep(ctx context.Context) error { return t.jobs.Sweep(ctx) }
