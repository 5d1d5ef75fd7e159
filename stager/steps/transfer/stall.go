package transfer

import (
	"context"
	"io"
	"time"
)

// watch ends a context when nothing moves for a time.
type watch struct {
	timer  *time.Timer
	stall  time.Duration
	cancel context.CancelCauseFunc
}

// newWatch returns a context that ends with errStalled, and what keeps it from
// doing so. The caller calls stop when it is done with the context.
func newWatch(ctx context.Context, stall time.Duration) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &watch{stall: stall, cancel: cancel, timer: time.AfterFunc(stall, func() { cancel(errStalled) })}
}

func (w *watch) moved() { w.timer.Reset(w.stall) }

func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// reader tells the watch of every byte that is read.
func (w *watch) reader(r io.Reader) io.Reader { return &watchedReader{r, w} }

type watchedReader struct {
	io.Reader
	watch *watch
}

func (r *watchedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if n > 0 {
		r.watch.moved()
	}
	return n, err
}
