package view

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Node is what the view keeps of a node of the cluster.
type Node struct {
	Name            string
	UID             types.UID
	ResourceVersion string
	// Zone is the label topology.kubernetes.io/zone; empty where it is missing.
	Zone string
	// Ready is the condition Ready: True, False when the kubelet says so itself,
	// Unknown when Kubernetes has not heard from it; zero before it first reported.
	Ready Verdict
	// Segment is the isolation segment that the node belongs to; empty for none.
	Segment string
	// MemoryMiB, DiskMiB and Pods are how much the node has for pods in all.
	MemoryMiB, DiskMiB, Pods int64
}

// Silent is whether the node's kubelet stopped reporting, so that nobody can say
// what becomes of its pods. A node that is not ready by its kubelet's own word is
// not silent.
func (n Node) Silent() bool { return n.Ready.Status == corev1.ConditionUnknown }

func (n *Node) uid() types.UID  { return n.UID }
func (n *Node) name() string    { return n.Name }
func (n *Node) version() string { return n.ResourceVersion }

func (n *Node) reuse(old *Node) { n.UID, n.Name = old.UID, same(n.Name, old.Name) }

// alike is whether nothing differs that subscribers are told of.
func (n *Node) alike(other *Node) bool {
	return n.UID == other.UID && n.Zone == other.Zone && n.Ready.Status == other.Ready.Status
}

func (v *View) slimNode(obj any) (*Node, error) {
	if slim, ok := obj.(*Node); ok {
		return slim, nil
	}
	node, ok := obj.(*corev1.Node)
	if !ok {
		return nil, fmt.Errorf("expected a Node, got %T", obj)
	}
	slim := &Node{
		Name:            v.words.word(node.Name),
		UID:             node.UID,
		ResourceVersion: node.ResourceVersion,
		Zone:            v.words.word(node.Labels[corev1.LabelTopologyZone]),
		MemoryMiB:       node.Status.Allocatable.Memory().Value() >> 20,
		DiskMiB:         node.Status.Allocatable.StorageEphemeral().Value() >> 20,
		Pods:            node.Status.Allocatable.Pods().Value(),
	}
	if v.segmentLabel != "" {
		slim.Segment = v.words.word(node.Labels[v.segmentLabel])
	}
	for i := range node.Status.Conditions {
		if condition := &node.Status.Conditions[i]; condition.Type == corev1.NodeReady {
			slim.Ready = v.verdict(condition.Status, condition.LastTransitionTime)
		}
	}
	return slim, nil
}
