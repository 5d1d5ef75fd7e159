// Package retry decides when a key of a work queue is tried again after a failure.
//
// # Usage
//
//	schedule := retry.NewSchedule[string](time.Second, time.Minute, clock.RealClock{})
//	if err := work(key); err != nil {
//		queue.AddAfter(key, schedule.Failed(key, 0))
//	} else {
//		schedule.Succeeded(key)
//	}
//
// A work queue hands out a key whenever something adds it, so events reach a key that is
// waiting for its next attempt as well. client-go's rate limiters count each of those
// attempts, and a few events within a second use up minutes of back-off. A Schedule counts
// an attempt only if it was due: the pause grows once per pause, whatever happens meanwhile.
//
// A worker that should not make early attempts at all asks [Schedule.Wait] first.
package retry
