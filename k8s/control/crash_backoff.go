package control

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/reconcile"
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
	steps   *reconcile.Steps[*backedOffLRP]
	loop    leaderLoop[opi.LRPIdentifier]
	ended   endedPods
	// namespaceEnds is set once the namespace is being deleted.
	namespaceEnds atomic.Bool
}

// CrashBackoffOptions are what CrashBackoff works with.
type CrashBackoffOptions struct {
	// Namespace is the apps'.
	Namespace string
	// View must not be running yet when CrashBackoff is made.
	View         CrashBackoffView
	StatefulSets CrashBackoffStatefulSets
	Pods         coreclient.PodsGetter
	Namespaces   coreclient.NamespacesGetter
	// Events shows people with kubectl what was done.
	Events record.EventRecorder
	// Observe, where set, is called when an LRP's instance has ended, and again before its pod
	// is let go, so that the crash is taken in before the pod vanishes. It must return
	// quickly. An error keeps a pod with the finalizer until a call succeeds.
	Observe func(opi.LRPIdentifier) error
	// Workers bounds how many LRPs are handled at the same time; 8 when 0.
	Workers int
	Logger  lager.Logger
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
	// Clock is the source of the time and of timers; the real one when nil.
	Clock clock.WithTicker
}

// CrashBackoffView shows CrashBackoff the LRPs and their pods.
type CrashBackoffView interface {
	Synced() bool
	Subscribe(func(view.Change))
	Identities() []opi.LRPIdentifier
	LRP(opi.LRPIdentifier) (view.LRP, bool)
	Pods(owner types.UID) []view.Pod
	OverDisk(opi.LRPIdentifier) []view.Pod
	FromLive(*appsv1.StatefulSet) view.LRP
	heldBackPods
}

// heldBackPods shows the pods with the finalizer.
type heldBackPods interface {
	DiskIdentities() []opi.LRPIdentifier
	HeldBack(opi.LRPIdentifier) []view.Pod
}

// CrashBackoffStatefulSets are the StatefulSets of LRPs at the API server.
type CrashBackoffStatefulSets interface {
	Get(ctx context.Context, name string, uid types.UID) (*appsv1.StatefulSet, error)
	Change(ctx context.Context, set *appsv1.StatefulSet, change func(*appsv1.StatefulSet) (*live.Patch, error)) error
}

// NewCrashBackoff subscribes to the view.
func NewCrashBackoff(options CrashBackoffOptions) *CrashBackoff {
	options.Workers = cmp.Or(options.Workers, 8)
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	b := &CrashBackoff{
		options: options,
		logger:  options.Logger.Session("crash-backoff"),
		metrics: newCrashBackoffMetrics(options.View, options.Registerer),
	}
	b.steps = reconcile.NewSteps("crash-backoff", options.Registerer,
		reconcile.Step[*backedOffLRP]{Name: "look-at-ends", Run: b.lookAtEnds},
		reconcile.Step[*backedOffLRP]{Name: "count-ends", Run: b.countEnds},
		reconcile.Step[*backedOffLRP]{Name: "plan", Run: b.plan},
		reconcile.Step[*backedOffLRP]{Name: "hold-pods", Run: b.holdPods},
		reconcile.Step[*backedOffLRP]{Name: "release-pods", Run: b.releasePods},
	)
	options.View.Subscribe(func(change view.Change) {
		if change.Resource == view.Pods {
			b.notice(change.LRP)
		}
		if change.Resource == view.Pods || change.Resource == view.StatefulSets {
			b.loop.enqueue(change.LRP)
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
	b.loop.run(ctx, b.options.View, b.identities, reconcile.Options[opi.LRPIdentifier]{
		Reconcile: func(ctx context.Context, id opi.LRPIdentifier) (time.Duration, error) {
			return b.steps.Run(ctx, &backedOffLRP{id: id})
		},
		Failed: func(id opi.LRPIdentifier, err error, _ time.Duration) {
			b.metrics.failures.Inc()
			b.logger.Error("reconcile-failed", err, lager.Data{"process_guid": id.ProcessGUID()})
		},
		Workers: b.options.Workers,
		Clock:   b.options.Clock,
	})
	b.releaseAll(ctx)
	return nil
}

// identities returns those of LRPs and of pods with the finalizer, which may have none.
func (b *CrashBackoff) identities() []opi.LRPIdentifier {
	return append(b.options.View.Identities(), b.options.View.DiskIdentities()...)
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
