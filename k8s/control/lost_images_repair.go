package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"code.cloudfoundry.org/lager/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/reconcile"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// pullState finds the pods that wait because a node can't pull their image, and says
// whether every desired instance has a pod that could. An instance between two pods has
// not: the next one must show.
func pullState(lrp view.LRP, pods []view.Pod) (waiting []view.Pod, pulled bool) {
	having := 0
	for _, pod := range pods {
		container := pod.Container
		switch {
		case pod.Deleting != nil:
		case container.Waiting != nil && (container.Waiting.Reason == "ErrImagePull" || container.Waiting.Reason == "ImagePullBackOff"):
			waiting = append(waiting, pod)
		case pod.Index < lrp.Instances && (container.Running || container.Terminated != nil || container.LastTermination != nil):
			having++
		}
	}
	return waiting, len(waiting) == 0 && having >= lrp.Instances
}

// lostImage is what one reconcile works with. Each step fills in what the next one needs.
type lostImage struct {
	id      opi.LRPIdentifier
	lrp     view.LRP
	waiting []view.Pod
	open    *imageCase
	// set is the LRP's StatefulSet, recorded the LRP that it holds.
	set      *appsv1.StatefulSet
	recorded opi.LRP
	// to is the image that was put together, and image its name.
	to    render.AppImage
	image string
}

// findWaitingPods lets LRPs pass of which pods wait for an image, when a repair is due.
func (l *LostImages) findWaitingPods(_ context.Context, i *lostImage) (reconcile.Result, error) {
	nothing := reconcile.Result{Last: true}
	lrp, known := l.options.View.LRP(i.id)
	if !known {
		l.close(i.id)
		return nothing, nil
	}
	waiting, pulled := pullState(lrp, l.options.View.Pods(lrp.UID))
	if pulled {
		l.close(i.id)
	}
	if len(waiting) == 0 {
		return nothing, nil
	}
	open := l.open(lrp)
	if open.foreign {
		return nothing, nil
	}
	if rest := open.next.Sub(l.options.Clock.Now()); rest > 0 {
		return reconcile.Result{Again: rest, Last: true}, nil
	}
	i.lrp, i.waiting, i.open = lrp, waiting, open
	return reconcile.Result{}, nil
}

// assembleImage has the image put together again. The time of the next repair is set before
// anything is tried, so that nothing is tried in a loop, whatever fails.
func (l *LostImages) assembleImage(ctx context.Context, i *lostImage) (reconcile.Result, error) {
	failed := reconcile.Result{Last: true}
	set, err := l.options.StatefulSets.Get(ctx, i.lrp.Name, i.lrp.UID)
	if errors.Is(err, live.ErrStopped) {
		return failed, nil
	}
	if err != nil {
		return failed, err
	}
	i.open.postpone(l.options.Clock.Now())
	recorded, err := recordedOn(set)
	if errors.Is(err, render.ErrNoDroplet) {
		l.mutex.Lock()
		defer l.mutex.Unlock()
		i.open.foreign = true
		return failed, nil
	}
	if err != nil {
		return failed, err
	}
	if i.open.replaced {
		l.tellOnce(i.lrp, i.open, "still", "its nodes still can't pull its image, although it was put together again: "+i.waiting[0].Container.Waiting.Message)
	}
	to, err := l.options.Images.Repair(ctx, recorded)
	if err != nil {
		err := l.irreparable(ctx, i.lrp, i.open, err)
		return reconcile.Result{Again: l.untilNext(i.open), Last: true}, err
	}
	i.open.unmade = 0
	i.set, i.recorded, i.to, i.image = set, recorded, to, l.options.Registry.DropletImage(recorded, to.Revision)
	return reconcile.Result{}, nil
}

func (l *LostImages) untilNext(open *imageCase) time.Duration {
	return open.next.Sub(l.options.Clock.Now())
}

