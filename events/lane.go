package events

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"k8s.io/client-go/util/workqueue"
)

const (
	shortestBackOff = time.Second
	longestBackOff  = time.Minute
)

// lane is a queue of names and those who work on it. A name is worked on by one
// worker at a time; while one does, adding it makes another turn follow.
type lane struct {
	queue   workqueue.TypedDelayingInterface[string]
	backOff workqueue.TypedRateLimiter[string]
	logger  lager.Logger
	// work says after what time it wants to be called again; 0 is not before the name
	// is added. An error means after a back-off.
	work func(ctx context.Context, name string) (again time.Duration, err error)
	// failed counts errors.
	failed func()
}

func newLane(logger lager.Logger, failed func(), work func(context.Context, string) (time.Duration, error)) *lane {
	return &lane{
		queue:   workqueue.NewTypedDelayingQueue[string](),
		backOff: workqueue.NewTypedItemExponentialFailureRateLimiter[string](shortestBackOff, longestBackOff),
		logger:  logger,
		work:    work,
		failed:  failed,
	}
}

// spread is a time between half and one and a half of d: what failed together, as
// everything does while Cloud Controller is away, is not tried again together.
func spread(d time.Duration) time.Duration { return d/2 + rand.N(max(d, 1)) }

// postponed is an error that is not worth another attempt before some time.
type postponed struct {
	error
	after time.Duration
}

// Unwrap returns the error itself.
func (p postponed) Unwrap() error { return p.error }

// start begins with the work until admit ends; what is under way then goes on with
// ctx. The returned function waits for the end.
func (l *lane) start(ctx, admit context.Context, workers int) (wait func()) {
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for l.turn(ctx, admit) {
			}
		})
	}
	return working.Wait
}

func (l *lane) turn(ctx, admit context.Context) (more bool) {
	name, shutdown := l.queue.Get()
	if shutdown {
		return false
	}
	defer l.queue.Done(name)
	if admit.Err() != nil {
		return true
	}
	again, err := l.work(ctx, name)
	switch {
	case err == nil:
		l.backOff.Forget(name)
		if again > 0 {
			l.queue.AddAfter(name, again)
		}
	case ctx.Err() == nil: // else it was told to end
		l.failed()
		wait := spread(l.backOff.When(name))
		if later := new(postponed); errors.As(err, later) {
			wait = max(wait, spread(later.after))
		}
		l.logger.Error("failed", err, lager.Data{"job": name, "again-in": wait.Round(time.Millisecond).String()})
		l.queue.AddAfter(name, wait)
	}
	return true
}
