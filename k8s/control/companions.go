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
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/types"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	policyclient "k8s.io/client-go/kubernetes/typed/policy/v1"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/reconcile"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// Companions keeps whole what belongs to an LRP beside its StatefulSet: one
// StatefulSet per identity, owner references, the PodDisruptionBudget, and no Secret
// that nobody needs. It is level-triggered: each reconcile compares what is with what
// should be and may be killed or repeated at any point. Two running at once do each
// other no harm, but one is enough: run it where this replica leads.
type Companions struct {
	options CompanionsOptions
	moves   moves
	logger  lager.Logger
	metrics companionMetrics
	steps   *reconcile.Steps[identity]
	loop    leaderLoop[opi.LRPIdentifier]
}

// CompanionsOptions are what Companions works with.
type CompanionsOptions struct {
	// Namespace is the apps'.
	Namespace string
	// View must not be running yet when Companions is made.
	View         CompanionsView
	StatefulSets CompanionsStatefulSets
	Pods         coreclient.PodsGetter
	Secrets      coreclient.SecretsGetter
	Budgets      policyclient.PodDisruptionBudgetsGetter
	// OrphanMinAge is how long a Secret without a StatefulSet is left alone, since a
	// request may be about to create the StatefulSet.
	OrphanMinAge time.Duration
	// Workers bounds how many identities are reconciled at the same time; 8 when 0.
	Workers int
	Logger  lager.Logger
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
	// Clock is the source of the time and of timers; the real one when nil.
	Clock clock.WithTicker
}

// CompanionsView shows Companions what there is, and takes note of what it writes.
type CompanionsView interface {
	Synced() bool
	Subscribe(func(view.Change))
	Identities() []opi.LRPIdentifier
	Twins(opi.LRPIdentifier) []view.LRP
	Pods(owner types.UID) []view.Pod
	Secrets(opi.LRPIdentifier) []view.Secret
	Budget(name string) (view.Budget, bool)
	FromLive(*appsv1.StatefulSet) view.LRP
	NoteSecret(*corev1.Secret)
	NoteDeletedSecret(types.UID)
	NoteBudget(*policyv1.PodDisruptionBudget)
	NoteDeletedBudget(types.UID)
}

// CompanionsStatefulSets are the StatefulSets of LRPs at the API server.
type CompanionsStatefulSets interface {
	Find(context.Context, opi.LRPIdentifier) ([]view.LRP, error)
	Get(ctx context.Context, name string, uid types.UID) (*appsv1.StatefulSet, error)
	Patch(context.Context, *appsv1.StatefulSet, *live.Patch) error
	Delete(context.Context, view.LRP) error
}

// NewCompanions subscribes to the view.
func NewCompanions(options CompanionsOptions) *Companions {
	options.Workers = cmp.Or(options.Workers, 8)
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	c := &Companions{
		options: options,
		moves:   moves{view: options.View, pods: options.Pods, sets: options.StatefulSets},
		logger:  options.Logger.Session("companions"),
		metrics: newCompanionMetrics(options.Registerer),
	}
	c.steps = reconcile.NewSteps("companions", options.Registerer,
		reconcile.Step[identity]{Name: "remove-twins", Run: c.removeTwins},
		reconcile.Step[identity]{Name: "budget", Run: c.reconcileBudget},
		reconcile.Step[identity]{Name: "end-abandoned-roll", Run: c.endAbandonedRoll},
		reconcile.Step[identity]{Name: "own-secret", Run: c.ownSecret},
		reconcile.Step[identity]{Name: "collect-secrets", Run: c.collectSecrets},
	)
	options.View.Subscribe(func(change view.Change) {
		// Pods need no companion, wherever they are.
		if change.Resource != view.Pods && change.Resource != view.Nodes {
			c.loop.enqueue(change.LRP)
		}
	})
	return c
}

// Run reconciles every identity once and then each time that something of it
// changes, until ctx ends. It waits for the view first and returns when all workers
// have stopped.
func (c *Companions) Run(ctx context.Context) error {
	c.loop.run(ctx, c.options.View, c.options.View.Identities, reconcile.Options[opi.LRPIdentifier]{
		Reconcile: func(ctx context.Context, id opi.LRPIdentifier) (time.Duration, error) {
			return c.steps.Run(ctx, identity{id: id, twins: c.options.View.Twins(id)})
		},
		Failed: func(id opi.LRPIdentifier, err error, _ time.Duration) {
			c.metrics.failures.Inc()
			c.logger.Error("reconcile-failed", err, lager.Data{"process_guid": id.ProcessGUID()})
		},
		Workers: c.options.Workers,
		Clock:   c.options.Clock,
	})
	return nil
}

// identity is what the view shows of one identity.
type identity struct {
	id opi.LRPIdentifier
	// twins are its StatefulSets, the oldest first; none if there is nothing but Secrets.
	twins []view.LRP
}

// owner returns the oldest StatefulSet, to which the companions belong.
func (i identity) owner() (view.LRP, bool) {
	if len(i.twins) == 0 {
		return view.LRP{}, false
	}
	return i.twins[0], true
}

// removeTwins deletes all but the oldest StatefulSet of an identity. Two arise when
// an app is renamed between two requests that meet different replicas. The survivor
// is looked up live before anything is deleted.
func (c *Companions) removeTwins(ctx context.Context, i identity) (reconcile.Result, error) {
	if len(i.twins) < 2 {
		return reconcile.Result{}, nil
	}
	live, err := c.options.StatefulSets.Find(ctx, i.id)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("remove twins: %w", err)
	}
	var errs []error
	for _, twin := range live[min(1, len(live)):] {
		if err := c.options.StatefulSets.Delete(ctx, twin); err != nil {
			errs = append(errs, fmt.Errorf("remove twin of LRP %s: %w", twin.LRPIdentifier, err))
			continue
		}
		c.metrics.removed.WithLabelValues("twin").Inc()
		c.logger.Info("twin-removed", lager.Data{"process_guid": twin.ProcessGUID(), "statefulset": twin.Name, "kept": live[0].Name})
	}
	return reconcile.Result{}, errors.Join(errs...)
}

func ownerOf(lrp view.LRP) render.Owner {
	return render.Owner{LRPIdentifier: lrp.LRPIdentifier, Namespace: lrp.Namespace, Name: lrp.Name, UID: lrp.UID}
}
