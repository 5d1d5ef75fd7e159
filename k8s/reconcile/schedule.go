package reconcile

import (
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
)

// schedule holds the time of the next attempt of each key that failed. It is safe for
// concurrent use; attempts of one key must not overlap.
//
// A work queue hands out a key whenever it is added, so events reach a key that is waiting
// for its next attempt as well. client-go's rate limiters count each of those attempts, and a
// few events within a second use up minutes of back-off. A schedule counts an attempt only if
// it was due: the pause grows once per pause, whatever happens meanwhile.
type schedule[K comparable] struct {
	pauses workqueue.TypedRateLimiter[K]
	clock  clock.PassiveClock

	mutex sync.Mutex
	due   map[K]time.Time
}

// newSchedule returns an empty schedule. The pause after the first failure is about first;
// each further one is twice as long, up to about longest.
func newSchedule[K comparable](first, longest time.Duration, clock clock.PassiveClock) *schedule[K] {
	return &schedule[K]{
		pauses: workqueue.NewTypedItemExponentialFailureRateLimiter[K](first, longest),
		clock:  clock,
		due:    map[K]time.Time{},
	}
}

// Wait returns the time until the next attempt of a key that failed is due; 0 if it is due
// or the key did not fail.
func (s *schedule[K]) Wait(key K) time.Duration {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.wait(key)
}

func (s *schedule[K]) wait(key K) time.Duration {
	due, failed := s.due[key]
	if !failed {
		return 0
	}
	return max(0, due.Sub(s.clock.Now()))
}

// Failed records a failed attempt and returns the time until the next one, which is at
// least about least. An attempt that was made early does not change that time.
func (s *schedule[K]) Failed(key K, least time.Duration) time.Duration {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if wait := s.wait(key); wait > 0 {
		return wait
	}
	pause := spread(max(s.pauses.When(key), least))
	s.due[key] = s.clock.Now().Add(pause)
	return pause
}

// Succeeded forgets the failures of the key.
func (s *schedule[K]) Succeeded(key K) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.pauses.Forget(key)
	delete(s.due, key)
}

// spread returns a time between half and one and a half of d, so that keys that failed
// together, as when a server is away, are not tried again together.
func spread(d time.Duration) time.Duration { return d/2 + rand.N(max(d, 1)) }
