package view

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/k8s/eviction"
	"github.com/irene-cf/irene/opi"
)

// OverDisk reports whether kubelet has ended the pod because it used more disk than its
// limit allows. That is a crash of the app, not a move.
func (p *Pod) OverDisk() bool {
	return p.Phase == corev1.PodFailed && eviction.ForOwnDisk(p.Reason, p.Message)
}

// overDiskAt returns when the pod that was over its limit ended; zero if unknown.
func (p *Pod) overDiskAt() time.Time {
	if ended := p.Container.Terminated; ended != nil {
		return ended.FinishedAt
	}
	return time.Time{}
}

// overDiskCrash is the last crash of a pod that was over its disk limit, with its number.
// Containers end before kubelet reports the eviction.
func overDiskCrash(pod *Pod) (count int, last *opi.Crash) {
	crash := &opi.Crash{Description: overDiskText(pod), At: pod.overDiskAt()}
	if ended := pod.Container.Terminated; ended != nil {
		crash.ExitStatus = &ended.ExitCode
	}
	return int(pod.Container.RestartCount) + 1, crash
}

func overDiskText(pod *Pod) string { return "out of disk" + limitText(pod.Container.DiskLimit) }

// HeldBack returns the pods of an identity that have the finalizer of the crash back-off,
// whatever StatefulSet owns them, in no order.
func (v *View) HeldBack(id opi.LRPIdentifier) []Pod {
	return v.diskPodsThat(id, func(pod *Pod) bool { return pod.HeldBack })
}

// OverDisk returns the pods of an identity that are over their disk limit, whatever
// StatefulSet owns them, in no order.
func (v *View) OverDisk(id opi.LRPIdentifier) []Pod { return v.diskPodsThat(id, (*Pod).OverDisk) }

func (v *View) diskPodsThat(id opi.LRPIdentifier, match func(*Pod) bool) (pods []Pod) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, pod := range v.diskPods[id] {
		if match(pod) {
			pods = append(pods, *pod)
		}
	}
	return pods
}

// DiskIdentities returns every identity that HeldBack or OverDisk returns a pod for, in no
// order.
func (v *View) DiskIdentities() []opi.LRPIdentifier {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return slices.Collect(maps.Keys(v.diskPods))
}

// indexDiskPods keeps the index diskPods.
func (v *View) indexDiskPods(was, is *Pod) {
	if was != nil && (was.HeldBack || was.OverDisk()) {
		delete(v.diskPods[was.LRPIdentifier], was.UID)
		if len(v.diskPods[was.LRPIdentifier]) == 0 {
			delete(v.diskPods, was.LRPIdentifier)
		}
	}
	if is != nil && (is.HeldBack || is.OverDisk()) {
		if v.diskPods[is.LRPIdentifier] == nil {
			v.diskPods[is.LRPIdentifier] = map[types.UID]*Pod{}
		}
		v.diskPods[is.LRPIdentifier][is.UID] = is
	}
}
