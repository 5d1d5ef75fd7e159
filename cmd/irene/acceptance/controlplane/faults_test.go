//go:build controlplane

package controlplane_test

import (
	"net/http"
	"strconv"
)

// status answers with a status alone, as a proxy or an overloaded API server does.
func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// busy answers 429 and asks for patience.
func busy(retryAfterSeconds int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfterSeconds))
		w.WriteHeader(http.StatusTooManyRequests)
	}
}

// silent never answers.
func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// atFirst plays fault the first times only, and passes on after that.
func (g *gateway) atFirst(times int, fault http.HandlerFunc) http.HandlerFunc {
	left := make(chan struct{}, times)
	for range times {
		left <- struct{}{}
	}
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-left:
			fault(w, r)
		default:
			g.forward.ServeHTTP(w, r)
		}
	}
}
