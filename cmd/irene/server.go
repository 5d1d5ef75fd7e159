package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"code.cloudfoundry.org/lager/v3"
)

// door is a front door.
//
// The handler names the route that it took by setting Pattern on the request that it
// gets, as net/http's ServeMux does by itself. A body over the limit fails a read
// with *http.MaxBytesError; answering is the handler's part.
type door struct {
	http.Handler
	// fault answers in place of the handler, in a form that the door's callers read.
	fault faultWriter
	// listen is the key of the settings of the door's listener; "listen" if empty.
	listen string
}

// faultWriter answers with a status that is an error and a text for people.
type faultWriter func(w http.ResponseWriter, status int, message string)

// newAPIServer surrounds a door with what holds for every request: who may call, the
// largest body, what happens in a panic, metrics and the access log.
func newAPIServer(config Listen, api door, metrics *requestMetrics, logger lager.Logger) *http.Server {
	logger = logger.Session("http")
	handler := recoverPanics(logger, api)
	if !config.Plaintext {
		handler = onlyClients(cmp.Or(api.listen, "listen"), config.TLS.ClientNames, api.fault, handler)
	}
	handler = observeRequests(metrics, logger, handler)
	handler = limitBody(config.MaxBodyBytes, handler)

	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	server := &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ReadHeaderTimeout: config.ReadHeaderTimeout.Duration,
		ReadTimeout:       config.ReadTimeout.Duration,
		WriteTimeout:      config.WriteTimeout.Duration,
		IdleTimeout:       config.IdleTimeout.Duration,
		// The server only logs connections that failed, mostly in the handshake.
		ErrorLog: slog.NewLogLogger(lager.NewHandler(logger), slog.LevelInfo),
	}
	boundConnections(server, config.MaxConnections)
	return server
}

// limitBody comes first: only with the server's own ResponseWriter does an
// exceeded limit also close the connection.
func limitBody(limit int64, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		next.ServeHTTP(w, r)
	})
}

// recoverPanics answers 500 for a handler that panics. Where the answer has begun
// already the connection is cut, so that nobody takes it for complete.
func recoverPanics(logger lager.Logger, next door) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &answer{ResponseWriter: w}
		defer func() {
			reason := recover()
			if reason == nil {
				return
			}
			if reason == http.ErrAbortHandler {
				panic(reason)
			}
			logger.Error("panic", fmt.Errorf("%v", reason), lager.Data{
				"method": r.Method, "path": r.URL.Path, "stack": string(debug.Stack()),
			})
			if answer.status != 0 {
				panic(http.ErrAbortHandler)
			}
			next.fault(w, http.StatusInternalServerError, "internal error; the log of irene has the details")
		}()
		next.ServeHTTP(answer, r)
	})
}

// observeRequests counts, times and logs each request, without its body and
// without its query.
func observeRequests(metrics *requestMetrics, logger lager.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		answer := &answer{ResponseWriter: w}
		finished := false
		defer func() {
			status := answer.status
			switch {
			case !finished:
				status = statusAborted
			case status == 0:
				status = http.StatusOK
			}
			took := time.Since(started)
			route := routeOf(r)
			metrics.observe(route, r.Method, status, took)
			logger.Info("request", lager.Data{
				"method": r.Method, "route": route, "path": r.URL.Path, "status": status,
				"bytes": answer.bytes, "seconds": took.Seconds(), "remote": r.RemoteAddr,
			})
		}()
		next.ServeHTTP(answer, r)
		finished = true
	})
}

// statusAborted stands for an answer that was cut off on purpose.
const statusAborted = 499

// routeOf is the route that the API took, or "none".
func routeOf(r *http.Request) string {
	if r.Pattern == "" {
		return "none"
	}
	return r.Pattern
}

// answer notes what was answered. http.ResponseController finds what it wraps.
type answer struct {
	http.ResponseWriter
	// status is 0 until the answer has begun.
	status int
	bytes  int64
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader notes the final status; 1xx are not it.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}
