package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// releaseTimeout bounds how long CrashBackoff.Run takes to let go of pods at its end.
const releaseTimeout = 3 * time.Second

// CrashBackoff delays the replacement of instances that are over their disk limit again and
// again. kubelet evicts such a pod and the StatefulSet controller makes another one at once,
// without the back-off that a container gets which crashes in its pod.
//
// It counts these ends for each index in an annotation of the StatefulSet
// (keys.DiskCrashes). As on Diego, the first two replacements are immediate. From the first
// end on, the next pod of that index gets a finalizer (keys.CrashBackoffFinalizer), which
// keeps the pod's name taken when the pod is evicted for its own disk again; from the third
// end on, it stays until the back-off is over. It is removed at once when the pod ends in
// any other way, while the LRP is moved to another stack, when the instance is not desired
// any more or has run for a while, and when the namespace is being deleted.
//
// CrashBackoff is level-triggered: it may be killed and started again at any point, and two
// at once do each other no harm; one is enough, so run it where this replica leads. When it
// ends in order it removes all finalizers, so that no pod waits for a CrashBackoff that does
// not run any more, as after a rollback; the next one puts them back.
//
// An eviction that no leader sees is not counted, unless the pod has the finalizer: the
// StatefulSet controller deletes the pod, and the API server forgets it, within milliseconds.
// So ends are taken in by the goroutine of the watch, and wait in memory to be counted.
type CrashBackoff struct {
	options CrashBackoffOptions
	logger  lager.Logger
	metrics crashBackoffMetrics
	loop    reconcileLoop[opi.LRPIdentifier]
	ended   endedPods
	// namespaceEnds is set once the namespace is being deleted.
	namespaceEnds atomic.Bool
}

// CrashBackoffOptions are what CrashBackoff works with.
type CrashBackoffOptions struct {
	Options
	// Observe, where set, is called when an LRP's instance has ended, and again before its pod
	// is let go, so that the crash is taken in before the pod vanishes. It must return
	// quickly. An error keeps a pod with the finalizer until a call succeeds.
	Observe func(opi.LRPIdentifier) error
	// Workers bounds how many LRPs are handled at the same time; 8 when 0.
	Workers int
}

// NewCrashBackoff subscribes to the view.
func NewCrashBackoff(options CrashBackoffOptions) *CrashBackoff {
	options.Options, options.Workers = options.withDefaults(), cmp.Or(options.Workers, 8)
	b := &CrashBackoff{
		options: options,
		logger:  options.Logger.Session("crash-backoff"),
		metrics: newCrashBackoffMetrics(options.View, options.Registerer),
	}
	options.View.Subscribe(func(change view.Change) {
		if change.Resource == view.Pods {
			b.notice(change.LRP)
		}
		if change.Resource == view.Pods || change.Resource == view.StatefulSets {
			b.loop.enqueue(change.LRP, 0)
		}
	})
	return b
}

// Run handles every LRP once and then each time that it or one of its pods changes, or that
// a back-off ends, until ctx ends. It waits for the view first and returns when all workers
// have stopped and the finalizers are removed.
func (b *CrashBackoff) Run(ctx context.Context) error {
	b.ended.start()
	defer b.ended.stop()
	var background sync.WaitGroup
	defer background.Wait()
	background.Go(func() { b.watchNamespace(ctx) })
	b.loop.run(ctx, reconciling[opi.LRPIdentifier]{
		workers: b.options.Workers,
		clock:   b.options.Clock,
		synced:  b.options.View.Synced,
		all: func() []opi.LRPIdentifier {
			return append(b.options.View.Identities(), b.options.View.DiskIdentities()...)
		},
		reconcile: b.reconcile,
		failed: func(id opi.LRPIdentifier, err error) {
			b.metrics.failures.Inc()
			b.logger.Error("reconcile-failed", err, lager.Data{"process_guid": id.ProcessGUID()})
		},
	})
	b.releaseAll(ctx)
	return nil
}

// notice takes in pods that are over their disk limit, which may be gone in the next moment.
// The view calls it after each change of a pod.
func (b *CrashBackoff) notice(id opi.LRPIdentifier) {
	pods := b.options.View.OverDisk(id)
	if len(pods) > 0 && b.ended.add(id, pods) && b.options.Observe != nil {
		_ = b.options.Observe(id) // the same is called again before a pod with the finalizer is let go
	}
}

// releaseAll removes the finalizer from all pods. What it does not manage in time, the next
// leader's CrashBackoff or a person has to do.
func (b *CrashBackoff) releaseAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	var calls errgroup.Group
	calls.SetLimit(max(1, b.options.Workers))
	for _, id := range b.options.View.DiskIdentities() {
		for _, pod := range b.options.View.HeldBack(id) {
			calls.Go(func() error {
				if err := b.releasePod(ctx, pod); err != nil {
					b.logger.Error("release-failed", err, lager.Data{"process_guid": id.ProcessGUID(), "pod": pod.Name})
				}
				return nil
			})
		}
	}
	_ = calls.Wait() // logged
}

// reconcile counts new ends of an LRP's instances and then puts the finalizer where it
// belongs and nowhere else. It returns when to look again; 0 is not before a change.
func (b *CrashBackoff) reconcile(ctx context.Context, id opi.LRPIdentifier) (again time.Duration, err error) {
	var lrp *view.LRP
	if found, known := b.options.View.LRP(id); known {
		lrp = &found
	}
	heldBack := b.options.View.HeldBack(id)
	ended := b.ended.of(id)
	if lrp == nil || b.namespaceEnds.Load() {
		b.ended.remove(id, ended)
		return 0, b.release(ctx, heldBack)
	}
	if lrp.DiskCrashes == "" && len(heldBack) == 0 && len(ended) == 0 && len(b.options.View.OverDisk(id)) == 0 {
		return 0, nil
	}
	countErr := b.count(ctx, lrp, b.withEnded(*lrp, ended))
	switch {
	case errors.Is(countErr, live.ErrStopped):
		return 0, nil // its events bring us back
	case countErr == nil:
		b.ended.remove(id, ended)
	}
	plan := planBackoff(*lrp, b.options.View.Pods(lrp.UID), heldBack, b.options.Clock.Now())
	return plan.again, errors.Join(countErr, b.hold(ctx, plan.hold), b.release(ctx, plan.release))
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
	return b.options.Client.CoreV1().Pods(b.options.Namespace)
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
