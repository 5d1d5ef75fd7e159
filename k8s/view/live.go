package view

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/opi"
)

// FromLive makes of a StatefulSet that was read from the API server what the view
// would keep of it, without keeping it.
func (v *View) FromLive(set *appsv1.StatefulSet) LRP {
	lrp, err := v.slimStatefulSet(set)
	if err != nil {
		panic(err) // only for another type, which the parameter excludes
	}
	return *lrp
}

// FromLivePod is FromLive for a pod of any kind of work.
func (v *View) FromLivePod(pod *corev1.Pod) Pod {
	slim, err := v.slimPod(pod)
	if err != nil {
		panic(err) // as above
	}
	return *slim
}

// FromLiveNode is FromLive for a node.
func (v *View) FromLiveNode(node *corev1.Node) Node {
	slim, err := v.slimNode(node)
	if err != nil {
		panic(err) // as above
	}
	return *slim
}

// OlderThan is the twin rule: of two StatefulSets for one identity the older one
// stays.
func (l LRP) OlderThan(other LRP) bool { return l.olderThan(&other) }

// Identities returns every identity that has a StatefulSet or a Secret, whether
// these are being deleted or not, in no order.
func (v *View) Identities() []opi.LRPIdentifier {
	v.mu.RLock()
	defer v.mu.RUnlock()
	identities := make([]opi.LRPIdentifier, 0, len(v.lrps.groups))
	for id := range v.lrps.groups {
		identities = append(identities, id)
	}
	for id := range v.secrets.groups {
		if _, known := v.lrps.groups[id]; !known {
			identities = append(identities, id)
		}
	}
	return identities
}
