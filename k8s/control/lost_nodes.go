package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"code.cloudfoundry.org/lager/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/pager"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// LostNodes removes pods from nodes that were lost, so that Kubernetes replaces
// them: a StatefulSet makes no second pod of a name while the first is there, and
// nobody but the node's kubelet says when that one has ended.
//
// A node is lost when its condition Ready has been Unknown for Grace: its kubelet
// stopped reporting. A kubelet that itself says that it is not ready still ends its
// pods in order, so such a node is left alone. Nothing is removed while most nodes
// are not ready, see view.MostLost; nor from a node that is back. Both are looked up
// live before the pods of a node, and in the view before each pod. A node whose
// object is deleted is not lost but gone: its pods are left to Kubernetes' own
// collector.
//
// It removes pods of apps, tasks and builds, also those that are being deleted
// already or whose owner is gone; never those that have ended, because nothing runs
// in them and they may hold a result. A pod with claims stays, unless PodsWithClaims,
// since the lost one may still write.
//
// It is level-triggered: it may be killed and started again at any point, and two at
// once do each other no harm; one is enough, so run it where this replica leads.
type LostNodes struct {
	options LostNodesOptions
	logger  lager.Logger
	metrics lostNodeMetrics
	// mostLost is what was last said in the log about most nodes being lost.
	mostLost atomic.Bool

	loop reconcileLoop[string]

	mutex sync.Mutex
	// kept are the pods of each silent node that were said to stay.
	kept map[string]map[types.UID]struct{}
}

// LostInstance is an instance of an app on a lost node.
type LostInstance struct {
	LRP   opi.LRPIdentifier
	Index int
	// GUID is the instance's, which is the pod's uid.
	GUID string
	// Node is the name of the node and Since is when Kubernetes noticed its silence.
	Node  string
	Since time.Time
}

const (
	// lookAgain is the pause before a node is looked at again that could not be
	// handled because most nodes are lost.
	lookAgain = 5 * time.Second
	// sweepAgain is how often a silent node is searched for pods that came late.
	sweepAgain = time.Minute
	// nodePage bounds how many nodes are in memory at once when all are counted.
	nodePage = 200
)

// LostNodesOptions are what LostNodes works with.
type LostNodesOptions struct {
	Options
	// Grace is how long a node may be silent, counted from when Kubernetes noticed;
	// view.DefaultLostNodeGrace when 0. That time is the controller manager's, so its clock
	// and this one's should agree.
	Grace time.Duration
	// PodsWithClaims removes pods with PersistentVolumeClaims as well. If the lost
	// node still runs one, two instances write to the same volume then.
	PodsWithClaims bool
	// Rescheduled, where set, is called for an app's instance before its pod is removed,
	// unless its end had been requested already. An error keeps the pod until it
	// succeeds; so it may be called more than once for one instance, and for one that
	// stays after all because its node came back at that moment.
	Rescheduled func(context.Context, LostInstance) error
	// Workers bounds how many nodes are handled at the same time, each one pod after
	// the other; 8 when 0.
	Workers int
}

// NewLostNodes subscribes to the view.
func NewLostNodes(options LostNodesOptions) *LostNodes {
	options.Options, options.Workers = options.withDefaults(), cmp.Or(options.Workers, 8)
	if options.Grace == 0 {
		options.Grace = view.DefaultLostNodeGrace
	}
	l := &LostNodes{
		options: options,
		logger:  options.Logger.Session("lost-nodes"),
		metrics: newLostNodeMetrics(options.View, options.Registerer),
	}
	options.View.SubscribeNodes(func(name string) { l.loop.enqueue(name, 0) })
	return l
}

// Run handles every node once and then each time that it changes, or that its grace
// ends, until ctx ends. It waits for the view first and returns when all workers have
// stopped.
func (l *LostNodes) Run(ctx context.Context) error {
	l.beginAnew()
	defer l.beginAnew()
	l.loop.run(ctx, reconciling[string]{
		workers: l.options.Workers,
		clock:   l.options.Clock,
		synced:  l.options.View.Synced,
		all: func() []string {
			var names []string
			for _, node := range l.options.View.Nodes() {
				names = append(names, node.Name)
			}
			return names
		},
		reconcile: l.reconcile,
		failed: func(name string, err error) {
			l.metrics.failures.Inc()
			l.logger.Error("reconcile-failed", err, lager.Data{"node": name})
		},
	})
	return nil
}

// beginAnew forgets what was said of nodes.
func (l *LostNodes) beginAnew() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.kept = map[string]map[types.UID]struct{}{}
}

// reconcile removes what has to go from one node, if it is lost, and says when to
// look again; 0 is not before it changes.
func (l *LostNodes) reconcile(ctx context.Context, name string) (again time.Duration, err error) {
	node, known := l.options.View.Node(name)
	if !known || !node.Silent() {
		l.forgetKept(name)
		return 0, nil
	}
	if rest := l.options.Grace - l.options.Clock.Since(node.Ready.Since); rest > 0 {
		return rest, nil
	}
	if l.standStill() {
		return lookAgain, nil
	}
	pods, err := l.podsOn(ctx, node)
	if err != nil || len(pods) == 0 {
		return sweepAgain, err
	}
	if lost, err := l.confirm(ctx, node); err != nil || !lost {
		return lookAgain, err
	}
	var errs []error
	for i := range pods {
		if !l.lost(node) || ctx.Err() != nil {
			return lookAgain, errors.Join(errs...)
		}
		if l.stays(&pods[i]) {
			l.keep(node, &pods[i])
			continue
		}
		if err := l.remove(ctx, node, &pods[i]); err != nil {
			errs = append(errs, fmt.Errorf("remove pod %s from lost node %s: %w", pods[i].Name, name, err))
		}
	}
	return sweepAgain, errors.Join(errs...)
}

// standStill is whether most nodes are lost, which is said when it begins and ends.
func (l *LostNodes) standStill() bool {
	most := l.options.View.MostNodesLost()
	if l.mostLost.Swap(most) != most {
		message := "most-nodes-lost-nothing-is-removed"
		if !most {
			message = "most-nodes-are-back"
		}
		l.logger.Info(message)
	}
	return most
}

// lost is whether the view still shows the node as lost as it was.
func (l *LostNodes) lost(node view.Node) bool {
	now, known := l.options.View.Node(node.Name)
	return known && sameSilence(node, now) && !l.standStill()
}

// sameSilence is whether a node has not reported since.
func sameSilence(node, now view.Node) bool {
	return now.UID == node.UID && now.Silent() && now.Ready.Since.Equal(node.Ready.Since)
}

// confirm asks the API server whether the node is lost and most others are not. The
// view may be behind, and what is done now can't be undone.
func (l *LostNodes) confirm(ctx context.Context, node view.Node) (bool, error) {
	all, notReady, same := 0, 0, false
	list := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return l.options.Client.CoreV1().Nodes().List(ctx, options)
	})
	list.PageSize = nodePage
	err := list.EachListItem(ctx, metav1.ListOptions{}, func(object runtime.Object) error {
		live := l.options.View.FromLiveNode(object.(*corev1.Node))
		all++
		if !live.Ready.True() {
			notReady++
		}
		same = same || live.Name == node.Name && sameSilence(node, live)
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("look whether node %s is lost: %w", node.Name, apierror.Classify(err))
	}
	return same && !view.MostLost(notReady, all), nil
}
