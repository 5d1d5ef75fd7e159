package control

import (
	"context"
	"fmt"
	"maps"

	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/reconcile"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// reconcileBudget gives LRPs of two and more instances a budget and takes it from
// the others, whose only instance could otherwise never be drained.
func (c *Companions) reconcileBudget(ctx context.Context, i identity) (reconcile.Result, error) {
	lrp, exists := i.owner()
	if !exists {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, c.budgetOf(ctx, lrp)
}

func (c *Companions) budgetOf(ctx context.Context, lrp view.LRP) error {
	budgets := c.options.Budgets.PodDisruptionBudgets(lrp.Namespace)
	present, exists := c.options.View.Budget(lrp.Name)
	if exists && present.Deleting {
		return nil // its deletion brings us back
	}
	wanted := render.Budget(ownerOf(lrp), lrp.Instances)
	switch {
	case lrp.Instances < 2 && !exists:
		return nil
	case lrp.Instances < 2:
		err := budgets.Delete(ctx, lrp.Name, metav1.DeleteOptions{Preconditions: live.OwnUID(present.UID)})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("delete PodDisruptionBudget %s: %w", lrp.Name, apierror.Classify(err))
		}
		c.options.View.NoteDeletedBudget(present.UID)
		c.metrics.removed.WithLabelValues("budget").Inc()
		return nil
	case !exists:
		created, err := budgets.Create(ctx, wanted, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return c.adoptBudget(ctx, wanted)
		}
		if err != nil {
			return fmt.Errorf("create PodDisruptionBudget %s: %w", lrp.Name, apierror.Classify(err))
		}
		c.options.View.NoteBudget(created)
		return nil
	case present.Owner == lrp.UID && sameBudget(present, wanted):
		return nil
	default:
		wanted.ResourceVersion = present.ResourceVersion
		updated, err := budgets.Update(ctx, wanted, metav1.UpdateOptions{})
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			return nil // somebody was faster; the event brings us back
		}
		if err != nil {
			return fmt.Errorf("update PodDisruptionBudget %s: %w", lrp.Name, apierror.Classify(err))
		}
		c.options.View.NoteBudget(updated)
		return nil
	}
}

// adoptBudget puts right a budget that the view does not show: mostly one that it is
// about to show, else one that has lost the label by which the view selects.
func (c *Companions) adoptBudget(ctx context.Context, wanted *policyv1.PodDisruptionBudget) error {
	budgets := c.options.Budgets.PodDisruptionBudgets(wanted.Namespace)
	live, err := budgets.Get(ctx, wanted.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("adopt PodDisruptionBudget %s: %w", wanted.Name, apierror.Classify(err))
	}
	wanted.ResourceVersion = live.ResourceVersion
	updated, err := budgets.Update(ctx, wanted, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("adopt PodDisruptionBudget %s: %w", wanted.Name, apierror.Classify(err))
	}
	c.options.View.NoteBudget(updated)
	return nil
}

func sameBudget(present view.Budget, wanted *policyv1.PodDisruptionBudget) bool {
	return present.MinAvailable == nil &&
		present.MaxUnavailable != nil && *present.MaxUnavailable == *wanted.Spec.MaxUnavailable &&
		present.UnhealthyPodEvictionPolicy == *wanted.Spec.UnhealthyPodEvictionPolicy &&
		!present.MatchExpressions && maps.Equal(present.MatchLabels, wanted.Spec.Selector.MatchLabels) &&
		present.LRPIdentifier == (opi.LRPIdentifier{GUID: wanted.Labels[keys.GUID], Version: wanted.Labels[keys.Version]})
}
