package k8s

import (
	"context"
	"fmt"
	"maps"

	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// manyInstances is from where on a share of the instances may be down at once
// instead of one: draining nodes would otherwise take for ever.
const manyInstances = 20

// budget is the PodDisruptionBudget of an LRP. Unhealthy instances may always be
// evicted: a crashing app must not hold up the drain of a node.
func budget(lrp view.LRP) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       lrp.Namespace,
			Name:            lrp.Name,
			Labels:          selector(lrp.LRPIdentifier),
			OwnerReferences: []metav1.OwnerReference{ownerReference(lrp)},
		},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable:             ptr.To(maxUnavailable(lrp.Instances)),
			Selector:                   &metav1.LabelSelector{MatchLabels: selector(lrp.LRPIdentifier)},
			UnhealthyPodEvictionPolicy: ptr.To(policyv1.AlwaysAllow),
		},
	}
}

func maxUnavailable(instances int) intstr.IntOrString {
	if instances >= manyInstances {
		return intstr.FromString("10%")
	}
	return intstr.FromInt32(1)
}

// reconcileBudget gives LRPs of two and more instances a budget and takes it from
// the others, whose only instance could otherwise never be drained.
func (c *Companions) reconcileBudget(ctx context.Context, lrp view.LRP) error {
	budgets := c.Client.PolicyV1().PodDisruptionBudgets(lrp.Namespace)
	present, exists := c.View.Budget(lrp.Name)
	if exists && present.Deleting {
		return nil // its deletion brings us back
	}
	wanted := budget(lrp)
	switch {
	case lrp.Instances < 2 && !exists:
		return nil
	case lrp.Instances < 2:
		err := budgets.Delete(ctx, lrp.Name, metav1.DeleteOptions{Preconditions: ownUID(present.UID)})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("delete PodDisruptionBudget %s: %w", lrp.Name, classify(err))
		}
		c.View.NoteDeletedBudget(present.UID)
		c.metrics.removed.WithLabelValues("budget").Inc()
		return nil
	case !exists:
		created, err := budgets.Create(ctx, wanted, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return c.adoptBudget(ctx, wanted)
		}
		if err != nil {
			return fmt.Errorf("create PodDisruptionBudget %s: %w", lrp.Name, classify(err))
		}
		c.View.NoteBudget(created)
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
			return fmt.Errorf("update PodDisruptionBudget %s: %w", lrp.Name, classify(err))
		}
		c.View.NoteBudget(updated)
		return nil
	}
}

// adoptBudget puts right a budget that the view does not show: mostly one that it is
// about to show, else one that has lost the label by which the view selects.
func (c *Companions) adoptBudget(ctx context.Context, wanted *policyv1.PodDisruptionBudget) error {
	budgets := c.Client.PolicyV1().PodDisruptionBudgets(wanted.Namespace)
	live, err := budgets.Get(ctx, wanted.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("adopt PodDisruptionBudget %s: %w", wanted.Name, classify(err))
	}
	wanted.ResourceVersion = live.ResourceVersion
	updated, err := budgets.Update(ctx, wanted, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("adopt PodDisruptionBudget %s: %w", wanted.Name, classify(err))
	}
	c.View.NoteBudget(updated)
	return nil
}

func sameBudget(present view.Budget, wanted *policyv1.PodDisruptionBudget) bool {
	return present.MinAvailable == nil &&
		present.MaxUnavailable != nil && *present.MaxUnavailable == *wanted.Spec.MaxUnavailable &&
		present.UnhealthyPodEvictionPolicy == *wanted.Spec.UnhealthyPodEvictionPolicy &&
		!present.MatchExpressions && maps.Equal(present.MatchLabels, wanted.Spec.Selector.MatchLabels) &&
		present.LRPIdentifier == (opi.LRPIdentifier{GUID: wanted.Labels[keys.GUID], Version: wanted.Labels[keys.Version]})
}
