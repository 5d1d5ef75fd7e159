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
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/reconcile"
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
	steps   *reconcile.Steps[*silentNode]
	// mostLost is what was last said in the log about most nodes being lost.
	mostLost atomic.Bool

	loop leaderLoop[string]

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
	// Namespace is the apps'.
	Namespace string
	// View must not be running yet when LostNodes is made.
	View  LostNodesView
	Nodes coreclient.NodesGetter
	Pods  coreclient.PodsGetter
	// Events shows people with kubectl what was done.
	Events record.EventRecorder
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
	Logger  lager.Logger
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
	// Clock is the source of the time and of timers; the real one when nil.
	Clock clock.WithTicker
}

// LostNodesView shows LostNodes the nodes, and takes note of the pods that it deletes.
type LostNodesView interface {
	Synced() bool
	SubscribeNodes(func(name string))
	Node(name string) (view.Node, bool)
	Nodes() []view.Node
	MostNodesLost() bool
	FromLiveNode(*corev1.Node) view.Node
	FromLivePod(*corev1.Pod) view.Pod
	NoteDeletedPod(types.UID)
}

// NewLostNodes subscribes to the view.
func NewLostNodes(options LostNodesOptions) *LostNodes {
	options.Workers, options.Grace = cmp.Or(options.Workers, 8), cmp.Or(options.Grace, view.DefaultLostNodeGrace)
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	l := &LostNodes{
		options: options,
		logger:  options.Logger.Session("lost-nodes"),
		metrics: newLostNodeMetrics(options.View, options.Registerer),
	}
	l.steps = reconcile.NewSteps("lost-nodes", options.Registerer,
		reconcile.Step[*silentNode]{Name: "look-at-silence", Run: l.lookAtSilence},
		reconcile.Step[*silentNode]{Name: "find-pods", Run: l.findPods},
		reconcile.Step[*silentNode]{Name: "confirm", Run: l.confirm},
		reconcile.Step[*silentNode]{Name: "remove-pods", Run: l.removePods},
	)
	options.View.SubscribeNodes(func(name string) { l.loop.enqueue(name) })
	return l
}

// Run handles every node once and then each time that it changes, or that its grace
// ends, until ctx ends. It waits for the view first and returns when all workers have
// stopped.
func (l *LostNodes) Run(ctx context.Context) error {
	l.beginAnew()
	defer l.beginAnew()
	l.loop.run(ctx, l.options.View, l.names, reconcile.Options[string]{
		Reconcile: func(ctx context.Context, name string) (time.Duration, error) {
			return l.steps.Run(ctx, &silentNode{name: name})
		},
		Failed: func(name string, err error, _ time.Duration) {
			l.metrics.failures.Inc()
			l.logger.Error("reconcile-failed", err, lager.Data{"node": name})
		},
		Workers: l.options.Workers,
		Clock:   l.options.Clock,
	})
	return nil
}

// names returns the names of all nodes.
func (l *LostNodes) names() []string {
	nodes := l.options.View.Nodes()
	names := make([]string, 0, len(nodes))
	for _, node := range nodes {
		names = append(names, node.Name)
	}
	return names
}

// beginAnew forgets what was said of nodes.
func (l *LostNodes) beginAnew() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.kept = map[string]map[types.UID]struct{}{}
}

// silentNode is what one reconcile works with. Each step fills in what the next one needs.
type silentNode struct {
	name string
	node view.Node
	// pods are those of which something is to be done or said.
	pods []corev1.Pod
}

// lookAtSilence lets nodes pass that have been silent for the grace, while most are not.
func (l *LostNodes) lookAtSilence(_ context.Context, n *silentNode) (reconcile.Result, error) {
	node, known := l.options.View.Node(n.name)
	if !known || !node.Silent() {
		l.forgetKept(n.name)
		return reconcile.Result{Last: true}, nil
	}
	if rest := l.options.Grace - l.options.Clock.Since(node.Ready.Since); rest > 0 {
		return reconcile.Result{Again: rest, Last: true}, nil
	}
	if l.standStill() {
		return reconcile.Result{Again: lookAgain, Last: true}, nil
	}
	n.node = node
	return reconcile.Result{}, nil
}

func (l *LostNodes) findPods(ctx context.Context, n *silentNode) (reconcile.Result, error) {
	pods, err := l.podsOn(ctx, n.node)
	if err != nil || len(pods) == 0 {
		return reconcile.Result{Again: sweepAgain, Last: true}, err
	}
	n.pods = pods
	return reconcile.Result{}, nil
}

// removePods removes what has to go, as long as the node stays lost.
func (l *LostNodes) removePods(ctx context.Context, n *silentNode) (reconcile.Result, error) {
	var errs []error
	for i := range n.pods {
		pod := &n.pods[i]
		if !l.lost(n.node) || ctx.Err() != nil {
			return reconcile.Result{Again: lookAgain}, errors.Join(errs...)
		}
		if l.stays(pod) {
			l.keep(n.node, pod)
			continue
		}
		if err := l.remove(ctx, n.node, pod); err != nil {
			errs = append(errs, fmt.Errorf("remove pod %s from lost node %s: %w", pod.Name, n.name, err))
		}
	}
	return reconcile.Result{Again: sweepAgain}, errors.Join(errs...)
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
func (l *LostNodes) confirm(ctx context.Context, n *silentNode) (reconcile.Result, error) {
	all, notReady, same := 0, 0, false
	list := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return l.options.Nodes.Nodes().List(ctx, options)
	})
	list.PageSize = nodePage
	err := list.EachListItem(ctx, metav1.ListOptions{}, func(object runtime.Object) error {
		live := l.options.View.FromLiveNode(object.(*corev1.Node))
		all++
		if !live.Ready.True() {
			notReady++
		}
		same = same || live.Name == n.name && sameSilence(n.node, live)
		return nil
	})
	if err != nil {
		return reconcile.Result{Last: true}, fmt.Errorf("look whether node %s is lost: %w", n.name, apierror.Classify(err))
	}
	if !same || view.MostLost(notReady, all) {
		return reconcile.Result{Again: lookAgain, Last: true}, nil
	}
	return reconcile.Result{}, nil
}
