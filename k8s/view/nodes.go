package view

import (
	"slices"

	"code.cloudfoundry.org/lager/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Node returns the node of that name.
func (v *View) Node(name string) (Node, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if node, ok := v.nodes.byName[name]; ok {
		return *node, true
	}
	return Node{}, false
}

// Nodes returns all nodes of the cluster, in no order.
func (v *View) Nodes() []Node {
	v.mu.RLock()
	defer v.mu.RUnlock()
	nodes := make([]Node, 0, len(v.nodes.byUID))
	for _, node := range v.nodes.byUID {
		nodes = append(nodes, *node)
	}
	return nodes
}

// NodesForbidden reports whether nodes have never been listed because Irene lacks the
// permission.
func (v *View) NodesForbidden() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.nodesForbidden
}

// MostNodesLost is whether more than half of the nodes, and at least two, are not
// ready. Then it is the network or the control plane that is out of order, not the
// nodes, and what they run is better left as it is.
func (v *View) MostNodesLost() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.mostLost
}

// MostLost is MostNodesLost for nodes that were counted elsewhere.
func MostLost(notReady, nodes int) bool { return notReady >= 2 && 2*notReady > nodes }

// Routable is whether a pod takes requests: it has an address, has neither ended
// nor is being deleted, and is ready. A pod that is unready only because its node
// stopped reporting takes requests while MostNodesLost; one whose node the view
// does not know does not.
func (v *View) Routable(pod Pod) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.routable(&pod)
}

func (v *View) routable(pod *Pod) bool {
	switch {
	case pod.IP == "" || pod.Deleting != nil || pod.Phase == corev1.PodFailed || pod.Phase == corev1.PodSucceeded:
		return false
	case pod.Ready.True():
		return true
	}
	node, known := v.nodes.byName[pod.Node]
	return v.mostLost && known && !node.Ready.True() && nodeLost(pod)
}

// SubscribeNodes adds f to those that are told the name of a node that appeared,
// went, or whose readiness or zone changed. What is said of Subscribe holds.
func (v *View) SubscribeNodes(f func(name string)) {
	v.subscribe(func() { v.nodeSubscribers = append(v.nodeSubscribers, f) })
}

// nodeChanged tells the LRPs that have pods on a node, unless all that is new is
// the kubelet's sign of life.
func (v *View) nodeChanged(was, is *Node, c *changes) {
	if was != nil && is != nil && was.alike(is) {
		return
	}
	node := was
	if is != nil {
		node = is
	}
	c.nodes = append(c.nodes, node.Name)
	v.addThoseOn(node.Name, c)
}

// countNodes brings MostNodesLost up to date after nodes changed. When it turns,
// it turns for every pod on a node that is not ready.
func (v *View) countNodes(c *changes) {
	if len(c.nodes) == 0 {
		return
	}
	var lost []string
	for _, node := range v.nodes.byUID {
		if !node.Ready.True() {
			lost = append(lost, node.Name)
		}
	}
	most := MostLost(len(lost), len(v.nodes.byUID))
	if most == v.mostLost {
		return
	}
	v.mostLost = most
	for _, name := range lost {
		v.addThoseOn(name, c)
	}
}

func (v *View) addThoseOn(node string, c *changes) {
	for _, pod := range v.onNode[node] {
		c.add(pod.LRPIdentifier)
	}
}

// podChanged keeps the indexes of pods.
func (v *View) podChanged(was, is *Pod, c *changes) {
	labelledChanged(was, is, c)
	v.indexDiskPods(was, is)
	if was != nil && was.Node != "" {
		rest := v.onNode[was.Node]
		at := slices.Index(rest, was)
		if is != nil && is.Node == was.Node {
			rest[at] = is
			return
		}
		last := len(rest) - 1
		rest[at], rest[last] = rest[last], nil
		if v.onNode[was.Node] = rest[:last]; last == 0 {
			delete(v.onNode, was.Node)
		}
	}
	if is != nil && is.Node != "" {
		v.onNode[is.Node] = append(v.onNode[is.Node], is)
	}
}

// withoutNodes takes the reason why nodes could not be listed. Where Irene may not
// read them, and never could, the view does without: see doc.go. That is said once.
func (v *View) withoutNodes(err error) (told bool) {
	v.mu.Lock()
	refused := apierrors.IsForbidden(err) && !v.nodes.synced
	known := v.nodesForbidden
	v.nodesForbidden = known || refused
	v.mu.Unlock()
	if refused && !known {
		v.logger.Error("nodes-forbidden", err, lager.Data{
			"effect": "routes have no zones and lost nodes are not told from others until list and watch of nodes are granted",
		})
	}
	return refused
}
