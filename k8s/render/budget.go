package render

import (
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/opi"
)

// Owner is an LRP's StatefulSet, which owns the LRP's other objects.
type Owner struct {
	opi.LRPIdentifier
	Namespace, Name string
	UID             types.UID
}

// Reference returns the owner reference for an object that goes with the StatefulSet.
func (o Owner) Reference() metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: "apps/v1",
		Kind:       "StatefulSet",
		Name:       o.Name,
		UID:        o.UID,
		Controller: ptr.To(true),
	}
}

// manyInstances is from where on a share of the instances may be down at once
// instead of one: draining nodes would otherwise take for ever.
const manyInstances = 20

// Budget returns the PodDisruptionBudget of an LRP. Unhealthy instances may always be
// evicted: a crashing app must not hold up the drain of a node.
func Budget(owner Owner, instances int) *policyv1.PodDisruptionBudget {
	selector := Selector(owner.LRPIdentifier)
	return &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       owner.Namespace,
			Name:            owner.Name,
			Labels:          selector,
			OwnerReferences: []metav1.OwnerReference{owner.Reference()},
		},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable:             ptr.To(maxUnavailable(instances)),
			Selector:                   &metav1.LabelSelector{MatchLabels: selector},
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
