package bits

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/opi"
)

// flight is the work on one image, which all who want the image wait for.
type flight struct {
	request AssemblyRequest
	repair  bool
	// stage says what is being done, for those who can't wait for the end.
	stage atomic.Pointer[string]

	// done is closed after result and err are set.
	done   chan struct{}
	result Assembled
	err    error
	// timer ends the work. It is stopped while the work waits for other work and starts again
	// after that, so that the last of many droplets has as much time as the first.
	timer *time.Timer
	// outcome is one of the metric's.
	outcome string
	// costly turns true when a droplet was read to find the outcome.
	costly bool
	// waiting counts callers; guarded by Assembler.mu.
	waiting int
}

func (f *flight) at(stage string) { f.stage.Store(&stage) }

// waitFor calls wait, which waits for other work. The timer of the flight is stopped meanwhile,
// and then starts again with the whole time.
func (a *Assembler) waitFor(f *flight, wait func() error) error {
	f.timer.Stop()
	defer f.timer.Reset(a.options.Timeout)
	return wait()
}

// join starts the work or finds it under way, and waits for it.
func (a *Assembler) join(ctx context.Context, request AssemblyRequest, repair bool) (Assembled, error) {
	f, err := a.board(request, repair)
	if err != nil {
		return Assembled{}, err
	}
	defer a.leave(f)
	ctx, cancel := context.WithTimeout(ctx, a.options.Patience)
	defer cancel()
	select {
	case <-f.done:
		return f.result, f.err
	case <-ctx.Done():
		stage := *f.stage.Load()
		return Assembled{}, opi.WithMessage(fmt.Errorf("%w: it goes on in the background, at present with %s: %w", opi.ErrUnavailable, stage, ctx.Err()),
			"the app's image is not ready yet; the platform is still %s", stage)
	}
}

func (a *Assembler) board(request AssemblyRequest, repair bool) (*flight, error) {
	key := fmt.Sprint(repair, " ", requestKey(request))
	a.mu.Lock()
	defer a.mu.Unlock()
	if f, ok := a.underWay[key]; ok {
		f.waiting++
		return f, nil
	}
	if a.stopped {
		return nil, fmt.Errorf("%w: Irene is shutting down", opi.ErrUnavailable)
	}
	if len(a.underWay) >= maxUnderWay {
		return nil, fmt.Errorf("%w: %d other images are being worked on", opi.ErrUnavailable, len(a.underWay))
	}
	f := &flight{request: request, repair: repair, done: make(chan struct{}), waiting: 1}
	f.at("waiting for its turn")
	a.underWay[key] = f
	a.registry.metrics.underWay.Set(float64(len(a.underWay)))
	a.work.Go(func() {
		a.fly(f)
		a.land(key, f)
	})
	return f, nil
}

func (a *Assembler) leave(f *flight) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f.waiting--
}

// fly does the work within its own time.
func (a *Assembler) fly(f *flight) {
	ctx, cancel := context.WithCancelCause(a.ctx)
	defer cancel(nil)
	f.timer = time.AfterFunc(a.options.Timeout, func() {
		// Not context.DeadlineExceeded, which means that the work goes on: this attempt has failed.
		cancel(fmt.Errorf("not done within %s: %w", a.options.Timeout, context.Canceled))
	})
	defer f.timer.Stop()
	began := time.Now()
	f.result, f.outcome, f.err = a.find(ctx, f)
	switch {
	case f.err == nil:
		a.images.Add(requestKey(f.request), knownImage{f.result, time.Now()})
		a.failures.Remove(failureKey(f.request.Droplet))
	case a.ctx.Err() != nil:
		f.outcome, f.err = outcomeFailed, fmt.Errorf("%w: Irene is shutting down", opi.ErrUnavailable)
	case errors.Is(f.err, opi.ErrRefused):
		f.outcome = outcomeRefused
		a.keep(f)
	default:
		f.outcome = outcomeFailed
		if !errors.Is(f.err, opi.ErrUnavailable) {
			f.err = fmt.Errorf("%w: %w", opi.ErrUnavailable, f.err)
		}
		if cause := context.Cause(ctx); cause != nil {
			f.err = fmt.Errorf("%w, %w", f.err, cause)
		}
		f.err = ended(f.err)
		a.keep(f)
	}
	a.registry.metrics.assembled(f.outcome, began)
}

// ended returns the error of work that has ended, without context.DeadlineExceeded: callers take
// that for work that goes on.
func ended(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	hidden := fmt.Errorf("%w: %v", opi.ErrUnavailable, err)
	if message := opi.Message(err); message != "" {
		return opi.WithMessage(hidden, "%s", message)
	}
	return hidden
}

// land makes the outcome known.
func (a *Assembler) land(key string, f *flight) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.underWay, key)
	a.registry.metrics.underWay.Set(float64(len(a.underWay)))
	close(f.done)
	data := lager.Data{"droplet_guid": f.request.Droplet.GUID, "checksum": f.request.Droplet.Checksum.Value, "process_guid": f.request.ProcessGUID}
	switch {
	case f.err == nil && f.outcome == outcomeAssembled:
		data["tag"], data["stack"] = f.result.Tag, f.result.Stack.Name
		a.options.Logger.Info("assembled", data)
	case f.err != nil && f.waiting == 0:
		// Who waits is told, and logs it.
		a.options.Logger.Error("assemble", f.err, data)
	}
}

// Failure is why an app image could not be assembled.
type Failure struct {
	// Reason is fit for the app's developer, and at most 1000 bytes long.
	Reason string
	// Refused says that the droplet is at fault, not the platform.
	Refused bool
	At      time.Time

	// holds is the request that gets the same answer for a while, "" for none.
	holds string
}

// LastFailure is why the last work on a droplet's image failed; false when it
// succeeded, or is not remembered.
func (a *Assembler) LastFailure(droplet opi.Droplet) (Failure, bool) {
	return a.failures.Get(failureKey(droplet))
}

func (a *Assembler) keep(f *flight) {
	reason := cmp.Or(opi.Message(f.err), strings.TrimPrefix(f.err.Error(), opi.ErrRefused.Error()+": "))
	failure := Failure{Reason: opi.PlainText(reason, maxReasonBytes), Refused: errors.Is(f.err, opi.ErrRefused), At: time.Now()}
	if failure.Refused && f.costly {
		failure.holds = requestKey(f.request)
	}
	a.failures.Add(failureKey(f.request.Droplet), failure)
}

// held is a refusal that would cost much to find again.
func (a *Assembler) held(request AssemblyRequest) (Failure, bool) {
	failure, ok := a.LastFailure(request.Droplet)
	return failure, ok && failure.holds == requestKey(request) && time.Since(failure.At) < refusalHold
}

func failureKey(droplet opi.Droplet) string { return droplet.GUID + ":" + droplet.Checksum.Value }
