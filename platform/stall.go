package platform

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// alarm cancels a request when it is not stopped within its limit. A limit of 0 never
// passes.
type alarm struct {
	limit  time.Duration
	cancel context.CancelCauseFunc

	mutex sync.Mutex
	timer *time.Timer
	ended bool
}

// start gives the request the whole limit from now on.
func (a *alarm) start() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	switch {
	case a.ended || a.limit == 0:
	case a.timer == nil:
		a.timer = time.AfterFunc(a.limit, func() { a.cancel(stalledFor(a.limit)) })
	default:
		a.timer.Reset(a.limit)
	}
}

// stop lets any time pass until the next start.
func (a *alarm) stop() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.timer != nil {
		a.timer.Stop()
	}
}

// end stops the alarm for good.
func (a *alarm) end() {
	a.stop()
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.ended = true
}

// watchedRequest makes the bodies of one request, which is sent again where a kept
// connection turns out to be closed.
type watchedRequest struct {
	stall  time.Duration
	cancel context.CancelCauseFunc
	head   *alarm
}

func (w watchedRequest) body(content io.ReadCloser) io.ReadCloser {
	return &sentBody{ReadCloser: content, alarm: alarm{limit: w.stall, cancel: w.cancel}, head: w.head}
}

func (w watchedRequest) getBody(again func() (io.ReadCloser, error)) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		content, err := again()
		if err != nil {
			return nil, err
		}
		w.head.stop()
		return w.body(content), nil
	}
}

// sentBody is read by the transport, which has to come back for more after it got bytes:
// until then it is sending them.
type sentBody struct {
	io.ReadCloser
	alarm alarm
	// head is started when all is sent.
	head *alarm
}

// Read is part of io.ReadCloser.
func (b *sentBody) Read(p []byte) (int, error) {
	b.alarm.stop()
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		b.alarm.start()
	} else if errors.Is(err, io.EOF) {
		b.head.start()
	}
	return n, err
}

// Close is part of io.ReadCloser.
func (b *sentBody) Close() error {
	b.alarm.end()
	return b.ReadCloser.Close()
}

// receivedBody has to bring bytes whenever it is read.
type receivedBody struct {
	io.ReadCloser
	alarm alarm
	ctx   context.Context
}

// Read is part of io.ReadCloser.
func (b *receivedBody) Read(p []byte) (int, error) {
	b.alarm.start()
	n, err := b.ReadCloser.Read(p)
	b.alarm.stop()
	if err != nil && !errors.Is(err, io.EOF) {
		err = stalled(b.ctx, err)
	}
	return n, err
}

// Close is part of io.ReadCloser. It frees what belongs to the request.
func (b *receivedBody) Close() error {
	b.alarm.end()
	err := b.ReadCloser.Close()
	b.alarm.cancel(nil)
	return err
}
