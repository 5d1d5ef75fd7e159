package view

import (
	"container/heap"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// ownVersion is a write of ours that the watch has not delivered yet.
type ownVersion struct {
	version string
	uid     types.UID
}

// versionHeap has the earliest own write first. An entry whose write was
// delivered or replaced since stays until its turn and is then passed over.
type versionHeap []ownVersion

func (h versionHeap) Len() int           { return len(h) }
func (h versionHeap) Less(i, j int) bool { return newer(h[j].version, h[i].version) }
func (h versionHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push and Pop are container/heap's; push and popUntil are what is used.
func (h *versionHeap) Push(entry any) { *h = append(*h, entry.(ownVersion)) }

func (h *versionHeap) Pop() any {
	last := len(*h) - 1
	entry := (*h)[last]
	*h = (*h)[:last]
	return entry
}

func (h *versionHeap) push(entry ownVersion) { heap.Push(h, entry) }

// popUntil takes out the writes that progress has reached.
func (h *versionHeap) popUntil(progress string) []ownVersion {
	var due []ownVersion
	for len(*h) > 0 && !newer((*h)[0].version, progress) {
		due = append(due, heap.Pop(h).(ownVersion))
	}
	return due
}

// tombstoneAge bounds how long a delete of ours is believed without the watch's
// confirmation. An object with finalizers may well take longer; it then shows
// its own deletion timestamp.
const tombstoneAge = 10 * time.Minute

// tombstones remember objects that we deleted. They are laid over when objects
// are read, so that an object that is still in the store, or that the watch
// delivers late, reads as being deleted. An object's uid never comes back, so a
// tombstone can only be wrong about an object whose deletion takes long.
type tombstones struct {
	at    map[types.UID]time.Time
	order []types.UID
}

func (t *tombstones) bury(uid types.UID, now time.Time) {
	if _, buried := t.at[uid]; buried {
		return
	}
	if t.at == nil {
		t.at = map[types.UID]time.Time{}
	}
	t.at[uid] = now
	t.order = append(t.order, uid)
}

// buried says when uid was deleted by us, if it was.
func (t *tombstones) buried(uid types.UID) (time.Time, bool) {
	at, ok := t.at[uid]
	return at, ok
}

func (t *tombstones) drop(uid types.UID) { delete(t.at, uid) }

// expire drops those that are older than tombstoneAge and returns their uids.
func (t *tombstones) expire(now time.Time) []types.UID {
	var expired []types.UID
	for len(t.order) > 0 {
		uid := t.order[0]
		at, buried := t.at[uid]
		if buried && now.Sub(at) < tombstoneAge {
			break
		}
		if buried {
			delete(t.at, uid)
			expired = append(expired, uid)
		}
		t.order = t.order[1:]
	}
	return expired
}
