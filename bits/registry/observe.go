package registry

import (
	"errors"
	"io"
	"net/http"
	"time"

	"code.cloudfoundry.org/lager/v3"
	v2 "github.com/distribution/distribution/v3/registry/api/v2"

	"github.com/irene-cf/irene/opi"
)

// stallTimeout is how long a connection may move nothing within a request. There is
// no bound on a whole request: blobs have many GiB.
const stallTimeout = 2 * time.Minute

// observe counts and logs each request, and cuts off those that stall.
func (r *Registry) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		started := r.clock.Now()
		request, to := withDestination(request)
		control := http.NewResponseController(w)
		body := &observedBody{ReadCloser: request.Body, control: control, stall: r.stall}
		answer := &observedAnswer{ResponseWriter: w, control: control, stall: r.stall}
		request.Body = body
		finished := false
		defer func() {
			// The next request on the connection begins afresh. Where there are no
			// deadlines (in tests) there is nothing to end.
			_ = control.SetWriteDeadline(time.Time{})
			// The server reads what is left of a body to use the connection again.
			if !body.ended {
				_ = control.SetReadDeadline(time.Now().Add(r.stall))
			}
			status := answer.status
			switch {
			case !finished || body.failed:
				status = statusAborted
			case status == 0:
				status = http.StatusOK
			}
			r.metrics.request(to.route, request.Method, status, body.bytes, answer.bytes)
			r.log(request, to.route, status, body, answer, r.clock.Since(started))
		}()
		next.ServeHTTP(answer, request)
		finished = true
	})
}

// statusAborted stands for a request or an answer that was cut off.
const statusAborted = 499

// maxLogged bounds each text of a request that is logged, in bytes. Whoever reaches the
// port chooses them.
const maxLogged = 256

// log writes a line for each request: at info for those that change what can be
// pulled and those that were refused to somebody with a name, at debug for the many
// others. The query stays out, since it carries the state of uploads.
func (r *Registry) log(request *http.Request, route string, status int, body *observedBody, answer *observedAnswer, took time.Duration) {
	user, _, _ := request.BasicAuth()
	data := lager.Data{
		"method": opi.Shorten(request.Method, maxLogged), "route": route, "path": opi.Shorten(request.URL.Path, maxLogged),
		"status": status, "user": opi.Shorten(user, maxLogged),
		"received-bytes": body.bytes, "sent-bytes": answer.bytes, "seconds": took.Seconds(), "remote": request.RemoteAddr,
	}
	switch {
	case status >= http.StatusInternalServerError && status != http.StatusInsufficientStorage:
		r.logger.Error("request", errors.New(http.StatusText(status)), data)
	case status == http.StatusInsufficientStorage,
		status == http.StatusUnauthorized && user != "",
		status == http.StatusForbidden,
		route == v2.RouteNameManifest && !reads(request):
		r.logger.Info("request", data)
	default:
		r.logger.Debug("request", data)
	}
}

// observedBody counts, and fails when nothing comes for too long.
type observedBody struct {
	io.ReadCloser
	control *http.ResponseController
	stall   time.Duration
	bytes   int64
	// ended is set when everything was read, failed when the client went away or
	// stalled.
	ended, failed bool
}

func (b *observedBody) Read(p []byte) (int, error) {
	// Not every connection has deadlines, and those without can't stall on purpose:
	// they are no network's.
	_ = b.control.SetReadDeadline(time.Now().Add(b.stall))
	n, err := b.ReadCloser.Read(p)
	b.bytes += int64(n)
	switch {
	case errors.Is(err, io.EOF):
		// The server goes on reading to learn whether the client is still there.
		b.ended = true
		_ = b.control.SetReadDeadline(time.Time{})
	case err != nil:
		b.failed = true
	}
	return n, err
}

// observedAnswer counts, and fails when nothing is taken for too long.
type observedAnswer struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	// status is 0 until the answer has begun.
	status int
	bytes  int64
}

// Unwrap is for http.ResponseController.
func (a *observedAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader notes the final status; 1xx are not it.
func (a *observedAnswer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *observedAnswer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	_ = a.control.SetWriteDeadline(time.Now().Add(a.stall))
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}
