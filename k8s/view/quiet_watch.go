package view

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/watch"
)

// endableWatch is a watch that can be ended as if the server had ended it, after
// which a reflector opens the next one from where it is. Stopping client-go's own
// watch from aside makes it report a broken stream, and the reflector lists
// everything again.
type endableWatch struct {
	inner  watch.Interface
	events chan watch.Event
	once   sync.Once
	ended  chan struct{}
}

func newEndableWatch(inner watch.Interface) *endableWatch {
	return &endableWatch{inner: inner, events: make(chan watch.Event), ended: make(chan struct{})}
}

// ResultChan is closed when the watch has ended, by whomever.
func (w *endableWatch) ResultChan() <-chan watch.Event { return w.events }

// Stop ends the watch. It may be called more than once and from any goroutine.
func (w *endableWatch) Stop() { w.once.Do(func() { close(w.ended) }) }

// forward passes events on until either side ends the watch.
func (w *endableWatch) forward() {
	defer close(w.events)
	defer w.inner.Stop()
	for {
		select {
		case <-w.ended:
			return
		case event, ok := <-w.inner.ResultChan():
			if !ok {
				return
			}
			select {
			case <-w.ended:
				// The event is lost here and told again by the next watch, which
				// begins after the last event that was taken.
				return
			case w.events <- event:
			}
		}
	}
}

// opened takes note of a new watch. One that lists first counts once its list is
// complete.
func (f *feed) opened(inner watch.Interface, lists bool) watch.Interface {
	w := newEndableWatch(inner)
	f.forwarding.Go(w.forward)
	f.mu.Lock()
	if lists {
		f.open, f.listing = nil, w
	} else {
		f.open, f.listing = w, nil
	}
	f.mu.Unlock()
	if !lists {
		f.reopened()
	}
	return w
}

func (f *feed) listed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open, f.listing = f.listing, nil
}

func (f *feed) endWatch() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open != nil {
		f.open.Stop()
		f.open = nil
	}
}

// reopenQuietWatches ends watches that were silent for two thirds of StaleAfter,
// whereupon their reflectors open new ones from where they were, without listing
// anything.
//
// Silence alone does not mean that a watch is dead: an API server sends a
// bookmark only when it knows a later resource version than the watch began at,
// and while nothing changes in a resource it learns of none for as long as etcd
// does not tell (every ten minutes unless configured otherwise). Asking anew
// costs one request a minute in the quietest cluster, tells a dead watch from
// a quiet one and heals it.
func (v *View) reopenQuietWatches(ctx context.Context) {
	ticker := time.NewTicker(max(v.staleAfter/24, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, f := range v.feeds {
			v.mu.RLock()
			state := f.state()
			v.mu.RUnlock()
			if state.synced && v.clock.Since(state.progressAt) > v.staleAfter*2/3 {
				f.endWatch()
			}
		}
	}
}