// replacePods lets nodes pull the image if it has the name that the LRP's pods have.
func (l *LostImages) replacePods(ctx context.Context, i *lostImage) (reconcile.Result, error) {
	switch {
	case i.image == imageOf(i.set):
		i.open.replaced = true
		err := l.replace(ctx, i.lrp, i.waiting)
		return reconcile.Result{Again: l.untilNext(i.open), Last: true}, err
	case i.open.repairs == 1:
		// The image that it has may be whole, and the node find it again.
		return reconcile.Result{Again: l.untilNext(i.open), Last: true}, nil
	}
	return reconcile.Result{}, nil
}

// moveLRP takes the LRP to the only image that can still be made of its droplet.
func (l *LostImages) moveLRP(ctx context.Context, i *lostImage) (reconcile.Result, error) {
	err := l.move(ctx, i.set, i.recorded, i.to, i.image)
	if errors.Is(err, live.ErrStopped) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{Again: l.untilNext(i.open)}, err
}

// irreparable says why an image can't be made. It is tried again at the time set.
func (l *LostImages) irreparable(ctx context.Context, lrp view.LRP, open *imageCase, err error) error {
	if ctx.Err() != nil {
		return err
	}
	l.metrics.repairs.WithLabelValues("failed").Inc()
	kind := "refused"
	if !errors.Is(err, opi.ErrRefused) {
		kind = "unavailable"
		open.takeBack(l.options.Clock.Now())
	}
	l.tellOnce(lrp, open, kind, "its image can't be pulled, and putting it together again failed: "+err.Error())
	return nil
}

// tellOnce tells people of a kind of trouble, once as long as it lasts.
func (l *LostImages) tellOnce(lrp view.LRP, open *imageCase, kind, text string) {
	if open.told[kind] {
		return
	}
	open.told[kind] = true
	text = opi.PlainText(text, maxEventMessage)
	l.options.Events.Event(live.Reference(lrp), corev1.EventTypeWarning, "ImageLost", text)
	l.logger.Info("image-lost", lager.Data{"process_guid": lrp.ProcessGUID(), "statefulset": lrp.Name, "reason": text})
}

// replace deletes the pods that wait. Nothing runs in them, so they end at once.
func (l *LostImages) replace(ctx context.Context, lrp view.LRP, waiting []view.Pod) error {
	l.metrics.repairs.WithLabelValues("repaired").Inc()
	var errs []error
	var indexes []string
	for _, pod := range waiting {
		err := l.options.Pods.Pods(lrp.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{Preconditions: live.OwnUID(pod.UID)})
		// A conflict means that the name now belongs to another pod: this one is gone.
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			errs = append(errs, fmt.Errorf("delete pod %s: %w", pod.Name, apierror.Classify(err)))
			continue
		}
		l.options.View.NoteDeletedPod(pod.UID)
		l.metrics.deleted.Inc()
		indexes = append(indexes, fmt.Sprint(pod.Index))
	}
	if len(indexes) == 0 {
		return errors.Join(errs...)
	}
	which := strings.Join(indexes, ", ")
	l.options.Events.Eventf(live.Reference(lrp), corev1.EventTypeNormal, "ImageRepaired",
		"The LRP's image could not be pulled and was put together again; instances that waited for it are replaced: %s.", which)
	l.logger.Info("repaired", lager.Data{"process_guid": lrp.ProcessGUID(), "statefulset": lrp.Name, "replaced": which})
	return errors.Join(errs...)
}

func (l *LostImages) move(ctx context.Context, set *appsv1.StatefulSet, recorded opi.LRP, to render.AppImage, image string) error {
	from := revisionOf(set)
	err := l.options.StatefulSets.Change(ctx, set, func(set *appsv1.StatefulSet) (*live.Patch, error) {
		if imageOf(set) == image {
			return nil, nil
		}
		return movePatch(set, to, image)
	})
	if err != nil {
		return err
	}
	l.metrics.repairs.WithLabelValues("moved").Inc()
	l.options.Events.Eventf(live.Reference(l.options.View.FromLive(set)), corev1.EventTypeNormal, "ImageReplaced",
		"The LRP's image on revision %s of stack %s is lost; the LRP was moved to revision %s.", from, to.Stack, to.Revision)
	l.logger.Info("moved", lager.Data{"process_guid": recorded.ProcessGUID(), "statefulset": set.Name, "from": from, "to": to.Revision})
	return nil
}
