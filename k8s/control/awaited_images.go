package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/imagewait"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/reconcile"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// ImageAssembly puts images of droplets into the registry.
type ImageAssembly interface {
	// Assemble makes sure that the image of the LRP's droplet can be pulled, and returns what
	// it is built on. Errors wrap opi.ErrRefused if there can't be one, and
	// opi.ErrUnavailable if it may succeed later; work that takes longer than the caller
	// waits goes on, and the error then wraps context.DeadlineExceeded.
	Assemble(ctx context.Context, lrp opi.LRP) (render.AppImage, error)
}

// awaitPauses bound the pauses between attempts at an awaited image.
var awaitPauses = imagewait.Pauses{Unavailable: 5 * time.Minute, Refused: 30 * time.Minute}

// AwaitedImages starts the instances of LRPs that were accepted before their images were in
// the registry ([keys.AwaitedImage]): it has the image put there, and then sets replicas,
// image and annotation in one write.
//
// The reason why an image can't be made is written to the annotation, where the view reads
// it, and tried again with growing pauses. All that must be remembered is on the object, so a
// new leader goes on where the old one was.
type AwaitedImages struct {
	options AwaitedImagesOptions
	logger  lager.Logger
	metrics awaitedImageMetrics
	steps   *reconcile.Steps[*awaitedImage]
	loop    leaderLoop[opi.LRPIdentifier]
}

// AwaitedImagesOptions are what AwaitedImages works with.
type AwaitedImagesOptions struct {
	// View must not be running yet when AwaitedImages is made.
	View         AwaitedImagesView
	StatefulSets AwaitedImagesStatefulSets
	// Events shows people with kubectl why an LRP has no instances.
	Events record.EventRecorder
	// Images assembles, and Registry names the images as kubelet pulls them.
	Images   ImageAssembly
	Registry render.RegistrySettings
	// Workers bounds how many images are waited for at the same time; 500 when 0. They hardly do
	// more than wait: with fewer, an app whose image takes a moment would wait for a turn while a
	// whole foundation moves.
	Workers int
	Logger  lager.Logger
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
	// Clock is the source of the time and of timers; the real one when nil.
	Clock clock.WithTicker
}

// AwaitedImagesView shows AwaitedImages the LRPs.
type AwaitedImagesView interface {
	Synced() bool
	Subscribe(func(view.Change))
	Identities() []opi.LRPIdentifier
	LRP(opi.LRPIdentifier) (view.LRP, bool)
	EachLRP(func(*view.LRP))
	FromLive(*appsv1.StatefulSet) view.LRP
}

// AwaitedImagesStatefulSets are the StatefulSets of LRPs at the API server.
type AwaitedImagesStatefulSets interface {
	Get(ctx context.Context, name string, uid types.UID) (*appsv1.StatefulSet, error)
	Change(ctx context.Context, set *appsv1.StatefulSet, change func(*appsv1.StatefulSet) (*live.Patch, error)) error
}

// awaitedImage is an LRP on its way through the steps.
type awaitedImage struct {
	id  opi.LRPIdentifier
	set *appsv1.StatefulSet
	// image and to are set once the image is in the registry.
	image string
	to    render.AppImage
}

// NewAwaitedImages subscribes to the view.
func NewAwaitedImages(options AwaitedImagesOptions) *AwaitedImages {
	options.Workers = cmp.Or(options.Workers, 500)
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	a := &AwaitedImages{options: options, logger: options.Logger.Session("awaited-images"), metrics: newAwaitedImageMetrics(options)}
	a.steps = reconcile.NewSteps("awaited-images", options.Registerer,
		reconcile.Step[*awaitedImage]{Name: "find-lrp", Run: a.findLRP},
		reconcile.Step[*awaitedImage]{Name: "assemble-image", Run: a.assembleImage},
		reconcile.Step[*awaitedImage]{Name: "start-instances", Run: a.startInstances},
	)
	options.View.Subscribe(func(change view.Change) {
		if change.Resource == view.StatefulSets {
			a.loop.enqueue(change.LRP)
		}
	})
	return a
}

// Run looks at every LRP once and then each time that it changes, or the time for another
// attempt has come, until ctx ends. It waits for the view first and returns when all workers
// have stopped.
func (a *AwaitedImages) Run(ctx context.Context) error {
	a.loop.run(ctx, a.options.View, a.options.View.Identities, reconcile.Options[opi.LRPIdentifier]{
		Reconcile: func(ctx context.Context, id opi.LRPIdentifier) (time.Duration, error) {
			again, err := a.steps.Run(ctx, &awaitedImage{id: id})
			if err != nil {
				err = fmt.Errorf("start LRP %s with its image: %w", id, err)
			}
			return again, err
		},
		Failed: func(id opi.LRPIdentifier, err error, _ time.Duration) {
			a.logger.Error("reconcile-failed", err, lager.Data{"process_guid": id.ProcessGUID()})
		},
		Workers: a.options.Workers,
		Clock:   a.options.Clock,
	})
	return nil
}

