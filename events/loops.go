package events

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/irene-cf/irene/k8s/reconcile"
)

const (
	firstPause = time.Second

	// drain is how long deliveries that are under way may go on when a controller is told to
	// end. It is less than a deposed leader has until another one takes over (with the
	// default Lease), so that this one's answer is written before the other looks.
	drain = 4 * time.Second

	// failuresLogged in a second, after a burst, are enough: while Cloud Controller is
	// away everything fails.
	failuresLogged      = 1
	failuresLoggedBurst = 100
)

// work is what a loop of this package does.
type work[K comparable] struct {
	logger lager.Logger
	// kind is what a key stands for, in the log.
	kind    string
	workers int
	// reconcile and patient are those of reconcile.Options.
	reconcile func(ctx context.Context, key K) (again time.Duration, err error)
	patient   bool
	// failed counts errors.
	failed func()
}

// loop returns a loop that is not run yet.
func (w work[K]) loop() *reconcile.Loop[K] {
	log := &failureLog{logger: w.logger, limit: flowcontrol.NewTokenBucketRateLimiter(failuresLogged, failuresLoggedBurst)}
	return reconcile.New(reconcile.Options[K]{
		Reconcile: w.reconcile,
		Failed: func(key K, err error, pause time.Duration) {
			w.failed()
			log.failed(err, lager.Data{w.kind: fmt.Sprint(key), "again-in": pause.Round(time.Millisecond).String()})
		},
		Workers:    w.workers,
		FirstPause: firstPause,
		Patient:    w.patient,
		Drain:      drain,
	})
}

// runLoops runs loops until ctx ends. What is under way then goes on for a while, so that it is
// not done twice.
func runLoops[K comparable](ctx context.Context, loops ...*reconcile.Loop[K]) {
	var running sync.WaitGroup
	for _, loop := range loops {
		running.Go(func() { loop.Run(ctx) })
	}
	running.Wait()
}

// failureLog logs failures up to a rate.
type failureLog struct {
	logger lager.Logger
	limit  flowcontrol.RateLimiter
	// unlogged counts failures since the last one that was logged.
	unlogged atomic.Int64
}

func (l *failureLog) failed(err error, data lager.Data) {
	if !l.limit.TryAccept() {
		l.unlogged.Add(1)
		return
	}
	if others := l.unlogged.Swap(0); others > 0 {
		data["failures-not-logged"] = others
	}
	l.logger.Error("failed", err, data)
}
