package control

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"code.cloudfoundry.org/lager/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/reconcile"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// backedOffLRP is what one reconcile works with. Each step fills in what the next one needs.
type backedOffLRP struct {
	id  opi.LRPIdentifier
	lrp view.LRP
	// heldBack are the pods with the finalizer, ended those that wait to be counted.
	heldBack, ended []view.Pod
	hold, release   []view.Pod
}

// lookAtEnds lets LRPs pass of which instances were over their disk limit lately. All pods are
// let go where no LRP is desired any more.
func (b *CrashBackoff) lookAtEnds(ctx context.Context, l *backedOffLRP) (reconcile.Result, error) {
	lrp, known := b.options.View.LRP(l.id)
	l.lrp, l.heldBack, l.ended = lrp, b.options.View.HeldBack(l.id), b.ended.of(l.id)
	if !known || b.namespaceEnds.Load() {
		b.ended.remove(l.id, l.ended)
		return reconcile.Result{Last: true}, b.release(ctx, l.heldBack)
	}
	nothing := lrp.DiskCrashes == "" && len(l.heldBack) == 0 && len(l.ended) == 0 && len(b.options.View.OverDisk(l.id)) == 0
	return reconcile.Result{Last: nothing}, nil
}

// countEnds writes new ends down.
func (b *CrashBackoff) countEnds(ctx context.Context, l *backedOffLRP) (reconcile.Result, error) {
	err := b.count(ctx, &l.lrp, b.withEnded(l.lrp, l.ended))
	switch {
	case errors.Is(err, live.ErrStopped):
		return reconcile.Result{Last: true}, nil // its events bring us back
	case err == nil:
		b.ended.remove(l.id, l.ended)
	}
	return reconcile.Result{}, err
}

// plan decides where the finalizer belongs.
func (b *CrashBackoff) plan(_ context.Context, l *backedOffLRP) (reconcile.Result, error) {
	plan := planBackoff(l.lrp, b.options.View.Pods(l.lrp.UID), l.heldBack, b.options.Clock.Now())
	l.hold, l.release = plan.hold, plan.release
	return reconcile.Result{Again: plan.again}, nil
}

func (b *CrashBackoff) holdPods(ctx context.Context, l *backedOffLRP) (reconcile.Result, error) {
	return reconcile.Result{}, b.hold(ctx, l.hold)
}

func (b *CrashBackoff) releasePods(ctx context.Context, l *backedOffLRP) (reconcile.Result, error) {
	return reconcile.Result{}, b.release(ctx, l.release)
}

// withEnded returns the pods of an LRP that have ended, in that order, and after those the
// other ones that the view has.
func (b *CrashBackoff) withEnded(lrp view.LRP, ended []view.Pod) []view.Pod {
	pods := slices.DeleteFunc(slices.Clone(ended), func(pod view.Pod) bool { return pod.Owner != lrp.UID })
	for _, pod := range b.options.View.Pods(lrp.UID) {
		if !containsPod(pods, pod.UID) {
			pods = append(pods, pod)
		}
	}
	return pods
}

// count writes down new ends, and forgets those that do not matter any more. It updates
// lrp with what was written.
func (b *CrashBackoff) count(ctx context.Context, lrp *view.LRP, pods []view.Pod) error {
	if _, changed := parseDiskCrashes(lrp.DiskCrashes).update(*lrp, pods, b.options.Clock.Now()); !changed {
		return nil
	}
	set, err := b.options.StatefulSets.Get(ctx, lrp.Name, lrp.UID)
	if err != nil {
		return err
	}
	var counted []view.Pod
	var crashes diskCrashes
	err = b.options.StatefulSets.Change(ctx, set, func(set *appsv1.StatefulSet) (*live.Patch, error) {
		now := b.options.View.FromLive(set)
		crashes = parseDiskCrashes(now.DiskCrashes)
		var changed bool
		counted, changed = crashes.update(now, pods, b.options.Clock.Now())
		text, err := crashes.encode()
		if err != nil || !changed {
			*lrp = now
			return nil, err
		}
		now.DiskCrashes = text
		*lrp = now
		annotation := map[string]*string{keys.DiskCrashes: nil}
		if text != "" {
			annotation[keys.DiskCrashes] = &text
		}
		return &live.Patch{Metadata: live.Metadata{Annotations: annotation}}, nil
	})
	if err != nil {
		return fmt.Errorf("count disk crashes of LRP %s: %w", lrp.LRPIdentifier, err)
	}
	for _, pod := range counted {
		b.tell(set, pod, crashes[pod.Index].Count)
	}
	return nil
}

// tell counts an end, and writes it to the log and as an Event to the StatefulSet.
func (b *CrashBackoff) tell(set *appsv1.StatefulSet, pod view.Pod, count int) {
	b.metrics.crashes.Inc()
	next := "at once"
	if wait := backoffAfter(count); wait > 0 {
		next = "after " + wait.String()
	}
	about := &corev1.ObjectReference{APIVersion: "apps/v1", Kind: "StatefulSet", Namespace: set.Namespace, Name: set.Name, UID: set.UID}
	b.options.Events.Eventf(about, corev1.EventTypeWarning, "OverDiskLimit",
		"Instance %d used more disk than its limit of %d MiB, for the %s time lately. It is started again %s.", pod.Index, pod.Container.DiskLimit>>20, ordinal(count), next)
	b.logger.Info("over-disk-limit", lager.Data{
		"process_guid": pod.ProcessGUID(), "index": pod.Index, "instance": pod.UID, "limit_bytes": pod.Container.DiskLimit, "count": count, "again": next,
	})
}

// hold puts the finalizer on pods.
func (b *CrashBackoff) hold(ctx context.Context, pods []view.Pod) error {
	var errs []error
	for _, pod := range pods {
		errs = append(errs, live.HoldPod(ctx, b.pods(), pod.Name, pod.UID))
	}
	return errors.Join(errs...)
}

// release removes the finalizer from pods.
func (b *CrashBackoff) release(ctx context.Context, pods []view.Pod) error {
	var errs []error
	for _, pod := range pods {
		if pod.OverDisk() && b.options.Observe != nil {
			if err := b.options.Observe(pod.LRPIdentifier); err != nil {
				errs = append(errs, fmt.Errorf("report the crash of pod %s: %w", pod.Name, err))
				continue
			}
		}
		errs = append(errs, b.releasePod(ctx, pod))
	}
	return errors.Join(errs...)
}

func (b *CrashBackoff) releasePod(ctx context.Context, pod view.Pod) error {
	return live.ReleasePod(ctx, b.pods(), pod.Name, pod.UID)
}

func (b *CrashBackoff) pods() coreclient.PodInterface {
	return b.options.Pods.Pods(b.options.Namespace)
}

func ordinal(n int) string {
	switch {
	case n%100 >= 11 && n%100 <= 13:
	case n%10 == 1:
		return fmt.Sprintf("%dst", n)
	case n%10 == 2:
		return fmt.Sprintf("%dnd", n)
	case n%10 == 3:
		return fmt.Sprintf("%drd", n)
	}
	return fmt.Sprintf("%dth", n)
}
