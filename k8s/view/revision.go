package view

import (
	"strconv"
	"time"

	"github.com/irene-cf/irene/opi"
)

// Revision says how much this process knew of an LRP, so that replicas can find
// out which of them is behind. It is one number for each of the two watches that
// tell of an LRP, because neither says anything about the other: a replica whose
// watch of pods hangs while it hears of StatefulSets would otherwise seem newer
// than one that knows the pods.
type Revision struct {
	// LRP and Instances are the highest resource versions at which the
	// StatefulSet, and a pod of it, is known to have changed, deletions included;
	// 0 where nothing is known.
	LRP, Instances uint64
}

// Revision returns how much is known of an LRP.
//
//   - A replica whose revision is as high in both numbers has seen everything of
//     that LRP that this one has seen. One that is lower in either has not, or
//     began to watch after the deletion that the number stands for.
//   - Our own writes and deletes count once they are noted. Of a delete only the
//     agreement is known, so it counts as the version after the one deleted.
//   - The numbers of one LRP never go down, unless etcd was restored from a backup,
//     or the deletions that they stand for are longer ago than half an hour.
//   - Readiness of nodes is not in it.
//
// Read it after what it is to speak for. What changes in between is told to
// subscribers, so that a state that claims too much is soon corrected; one that
// claims too little is not, because the next one brings no change.
func (v *View) Revision(id opi.LRPIdentifier) Revision {
	v.mu.RLock()
	defer v.mu.RUnlock()
	revision := Revision{LRP: v.lrps.passed.of(id), Instances: v.pods.passed.of(id)}
	for _, lrp := range v.lrps.groups[id] {
		revision.LRP = max(revision.LRP, number(lrp.ResourceVersion))
		for _, pod := range v.pods.groups[lrp.UID] {
			revision.Instances = max(revision.Instances, number(pod.ResourceVersion))
		}
	}
	return revision
}

// Progress describes how far this process has followed the watches of StatefulSets
// and pods. Our own writes count once the watch confirms them.
type Progress struct {
	// Seen holds the resource versions up to which the watches have delivered
	// everything, bookmarks included.
	Seen Revision
	// Changed holds the resource versions of the last changes among them. Two
	// processes that have seen the same changes have the same Changed, except that of
	// an object that was missing in a list only the list's version is known.
	Changed Revision
}

// Progress returns the view's progress. Subscribers have seen all of it.
func (v *View) Progress() Progress {
	return Progress{
		Seen:    Revision{LRP: v.lrps.seen.Load(), Instances: v.pods.seen.Load()},
		Changed: Revision{LRP: v.lrps.changedAt.Load(), Instances: v.pods.changedAt.Load()},
	}
}

// number is 0 for what no API server sends.
func number(resourceVersion string) uint64 {
	n, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// passedAge is for how long at least a deletion is remembered. Unregisters are
// repeated for ten minutes.
const passedAge = 30 * time.Minute

// passed remembers for a while the resource versions at which objects of an LRP
// went, in two generations of which the older is dropped as a whole. That happens
// when something else goes, so what is remembered is bounded by what goes in twice
// passedAge.
type passed struct {
	young, old map[opi.LRPIdentifier]uint64
	since      time.Time
}

func (p *passed) note(id opi.LRPIdentifier, version uint64, now time.Time) {
	if p.young == nil || now.Sub(p.since) >= passedAge {
		p.young, p.old, p.since = map[opi.LRPIdentifier]uint64{}, p.young, now
	}
	p.young[id] = max(p.young[id], version)
}

func (p *passed) of(id opi.LRPIdentifier) uint64 { return max(p.young[id], p.old[id]) }
