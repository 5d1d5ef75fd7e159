package bits

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// errStalled is the cause of a request's end when its body stood still.
var errStalled = errors.New("no byte moved")

// traffic ends requests whose bodies stand still, in either direction, for longer
// than stall: nothing else would notice a peer that vanished in the middle of one.
// The time that a sender takes to come up with bytes does not count. On the way it
// counts bytes and requests.
type traffic struct {
	inner   http.RoundTripper
	stall   time.Duration
	metrics *registryMetrics
}

// RoundTrip implements http.RoundTripper.
func (t traffic) RoundTrip(request *http.Request) (*http.Response, error) {
	began := time.Now()
	ctx, cancel := context.WithCancelCause(request.Context())
	watched := request.WithContext(ctx)
	if request.Method == http.MethodPatch && request.ContentLength <= 0 {
		// A registry that takes no body of unknown length says so before a byte of it
		// is used up; unless the connection were to be used again, for then the body
		// would have to be sent all the same.
		watched.Header = request.Header.Clone()
		watched.Header.Set("Expect", "100-continue")
		watched.Close = true
	}
	if request.Body != nil && request.Body != http.NoBody {
		watched.Body = t.body(request.Body, cancel, directionSent)
	}
	response, err := t.inner.RoundTrip(watched)
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
			err = cause
		}
		cancel(nil)
		t.metrics.requests.WithLabelValues(request.Method, "0").Inc()
		return nil, err
	}
	t.metrics.requests.WithLabelValues(request.Method, strconv.Itoa(response.StatusCode)).Inc()
	t.metrics.requestSeconds.WithLabelValues(request.Method).Observe(time.Since(began).Seconds())
	if request.Method == http.MethodPost && response.StatusCode == http.StatusCreated && request.URL.Query().Has("mount") {
		t.metrics.blobs.WithLabelValues(blobMounted).Inc()
	}
	response.Body = &receivedBody{flowing: t.body(response.Body, cancel, directionReceived), ctx: ctx, cancel: cancel}
	return response, nil
}

func (t traffic) body(inner io.ReadCloser, cancel context.CancelCauseFunc, direction string) *flowing {
	return &flowing{inner: inner, count: t.metrics.bytes.WithLabelValues(direction), sent: direction == directionSent,
		stall: t.stall, cancel: cancel}
}

// flowing is a body under watch. A received one must bring bytes whenever it is
// read; a sent one must be read on after it gave bytes.
type flowing struct {
	inner  io.ReadCloser
	count  interface{ Add(float64) }
	sent   bool
	stall  time.Duration
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
}

// Read is part of io.ReadCloser.
func (f *flowing) Read(p []byte) (int, error) {
	f.watch(!f.sent)
	n, err := f.inner.Read(p)
	f.count.Add(float64(n))
	f.watch(f.sent && err == nil)
	return n, err
}

// Close is part of io.ReadCloser.
func (f *flowing) Close() error {
	f.watch(false)
	return f.inner.Close()
}

// watch starts the time within which the next byte must move, or stops it.
func (f *flowing) watch(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !on && f.timer != nil:
		f.timer.Stop()
	case on && f.timer == nil:
		f.timer = time.AfterFunc(f.stall, func() { f.cancel(fmt.Errorf("%w for %s", errStalled, f.stall)) })
	case on:
		f.timer.Reset(f.stall)
	}
}

// receivedBody gives back what belongs to a request when its answer was read.
type receivedBody struct {
	*flowing
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// Read is part of io.ReadCloser.
func (b *receivedBody) Read(p []byte) (int, error) {
	n, err := b.flowing.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		if cause := context.Cause(b.ctx); errors.Is(cause, errStalled) {
			err = cause
		}
	}
	return n, err
}

// Close is part of io.ReadCloser.
func (b *receivedBody) Close() error {
	err := b.flowing.Close()
	b.cancel(nil)
	return err
}
