package control

import (
	"context"
	"sync/atomic"

	"k8s.io/client-go/tools/cache"

	"github.com/irene-cf/irene/k8s/reconcile"
)

// leaderLoop is the loop of a controller while this replica leads. A controller subscribes
// to the view once, before it runs, and may run several times.
type leaderLoop[K comparable] struct {
	running atomic.Pointer[reconcile.Loop[K]]
}

// enqueue has a key reconciled. It does nothing while the loop does not run.
func (l *leaderLoop[K]) enqueue(key K) {
	if loop := l.running.Load(); loop != nil {
		loop.Add(key)
	}
}

// fullView is what a loop waits for, since nothing may be done before the view is complete.
type fullView interface{ Synced() bool }

// run waits for the view, reconciles all keys once and then those that are enqueued, until
// ctx ends. It returns when all workers have stopped.
func (l *leaderLoop[K]) run(ctx context.Context, view fullView, all func() []K, options reconcile.Options[K]) {
	if !cache.WaitForCacheSync(ctx.Done(), view.Synced) {
		return // ctx ended first
	}
	loop := reconcile.New(options)
	l.running.Store(loop)
	defer l.running.Store(nil)
	for _, key := range all() {
		loop.Add(key)
	}
	loop.Run(ctx)
}
