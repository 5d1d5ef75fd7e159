package render

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PlacementSettings say how isolation segments map to nodes.
type PlacementSettings struct {
	// NodeLabel is the label whose value is the name of a node's segment. A name
	// that doesn't fit a label value has every other character replaced by '-'.
	NodeLabel string
	// SharedUnlabelled keeps LRPs of the shared segment off nodes that carry the
	// label; otherwise they run anywhere.
	SharedUnlabelled bool
}

// Affinity requires the nodes of an isolation segment, which is what placement tags
// name; without any, those of the shared segment.
func (s PlacementSettings) Affinity(tags []string) *corev1.Affinity {
	var requirements []corev1.NodeSelectorRequirement
	for _, tag := range tags {
		requirements = append(requirements, corev1.NodeSelectorRequirement{
			Key: s.NodeLabel, Operator: corev1.NodeSelectorOpIn, Values: []string{LabelText(tag)},
		})
	}
	if len(tags) == 0 && s.SharedUnlabelled {
		requirements = append(requirements, corev1.NodeSelectorRequirement{
			Key: s.NodeLabel, Operator: corev1.NodeSelectorOpDoesNotExist,
		})
	}
	if len(requirements) == 0 {
		return nil
	}
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: requirements}},
		},
	}}
}

// spread asks for instances in different zones and on different nodes. It stands
// in every template, since templates never change and an LRP may grow.
func spread(selector map[string]string) []corev1.TopologySpreadConstraint {
	constraint := func(topologyKey string) corev1.TopologySpreadConstraint {
		return corev1.TopologySpreadConstraint{
			MaxSkew:           1,
			TopologyKey:       topologyKey,
			WhenUnsatisfiable: corev1.ScheduleAnyway,
			LabelSelector:     &metav1.LabelSelector{MatchLabels: selector},
		}
	}
	return []corev1.TopologySpreadConstraint{constraint(corev1.LabelTopologyZone), constraint(corev1.LabelHostname)}
}
