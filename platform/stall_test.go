package platform

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/stager/steps/steptest"
)

// ample is a limit that no test reaches.
const ample = time.Minute

// endless is content that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestStalledRequestsEnd(t *testing.T) {
	var over chan struct{} // closed before the server of a case is
	wait := func(r *http.Request) {
		select {
		case <-over:
		case <-r.Context().Done():
		}
	}
	halfAnAnswer := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		wait(r)
	}
	noAnswer := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		wait(r)
	}
	notRead := func(_ http.ResponseWriter, r *http.Request) { wait(r) }
	const soon = 50 * time.Millisecond
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		options Options
		body    io.Reader
	}{
		"an answer's body":                     {halfAnAnswer, Options{Stall: soon, Answer: ample}, nil},
		"a request's body":                     {notRead, Options{Stall: soon, Answer: ample}, endless{}},
		"a request's body, with large buffers": {notRead, Options{Stall: soon, AnswerToBody: ample, Bulk: true}, endless{}},
		"an answer to no body":                 {noAnswer, Options{Answer: soon, AnswerToBody: ample}, nil},
		"an answer to a body":                  {noAnswer, Options{Stall: ample, Answer: ample, AnswerToBody: soon}, strings.NewReader("content")},
		"an answer to a body without length":   {noAnswer, Options{Stall: ample, AnswerToBody: soon}, io.MultiReader(strings.NewReader("content"))},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			over = make(chan struct{})
			defer close(over)
			server := steptest.Serve(t, test.handler)
			method := http.MethodGet
			if test.body != nil {
				method = http.MethodPost
			}
			_, err := send(t.Context(), newClient(t, test.options), method, server.URL, test.body)
			g.Expect(err).To(MatchError(ErrStalled))
			g.Expect(err).To(MatchError("no byte moved for 50ms"))
		})
	}
}

// pausing takes a minute for every read.
type pausing struct{ io.Reader }

func (p pausing) Read(b []byte) (int, error) {
	time.Sleep(time.Minute)
	return p.Reader.Read(b)
}

func (pausing) Close() error { return nil }

func TestOnlyTheOtherSideCanStall(t *testing.T) {
	const limit = time.Second
	for name, body := range map[string]func(context.Context, context.CancelCauseFunc) io.ReadCloser{
		"sent": func(_ context.Context, cancel context.CancelCauseFunc) io.ReadCloser {
			return watchedRequest{stall: limit, cancel: cancel, head: &alarm{limit: limit, cancel: cancel}}.body(pausing{strings.NewReader("content")})
		},
		"received": func(ctx context.Context, cancel context.CancelCauseFunc) io.ReadCloser {
			return &receivedBody{ReadCloser: io.NopCloser(strings.NewReader("content")), alarm: alarm{limit: limit, cancel: cancel}, ctx: ctx}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				ctx, cancel := context.WithCancelCause(t.Context())
				watched := body(ctx, cancel)
				for range 7 {
					_, err := watched.Read(make([]byte, 1))
					g.Expect(err).NotTo(HaveOccurred())
					if name == "received" {
						time.Sleep(time.Minute) // what its reader takes
					}
				}
				g.Expect(ctx.Err()).NotTo(HaveOccurred())
				g.Expect(watched.Close()).To(Succeed())
				time.Sleep(time.Minute)
				g.Expect(errors.Is(context.Cause(ctx), ErrStalled)).To(BeFalse(), "after the end")
			})
		})
	}
}

func TestTheCallersEndIsNoStall(t *testing.T) {
	g := NewWithT(t)
	server := steptest.Serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := send(ctx, newClient(t, Options{Stall: ample, Answer: ample}), http.MethodGet, server.URL, nil)
	g.Expect(err).To(MatchError(context.DeadlineExceeded))
	g.Expect(err).NotTo(MatchError(ErrStalled))
}

// A body is watched as well when net/http sends it again because a kept connection was
// closed by the server.
func TestRepeatedBodiesAreWatched(t *testing.T) {
	g := NewWithT(t)
	watch := watchedRequest{stall: time.Millisecond, head: &alarm{}}
	ctx, cancel := context.WithCancelCause(t.Context())
	watch.cancel = cancel
	again := watch.getBody(func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("content")), nil })
	body, err := again()
	g.Expect(err).NotTo(HaveOccurred())
	_, err = body.Read(make([]byte, 3))
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(func() error { return context.Cause(ctx) }).Should(MatchError(ErrStalled))
	g.Expect(body.Close()).To(Succeed())
}
