package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/live"
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
	logger  lager.Logger
	metrics companionMetrics
	loop    reconcileLoop[opi.LRPIdentifier]
}

// CompanionsOptions are what Companions works with.
type CompanionsOptions struct {
	Options
	// OrphanMinAge is how long a Secret without a StatefulSet is left alone, since a
	// request may be about to create the StatefulSet.
	OrphanMinAge time.Duration
	// Workers bounds how many identities are reconciled at the same time; 8 when 0.
	Workers int
}

// NewCompanions subscribes to the view.
func NewCompanions(options CompanionsOptions) *Companions {
	options.Options, options.Workers = options.withDefaults(), cmp.Or(options.Workers, 8)
	c := &Companions{options: options, logger: options.Logger.Session("companions"), metrics: newCompanionMetrics(options.Registerer)}
	options.View.Subscribe(func(change view.Change) {
		// Pods need no companion, wherever they are.
		if change.Resource != view.Pods && change.Resource != view.Nodes {
			c.loop.enqueue(change.LRP, 0)
		}
	})
	return c
}

// Run reconciles every identity once and then each time that something of it
// changes, until ctx ends. It waits for the view first and returns when all workers
// have stopped.
func (c *Companions) Run(ctx context.Context) error {
	c.loop.run(ctx, reconciling[opi.LRPIdentifier]{
		workers: c.options.Workers,
		clock:   c.options.Clock,
		synced:  c.options.View.Synced,
		all:     c.options.View.Identities,
		reconcile: func(ctx context.Context, id opi.LRPIdentifier) (time.Duration, error) {
			return 0, c.reconcile(ctx, id)
		},
		failed: func(id opi.LRPIdentifier, err error) {
			c.metrics.failures.Inc()
			c.logger.Error("reconcile-failed", err, lager.Data{"process_guid": id.ProcessGUID()})
		},
	})
	return nil
}

// reconcile brings everything of one identity into order.
func (c *Companions) reconcile(ctx context.Context, id opi.LRPIdentifier) error {
	twins := c.options.View.Twins(id)
	if len(twins) == 0 {
		return c.collectSecrets(ctx, id, nil)
	}
	return runSteps(ctx, c.steps(), identity{id: id, twins: twins, owner: twins[0]})
}

// identity is what the view shows of one identity. There is at least one twin, and the owner
// is the oldest.
type identity struct {
	id    opi.LRPIdentifier
	twins []view.LRP
	owner view.LRP
}

func (c *Companions) steps() []step[identity] {
	return []step[identity]{
		{"remove-twins", func(ctx context.Context, i identity) error { return c.removeTwins(ctx, i.twins) }},
		{"budget", func(ctx context.Context, i identity) error { return c.reconcileBudget(ctx, i.owner) }},
		{"end-abandoned-roll", func(ctx context.Context, i identity) error { return c.endAbandonedRoll(ctx, i.owner) }},
		{"own-secret", func(ctx context.Context, i identity) error { return c.ownSecret(ctx, i.owner) }},
		{"collect-secrets", func(ctx context.Context, i identity) error { return c.collectSecrets(ctx, i.id, i.twins) }},
	}
}

// removeTwins deletes all but the oldest StatefulSet of an identity. Two arise when
// an app is renamed between two requests that meet different replicas. The survivor
// is looked up live before anything is deleted.
func (c *Companions) removeTwins(ctx context.Context, twins []view.LRP) error {
	if len(twins) < 2 {
		return nil
	}
	live, err := c.options.StatefulSets.Find(ctx, twins[0].LRPIdentifier)
	if err != nil {
		return fmt.Errorf("remove twins: %w", err)
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
	return errors.Join(errs...)
}

// ownSecret makes the StatefulSet the owner of its Secret, so that both go together.
func (c *Companions) ownSecret(ctx context.Context, owner view.LRP) error {
	for _, secret := range c.options.View.Secrets(owner.LRPIdentifier) {
		if secret.Name != owner.Secret || secret.Owner == owner.UID || secret.Deleting {
			continue
		}
		patch, err := (live.Patch{Metadata: live.Metadata{
			UID:             secret.UID,
			OwnerReferences: []metav1.OwnerReference{ownerOf(owner).Reference()},
		}}).Encode()
		if err != nil {
			return err
		}
		patched, err := c.options.Client.CoreV1().Secrets(owner.Namespace).Patch(ctx, secret.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if apierrors.IsNotFound(err) {
			c.options.View.NoteDeletedSecret(secret.UID)
			continue
		}
		if err != nil {
			return fmt.Errorf("own Secret %s: %w", secret.Name, apierror.Classify(err))
		}
		c.options.View.NoteSecret(patched)
	}
	return nil
}

// collectSecrets deletes the identity's Secrets that none of its StatefulSets
// refers to, when they are old enough, after a live look, and only if nobody
// touched them meanwhile. Secrets that have an owner go with it, by Kubernetes' own
// collector.
func (c *Companions) collectSecrets(ctx context.Context, id opi.LRPIdentifier, twins []view.LRP) error {
	needed := map[string]bool{}
	for _, lrp := range twins {
		needed[lrp.Secret] = true
	}
	var errs []error
	for _, secret := range c.options.View.Secrets(id) {
		if needed[secret.Name] || secret.Deleting || secret.Owner != "" {
			continue
		}
		if wait := c.options.OrphanMinAge - c.options.Clock.Since(secret.DesiredAt); wait > 0 {
			c.loop.enqueue(id, wait)
			continue
		}
		errs = append(errs, c.collectSecret(ctx, id, secret))
	}
	return errors.Join(errs...)
}

func (c *Companions) collectSecret(ctx context.Context, id opi.LRPIdentifier, secret view.Secret) error {
	live, err := c.options.StatefulSets.Find(ctx, id)
	if err != nil {
		return fmt.Errorf("collect Secret %s: %w", secret.Name, err)
	}
	for _, lrp := range live {
		if lrp.Secret == secret.Name {
			return nil
		}
	}
	err = c.options.Client.CoreV1().Secrets(c.options.Namespace).Delete(ctx, secret.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: ptr.To(secret.UID), ResourceVersion: ptr.To(secret.ResourceVersion)},
	})
	switch {
	case apierrors.IsConflict(err):
		return nil // counted on again meanwhile; its event brings us back
	case err != nil && !apierrors.IsNotFound(err):
		return fmt.Errorf("collect Secret %s: %w", secret.Name, apierror.Classify(err))
	}
	c.options.View.NoteDeletedSecret(secret.UID)
	c.metrics.removed.WithLabelValues("secret").Inc()
	c.logger.Info("orphaned-secret-removed", lager.Data{"process_guid": id.ProcessGUID(), "secret": secret.Name})
	return nil
}

func ownerOf(lrp view.LRP) render.Owner {
	return render.Owner{LRPIdentifier: lrp.LRPIdentifier, Namespace: lrp.Namespace, Name: lrp.Name, UID: lrp.UID}
}

type companionMetrics struct {
	failures prometheus.Counter
	removed  *prometheus.CounterVec
}

func newCompanionMetrics(registerer prometheus.Registerer) companionMetrics {
	m := companionMetrics{
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_companions_failures_total",
			Help: "Reconciles of an LRP's companions that failed and are tried again.",
		}),
		removed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irene_companions_removed_total",
			Help: "Objects removed because nothing needed them, by kind (twin, secret, budget).",
		}, []string{"kind"}),
	}
	registerer.MustRegister(m.failures, m.removed)
	return m
}
