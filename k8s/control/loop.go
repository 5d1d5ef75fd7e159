package control

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/k8s/retry"
)

const (
	// firstRetry is the pause after a reconcile that failed; it doubles up to lastRetry.
	firstRetry = 100 * time.Millisecond
	lastRetry  = time.Minute
)

// reconcileLoop has workers that bring what keys stand for into order. A key is with one
// worker at a time; while it is, enqueuing it makes another turn follow.
type reconcileLoop[K comparable] struct {
	mutex sync.Mutex
	queue workqueue.TypedDelayingInterface[K] // nil while not running
}

// reconciling is what one run of a loop does.
type reconciling[K comparable] struct {
	workers int
	clock   clock.WithTicker
	// synced is whether the view is complete, before which nothing is done.
	synced func() bool
	// all are the keys that are reconciled at the start.
	all func() []K
	// reconcile says when to look again; 0 is not before the key is enqueued. After an
	// error it is called again with growing pauses. Calls for a key that is enqueued
	// meanwhile are made at once, and don't count.
	reconcile func(context.Context, K) (again time.Duration, err error)
	// failed counts and logs an error, unless the loop was about to end.
	failed func(K, error)
}

// enqueue has a key reconciled after a while; while the loop does not run, nothing.
func (l *reconcileLoop[K]) enqueue(key K, after time.Duration) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.queue != nil {
		l.queue.AddAfter(key, after)
	}
}

// run waits for the view, reconciles all keys once and then those that are enqueued,
// until ctx ends. It returns when all workers have stopped.
func (l *reconcileLoop[K]) run(ctx context.Context, r reconciling[K]) {
	err := wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(context.Context) (bool, error) {
		return r.synced(), nil
	})
	if err != nil {
		return // ctx ended first
	}
	queue := workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[K]{Clock: r.clock})
	schedule := retry.NewSchedule[K](firstRetry, lastRetry, r.clock)
	l.set(queue)
	for _, key := range r.all() {
		queue.Add(key)
	}

	var workers sync.WaitGroup
	for range max(1, r.workers) {
		workers.Go(func() { r.work(ctx, queue, schedule) })
	}
	<-ctx.Done()
	l.set(nil)
	queue.ShutDown()
	workers.Wait()
}

func (l *reconcileLoop[K]) set(queue workqueue.TypedDelayingInterface[K]) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.queue = queue
}

func (r *reconciling[K]) work(ctx context.Context, queue workqueue.TypedDelayingInterface[K], schedule *retry.Schedule[K]) {
	for {
		key, shutdown := queue.Get()
		if shutdown {
			return
		}
		again, err := r.reconcile(ctx, key)
		switch {
		case err != nil && ctx.Err() == nil:
			r.failed(key, err)
			queue.AddAfter(key, schedule.Failed(key, 0))
		case err == nil:
			schedule.Succeeded(key)
			if again > 0 {
				queue.AddAfter(key, again)
			}
		}
		queue.Done(key)
	}
}
