package reconcile

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
)

const (
	// DefaultFirstPause is about the pause after a reconcile that failed.
	DefaultFirstPause = 100 * time.Millisecond
	// DefaultLongestPause bounds the pauses after several failures in a row.
	DefaultLongestPause = time.Minute
)

// Options configure a [Loop].
type Options[K comparable] struct {
	// Reconcile brings what a key stands for into order. It returns the time after which it
	// should be called again; 0 means not before the key is added. After an error it is called
	// again after a pause.
	Reconcile func(ctx context.Context, key K) (again time.Duration, err error)
	// Failed counts and logs an error and the time until the next attempt. It is not called
	// for errors of reconciles that were cut off.
	Failed func(key K, err error, pause time.Duration)
	// Workers is how many keys are reconciled at the same time; 1 when 0.
	Workers int
	// FirstPause is about the pause after the first failure, DefaultFirstPause when 0. It
	// doubles up to LongestPause, which is DefaultLongestPause when 0.
	FirstPause, LongestPause time.Duration
	// Patient makes a key that failed wait for the end of its pause even if it is added
	// meanwhile. That suits work for a server that is away: nothing that happens here
	// brings it back. Other work is tried at once, since an event may be what it waits for.
	Patient bool
	// Drain is how long reconciles in progress may go on after ctx of Run has ended.
	Drain time.Duration
	// Clock is the source of the time and of timers; the real one when nil.
	Clock clock.WithTicker
}

// Loop is a queue of keys and the workers that reconcile them.
type Loop[K comparable] struct {
	options  Options[K]
	queue    workqueue.TypedDelayingInterface[K]
	schedule *schedule[K]
}

// New returns a loop that takes keys. [Loop.Run] must be called once.
func New[K comparable](options Options[K]) *Loop[K] {
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	first, longest := cmp.Or(options.FirstPause, DefaultFirstPause), cmp.Or(options.LongestPause, DefaultLongestPause)
	return &Loop[K]{
		options:  options,
		queue:    workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[K]{Clock: options.Clock}),
		schedule: newSchedule[K](first, longest, options.Clock),
	}
}

// Add has a key reconciled. It returns at once, and does nothing after the end of Run.
func (l *Loop[K]) Add(key K) { l.queue.Add(key) }

// AddAfter has a key reconciled after a while.
func (l *Loop[K]) AddAfter(key K, after time.Duration) { l.queue.AddAfter(key, after) }

// Run reconciles keys until ctx ends. It returns when all workers have stopped.
func (l *Loop[K]) Run(ctx context.Context) {
	working, cut := ctx, context.CancelFunc(func() {})
	if l.options.Drain > 0 {
		working, cut = context.WithCancel(context.WithoutCancel(ctx))
	}
	defer cut()
	var workers sync.WaitGroup
	for range max(1, l.options.Workers) {
		workers.Go(func() {
			for l.turn(ctx, working) {
			}
		})
	}
	<-ctx.Done()
	l.queue.ShutDown()
	defer time.AfterFunc(l.options.Drain, cut).Stop()
	workers.Wait()
}

// turn waits for a key and reconciles it with the context working, unless ctx has ended.
func (l *Loop[K]) turn(ctx, working context.Context) (more bool) {
	key, shutdown := l.queue.Get()
	if shutdown {
		return false
	}
	defer l.queue.Done(key)
	if ctx.Err() != nil {
		return true
	}
	if wait := l.schedule.Wait(key); l.options.Patient && wait > 0 {
		l.queue.AddAfter(key, wait)
		return true
	}
	again, err := l.options.Reconcile(working, key)
	switch {
	case err == nil:
		l.schedule.Succeeded(key)
		if again > 0 {
			l.queue.AddAfter(key, again)
		}
	case working.Err() == nil:
		var later *postponedError
		least := time.Duration(0)
		if errors.As(err, &later) {
			least = later.pause
		}
		pause := l.schedule.Failed(key, least)
		l.options.Failed(key, err, pause)
		l.queue.AddAfter(key, pause)
	}
	return true
}

// Postpone wraps an error of a reconcile that is not worth another attempt before some time.
func Postpone(err error, pause time.Duration) error {
	return &postponedError{error: err, pause: pause}
}

type postponedError struct {
	error
	pause time.Duration
}

// Unwrap returns the error itself.
func (e *postponedError) Unwrap() error { return e.error }
