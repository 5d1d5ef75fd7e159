package events

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/client-go/util/workqueue"
)

const (
	shortestBackOff = time.Second
	longestBackOff  = time.Minute

	// failuresLogged in a second, after a burst, are enough: while Cloud Controller is
	// away everything fails.
	failuresLogged      = 1
	failuresLoggedBurst = 100
)

// lane is a queue of what has to be looked after and those who work on it. A key is
// worked on by one worker at a time; while one does, adding it makes another turn follow.
type lane[K comparable] struct {
	queue   workqueue.TypedDelayingInterface[K]
	backOff workqueue.TypedRateLimiter[K]
	logger  lager.Logger
	// kind is what a key stands for, in the log.
	kind string
	// work says after what time it wants to be called again; 0 is not before the key
	// is added. An error means after a back-off.
	work func(ctx context.Context, key K) (again time.Duration, err error)
	// failed counts errors.
	failed func()

	logging flowcontrol.RateLimiter
	// unlogged counts failures since the last one that was logged.
	unlogged atomic.Int64
}

func newLane[K comparable](logger lager.Logger, kind string, failed func(), work func(context.Context, K) (time.Duration, error)) *lane[K] {
	return &lane[K]{
		queue:   workqueue.NewTypedDelayingQueue[K](),
		backOff: workqueue.NewTypedItemExponentialFailureRateLimiter[K](shortestBackOff, longestBackOff),
		logger:  logger,
		kind:    kind,
		work:    work,
		failed:  failed,
		logging: flowcontrol.NewTokenBucketRateLimiter(failuresLogged, failuresLoggedBurst),
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

// drain is how long deliveries that are under way may go on when a controller is told to
// end. It is less than a deposed leader has until another one takes over (with the
// default Lease), so that this one's answer is written before the other looks.
const drain = 4 * time.Second

// worked is a lane of any kind of key.
type worked interface {
	start(ctx, admit context.Context, workers int) (wait func())
	shutDown()
}

// workOn works on the lanes until ctx ends. What is under way then goes on for a while,
// lest it is done twice.
func workOn(ctx context.Context, workers int, lanes ...worked) {
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	var waits []func()
	for _, l := range lanes {
		waits = append(waits, l.start(work, ctx, workers))
	}
	<-ctx.Done()
	for _, l := range lanes {
		l.shutDown()
	}
	defer time.AfterFunc(drain, cut).Stop()
	for _, wait := range waits {
		wait()
	}
}

func (l *lane[K]) shutDown() { l.queue.ShutDown() }

// start begins with the work until admit ends; what is under way then goes on with
// ctx. The returned function waits for the end.
func (l *lane[K]) start(ctx, admit context.Context, workers int) (wait func()) {
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for l.turn(ctx, admit) {
			}
		})
	}
	return working.Wait
}

func (l *lane[K]) turn(ctx, admit context.Context) (more bool) {
	key, shutdown := l.queue.Get()
	if shutdown {
		return false
	}
	defer l.queue.Done(key)
	if admit.Err() != nil {
		return true
	}
	again, err := l.work(ctx, key)
	switch {
	case err == nil:
		l.backOff.Forget(key)
		if again > 0 {
			l.queue.AddAfter(key, again)
		}
	case ctx.Err() == nil: // else it was told to end
		l.failed()
		wait := spread(l.backOff.When(key))
		if later := new(postponed); errors.As(err, later) {
			wait = max(wait, spread(later.after))
		}
		l.say(err, key, wait)
		l.queue.AddAfter(key, wait)
	}
	return true
}

func (l *lane[K]) say(err error, key K, wait time.Duration) {
	if !l.logging.TryAccept() {
		l.unlogged.Add(1)
		return
	}
	data := lager.Data{l.kind: fmt.Sprint(key), "again-in": wait.Round(time.Millisecond).String()}
	if others := l.unlogged.Swap(0); others > 0 {
		data["failures-not-logged"] = others
	}
	l.logger.Error("failed", err, data)
}
