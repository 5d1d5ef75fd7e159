package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/reconcile"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

const (
	// podPatchesPerSecond bounds how many pods PodMetadata patches a second: after
	// an upgrade, 10,000 pods take less than seven minutes. Each patch is an event for all that
	// watch pods, and policy agents compute their rules again.
	podPatchesPerSecond = 25
	// podPatchBurst lets the pods of a few LRPs be patched at once.
	podPatchBurst = 50
)

// PodMetadata gives pods the labels and annotations that their template lacks
// ([view.LRP.PodMetadata]). Templates never change, so pods of an LRP that an earlier release
// rendered lack the labels with dashes, by which policy agents select, and no template follows
// an update of metric tags.
//
// It selects the pods in the view and makes one patch for each that lacks something, with its
// uid as precondition; pods that lack nothing cost no call. It writes to pods of the LRP's
// StatefulSet only, and no label that a StatefulSet, a budget or a policy of Irene's selects
// by. Pods of builds and tasks are left alone: they end by themselves.
type PodMetadata struct {
	options PodMetadataOptions
	logger  lager.Logger
	metrics podMetadataMetrics
	steps   *reconcile.Steps[*lackingPods]
	limiter flowcontrol.RateLimiter
	loop    leaderLoop[opi.LRPIdentifier]
}

// PodMetadataOptions are what PodMetadata works with.
type PodMetadataOptions struct {
	// Namespace is the apps'.
	Namespace string
	// View must not be running yet when PodMetadata is made.
	View PodMetadataView
	Pods coreclient.PodsGetter
	// PatchesPerSecond bounds the patches of all pods together; 25 when 0.
	PatchesPerSecond float32
	// Workers bounds how many pods are patched at the same time; 4 when 0.
	Workers int
	Logger  lager.Logger
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
	// Clock is the source of the time of the loop; the real one when nil.
	Clock clock.WithTicker
}

// PodMetadataView shows PodMetadata the pods, and takes note of what it writes.
type PodMetadataView interface {
	Synced() bool
	Subscribe(func(view.Change))
	Identities() []opi.LRPIdentifier
	LRP(opi.LRPIdentifier) (view.LRP, bool)
	PodsWithoutMetadata(view.LRP) []view.Pod
	CountPodsWithoutMetadata() int
	NotePod(*corev1.Pod)
}

// lackingPods is an LRP on its way through the steps, and its pods that lack metadata.
type lackingPods struct {
	id   opi.LRPIdentifier
	lrp  view.LRP
	pods []view.Pod
}

// NewPodMetadata subscribes to the view.
func NewPodMetadata(options PodMetadataOptions) *PodMetadata {
	options.Workers = cmp.Or(options.Workers, 4)
	options.PatchesPerSecond = cmp.Or(options.PatchesPerSecond, podPatchesPerSecond)
	p := &PodMetadata{
		options: options,
		logger:  options.Logger.Session("pod-metadata"),
		metrics: newPodMetadataMetrics(options),
		limiter: flowcontrol.NewTokenBucketRateLimiter(options.PatchesPerSecond, podPatchBurst),
	}
	p.steps = reconcile.NewSteps("pod-metadata", options.Registerer,
		reconcile.Step[*lackingPods]{Name: "find-pods", Run: p.findPods},
		reconcile.Step[*lackingPods]{Name: "patch-pods", Run: p.patchPods},
	)
	options.View.Subscribe(func(change view.Change) {
		if change.Resource == view.Pods || change.Resource == view.StatefulSets {
			p.loop.enqueue(change.LRP)
		}
	})
	return p
}

// Run looks at every LRP once and then each time that it or one of its pods changes, until
// ctx ends. It waits for the view first and returns when all workers have stopped.
func (p *PodMetadata) Run(ctx context.Context) error {
	p.loop.run(ctx, p.options.View, p.options.View.Identities, reconcile.Options[opi.LRPIdentifier]{
		Reconcile: func(ctx context.Context, id opi.LRPIdentifier) (time.Duration, error) {
			again, err := p.steps.Run(ctx, &lackingPods{id: id})
			if err != nil {
				err = fmt.Errorf("bring the pods of LRP %s up to date: %w", id, err)
			}
			return again, err
		},
		Failed: func(id opi.LRPIdentifier, err error, _ time.Duration) {
			p.logger.Error("reconcile-failed", err, lager.Data{"process_guid": id.ProcessGUID()})
		},
		Workers: p.options.Workers,
		Clock:   p.options.Clock,
		// Events of a pod that can't be patched bring nothing new.
		Patient: true,
	})
	return nil
}

func (p *PodMetadata) findPods(_ context.Context, l *lackingPods) (reconcile.Result, error) {
	lrp, known := p.options.View.LRP(l.id)
	if !known {
		return reconcile.Result{Last: true}, nil
	}
	l.lrp, l.pods = lrp, p.options.View.PodsWithoutMetadata(lrp)
	return reconcile.Result{Last: len(l.pods) == 0}, nil
}

// patchPods goes on after a pod that can't be patched, but not while the API server is
// unavailable.
func (p *PodMetadata) patchPods(ctx context.Context, l *lackingPods) (reconcile.Result, error) {
	var errs []error
	for _, pod := range l.pods {
		if err := p.limiter.Wait(ctx); err != nil {
			return reconcile.Result{}, errors.Join(append(errs, err)...)
		}
		err := p.patch(ctx, l.lrp, pod)
		if err != nil {
			errs = append(errs, err)
		}
		if errors.Is(err, opi.ErrUnavailable) {
			break
		}
	}
	return reconcile.Result{}, errors.Join(errs...)
}

// patch gives a pod its metadata. That the pod is gone is no error.
func (p *PodMetadata) patch(ctx context.Context, lrp view.LRP, pod view.Pod) error {
	labels, annotations := lrp.PodMetadata()
	content, err := live.Patch{Metadata: live.Metadata{UID: pod.UID, Labels: labels, Annotations: annotations}}.Encode()
	if err != nil {
		return err
	}
	patched, err := p.options.Pods.Pods(p.options.Namespace).Patch(ctx, pod.Name, types.MergePatchType, content, metav1.PatchOptions{})
	switch {
	case apierrors.IsNotFound(err), apierrors.IsConflict(err): // the name belongs to another pod now
		p.metrics.patches.WithLabelValues(podGone).Inc()
		return nil
	case err != nil:
		p.metrics.patches.WithLabelValues(podNotPatched).Inc()
		return fmt.Errorf("patch pod %s: %w", pod.Name, apierror.Classify(err))
	}
	p.options.View.NotePod(patched)
	p.metrics.patches.WithLabelValues(podPatched).Inc()
	return nil
}
