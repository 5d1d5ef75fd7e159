package route

import (
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/opi"
)

// View provides the states of LRPs. Its methods are safe for concurrent use.
type View interface {
	// Subscribe adds changed to the functions that are called when an LRP, its
	// instances or their nodes change. It must be called before the view runs.
	// changed never waits.
	Subscribe(changed func(opi.LRPIdentifier))
	// Synced reports whether all LRPs and their instances have been read once.
	Synced() bool
	// Identities returns the LRPs that exist.
	Identities() []opi.LRPIdentifier
	// State returns the state of an LRP. Its revision covers no more than what was
	// read.
	State(opi.LRPIdentifier) State
	// Progress returns how far the view has followed the cluster. Subscribers have been
	// called for all of it.
	Progress() Progress
}

// Feed brings the table of one consumer up to date with a view. It collects which LRPs
// have changed, so that several changes of an LRP between two calls of Read are read
// once, and what it holds is bounded by the number of LRPs.
type Feed struct {
	view  View
	clock clock.PassiveClock
	wake  chan struct{}
	// filled reports whether Read has read all LRPs once; only Read uses it.
	filled bool

	mu sync.Mutex
	// changed holds the LRPs to read, with the time of the first change of each.
	changed map[opi.LRPIdentifier]time.Time
}

// NewFeed subscribes to the view, which must not be running yet.
func NewFeed(view View, clock clock.PassiveClock) *Feed {
	f := &Feed{view: view, clock: clock, wake: make(chan struct{}, 1), changed: map[opi.LRPIdentifier]time.Time{}}
	view.Subscribe(f.note)
	return f
}

func (f *Feed) note(id opi.LRPIdentifier) {
	now := f.clock.Now()
	f.mu.Lock()
	if _, earlier := f.changed[id]; !earlier {
		f.changed[id] = now
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *Feed) take() map[opi.LRPIdentifier]time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	taken := f.changed
	f.changed = map[opi.LRPIdentifier]time.Time{}
	return taken
}

// Wake returns a channel that receives a value after LRPs have changed.
func (f *Feed) Wake() <-chan struct{} { return f.wake }

// Update is what one call of [Feed.Read] has found.
type Update struct {
	// Synced is false until the view has been synced. The other fields are zero then,
	// and nothing wakes the consumer when it is: it has to read again.
	Synced bool
	// Changes are the changes of the table.
	Changes Changes
	// Progress is how far the table follows the cluster.
	Progress Progress
	// Noted holds, for each LRP that was read, when the first of its changes was
	// noticed.
	Noted []time.Time
}

// Read applies to the table what has changed in the view: the first time every LRP,
// from then on those that have changed since the call before. All calls must be for the
// same table and come one after the other.
func (f *Feed) Read(table *Table) Update {
	if !f.filled && !f.view.Synced() {
		return Update{}
	}
	// Progress is read before the changes are taken, so that it claims no more than
	// they contain.
	update := Update{Synced: true, Progress: f.view.Progress()}
	changed := f.take()
	if !f.filled {
		changed = f.all() // includes what has changed so far
	}
	states := make([]State, 0, len(changed))
	for id, noted := range changed {
		states = append(states, f.view.State(id))
		update.Noted = append(update.Noted, noted)
	}
	if f.filled {
		update.Changes = table.Apply(states...)
	} else {
		update.Changes = table.Replace(states...)
		f.filled = true
	}
	return update
}

func (f *Feed) all() map[opi.LRPIdentifier]time.Time {
	ids, now := f.view.Identities(), f.clock.Now()
	all := make(map[opi.LRPIdentifier]time.Time, len(ids))
	for _, id := range ids {
		all[id] = now
	}
	return all
}
