package view

import (
	"fmt"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/irene-cf/irene/opi"
)

// Budget is what the view keeps of an LRP's PodDisruptionBudget: enough to see
// whether somebody changed it.
type Budget struct {
	opi.LRPIdentifier
	Name            string
	UID             types.UID
	ResourceVersion string
	// Owner is the uid of the controller owner reference; empty for none.
	Owner types.UID
	// MaxUnavailable is nil where the budget does not set it.
	MaxUnavailable *intstr.IntOrString
	// MinAvailable is nil where the budget does not set it.
	MinAvailable *intstr.IntOrString
	// UnhealthyPodEvictionPolicy is empty where the budget does not set it.
	UnhealthyPodEvictionPolicy policyv1.UnhealthyPodEvictionPolicyType
	// MatchLabels are the selector's; not to be written into.
	MatchLabels map[string]string
	// MatchExpressions is whether the selector has expressions besides labels,
	// which Irene never writes.
	MatchExpressions bool
	// Deleting is whether the object is being deleted, by the API server's word
	// or by a delete of our own that the watch has not confirmed yet.
	Deleting bool
}

func (b *Budget) uid() types.UID                { return b.UID }
func (b *Budget) name() string                  { return b.Name }
func (b *Budget) version() string               { return b.ResourceVersion }
func (b *Budget) identifier() opi.LRPIdentifier { return b.LRPIdentifier }

func (b *Budget) reuse(old *Budget) {
	b.LRPIdentifier = sameIdentifier(b.LRPIdentifier, old.LRPIdentifier)
	b.UID, b.Name = old.UID, same(b.Name, old.Name)
	b.Owner = same(b.Owner, old.Owner)
}

func slimBudget(obj any) (*Budget, error) {
	if slim, ok := obj.(*Budget); ok {
		return slim, nil
	}
	pdb, ok := obj.(*policyv1.PodDisruptionBudget)
	if !ok {
		return nil, fmt.Errorf("expected a PodDisruptionBudget, got %T", obj)
	}
	// Copies: our own writes stay the caller's to change.
	spec := pdb.Spec.DeepCopy()
	budget := &Budget{
		LRPIdentifier:   identifierOf(pdb.Labels),
		Name:            pdb.Name,
		UID:             pdb.UID,
		ResourceVersion: pdb.ResourceVersion,
		MaxUnavailable:  spec.MaxUnavailable,
		MinAvailable:    spec.MinAvailable,
		Deleting:        pdb.DeletionTimestamp != nil,
	}
	if controller := metav1.GetControllerOfNoCopy(pdb); controller != nil {
		budget.Owner = controller.UID
	}
	if spec.UnhealthyPodEvictionPolicy != nil {
		budget.UnhealthyPodEvictionPolicy = *spec.UnhealthyPodEvictionPolicy
	}
	if spec.Selector != nil {
		budget.MatchLabels = spec.Selector.MatchLabels
		budget.MatchExpressions = len(spec.Selector.MatchExpressions) > 0
	}
	return budget, nil
}
