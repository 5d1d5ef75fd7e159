package events

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/k8s/retry"
)

const (
	shortestBackOff = time.Second
	longestBackOff  = time.Minute

	// failuresLogged in a second, after a burst, are enough: while Cloud Controller is
	// away everything fails.
	failuresLogged      = 1
	failuresLoggedBurst = 100
)

// lane is a queue of keys and the workers that handle them. A key is handled by one
// worker at a time; adding it meanwhile makes another turn follow.
type lane[K comparable] struct {
	laneOptions[K]
	queue    workqueue.TypedDelayingInterface[K]
	schedule *retry.Schedule[K]

	logging flowcontrol.RateLimiter
	// unlogged counts failures since the last one that was logged.
	unlogged atomic.Int64
}

type laneOptions[K comparable] struct {
	logger lager.Logger
	// kind is what a key stands for, in the log.
	kind string
	// work returns the time after which it should be called again; 0 means not before the
	// key is added. After an error it is called again after a back-off.
	work func(ctx context.Context, key K) (again time.Duration, err error)
	// patient makes a key that failed wait for the end of its back-off even if it is added
	// meanwhile. That suits work for a server that is away: nothing that happens here
	// brings it back. Other work is tried at once, since an event may be what it waits for.
	patient bool
	// failed counts errors.
	failed func()
}

func newLane[K comparable](options laneOptions[K]) *lane[K] {
	return &lane[K]{
		laneOptions: options,
		queue:       workqueue.NewTypedDelayingQueue[K](),
		schedule:    retry.NewSchedule[K](shortestBackOff, longestBackOff, clock.RealClock{}),
		logging:     flowcontrol.NewTokenBucketRateLimiter(failuresLogged, failuresLoggedBurst),
	}
}

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
	if wait := l.schedule.Wait(key); l.patient && wait > 0 {
		l.queue.AddAfter(key, wait)
		return true
	}
	again, err := l.work(ctx, key)
	switch {
	case err == nil:
		l.schedule.Succeeded(key)
		if again > 0 {
			l.queue.AddAfter(key, again)
		}
	case ctx.Err() == nil: // else it was told to end
		l.failed()
		var later postponed
		errors.As(err, &later)
		wait := l.schedule.Failed(key, later.after)
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
