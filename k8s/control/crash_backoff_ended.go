package control

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// endedPods holds pods that were over their disk limit and wait to be counted, which may be
// gone meanwhile. It holds none before start and after stop. It is safe for concurrent use.
type endedPods struct {
	mutex sync.Mutex
	// pods are in the order in which they were noticed; the map is nil while stopped.
	pods map[opi.LRPIdentifier][]view.Pod
}

func (e *endedPods) start() {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.pods = map[opi.LRPIdentifier][]view.Pod{}
}

func (e *endedPods) stop() {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.pods = nil
}

// add reports whether one of the pods was not held yet, and is now.
func (e *endedPods) add(id opi.LRPIdentifier, pods []view.Pod) (added bool) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if e.pods == nil {
		return false
	}
	for _, pod := range pods {
		if !containsPod(e.pods[id], pod.UID) {
			e.pods[id], added = append(e.pods[id], pod), true
		}
	}
	return added
}

// of returns the pods of an identity.
func (e *endedPods) of(id opi.LRPIdentifier) []view.Pod {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return slices.Clone(e.pods[id])
}

// remove forgets pods of an identity.
func (e *endedPods) remove(id opi.LRPIdentifier, pods []view.Pod) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	rest := slices.DeleteFunc(e.pods[id], func(pod view.Pod) bool { return containsPod(pods, pod.UID) })
	if len(rest) > 0 {
		e.pods[id] = rest
	} else {
		delete(e.pods, id)
	}
}

func containsPod(pods []view.Pod, uid types.UID) bool {
	return slices.ContainsFunc(pods, func(pod view.Pod) bool { return pod.UID == uid })
}