// findLRP ends the reconcile unless the LRP waits for its image and another attempt is due.
func (a *AwaitedImages) findLRP(ctx context.Context, i *awaitedImage) (reconcile.Result, error) {
	lrp, known := a.options.View.LRP(i.id)
	if !known || lrp.Awaited == nil {
		return reconcile.Result{Last: true}, nil
	}
	if wait := lrp.Awaited.Next.Sub(a.options.Clock.Now()); wait > 0 {
		return reconcile.Result{Again: wait, Last: true}, nil
	}
	set, err := a.options.StatefulSets.Get(ctx, lrp.Name, lrp.UID)
	switch {
	case errors.Is(err, live.ErrStopped):
		return reconcile.Result{Last: true}, nil
	case err != nil:
		return reconcile.Result{Last: true}, err
	case a.options.View.FromLive(set).Awaited == nil:
		return reconcile.Result{Last: true}, nil
	}
	i.set = set
	return reconcile.Result{}, nil
}

// assembleImage waits for the image. What went wrong is written down for users.
func (a *AwaitedImages) assembleImage(ctx context.Context, i *awaitedImage) (reconcile.Result, error) {
	recorded, err := recordedOn(i.set)
	switch {
	case errors.Is(err, render.ErrNoDroplet):
		// The annotation was written by hand: the image is whatever the template names.
		i.image = imageOf(i.set)
		return reconcile.Result{}, nil
	case err != nil:
		return reconcile.Result{Last: true}, err
	}
	i.to, err = a.options.Images.Assemble(ctx, recorded)
	if err == nil {
		i.image = a.options.Registry.DropletImage(recorded, i.to.Revision)
		return reconcile.Result{}, nil
	}
	if ctx.Err() != nil {
		return reconcile.Result{Last: true}, err
	}
	again, err := a.note(ctx, i.set, err)
	if errors.Is(err, live.ErrStopped) {
		err = nil
	}
	return reconcile.Result{Again: again, Last: true}, err
}

// note writes down why there is no image, and returns the time until the next attempt.
func (a *AwaitedImages) note(ctx context.Context, set *appsv1.StatefulSet, cause error) (again time.Duration, err error) {
	outcome := imagewait.Outcome(cause)
	a.metrics.attempts.WithLabelValues(outcome).Inc()
	var held view.LRP
	isNew := false
	err = a.options.StatefulSets.Change(ctx, set, func(set *appsv1.StatefulSet) (*live.Patch, error) {
		held, isNew = a.options.View.FromLive(set), false
		if held.Awaited == nil {
			return nil, nil
		}
		noted := *held.Awaited
		noted.State, again = noted.Failed(cause, a.options.Clock.Now().UTC(), awaitPauses)
		if noted == *held.Awaited {
			return nil, nil
		}
		isNew = noted.Fault != held.Awaited.Fault || noted.Lasting != held.Awaited.Lasting
		annotation, err := noted.Encode()
		if err != nil {
			return nil, err
		}
		return &live.Patch{Metadata: live.Metadata{Annotations: map[string]*string{keys.AwaitedImage: &annotation}}}, nil
	})
	if err == nil && isNew && outcome != imagewait.Ongoing {
		text := imagewait.Fault(cause)
		a.options.Events.Event(live.Reference(held), corev1.EventTypeWarning, "ImageMissing", text)
		a.logger.Info("image-missing", lager.Data{
			"process_guid": held.ProcessGUID(), "statefulset": held.Name, "lasting": outcome == imagewait.Refused, "reason": cause.Error(),
		})
	}
	return again, err
}

// startInstances lets the LRP run. An update may have changed the number of instances, or
// another replica may have done the same: the write is for one version of the object.
func (a *AwaitedImages) startInstances(ctx context.Context, i *awaitedImage) (reconcile.Result, error) {
	var started *view.LRP
	err := a.options.StatefulSets.Change(ctx, i.set, func(set *appsv1.StatefulSet) (*live.Patch, error) {
		started = nil
		held := a.options.View.FromLive(set)
		if held.Awaited == nil {
			return nil, nil
		}
		patch := &live.Patch{}
		if i.image != imageOf(set) {
			var err error
			if patch, err = movePatch(set, i.to, i.image); err != nil {
				return nil, err
			}
		}
		if patch.Metadata.Annotations == nil {
			patch.Metadata.Annotations = map[string]*string{}
		}
		patch.Metadata.Annotations[keys.AwaitedImage] = nil
		patch.Spec.Replicas = ptr.To(held.Awaited.Instances)
		started = &held
		return patch, nil
	})
	switch {
	case errors.Is(err, live.ErrStopped):
		return reconcile.Result{}, nil
	case err != nil:
		return reconcile.Result{}, err
	}
	if started != nil {
		a.metrics.attempts.WithLabelValues(imagewait.Assembled).Inc()
		a.metrics.seconds.Observe(a.options.Clock.Since(started.Created).Seconds())
		a.logger.Info("started", lager.Data{"process_guid": started.ProcessGUID(), "statefulset": started.Name, "instances": started.Awaited.Instances, "image": i.image})
	}
	return reconcile.Result{}, nil
}
