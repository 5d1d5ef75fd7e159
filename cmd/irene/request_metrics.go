package main

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// requestMetrics count and time the API's requests.
type requestMetrics struct {
	total   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

func newRequestMetrics(registry prometheus.Registerer) *requestMetrics {
	m := &requestMetrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irene_http_requests_total",
			Help: "API requests answered, by route, method and status code (499: cut off by irene).",
		}, []string{"route", "method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "irene_http_request_seconds",
			Help: "Time from an API request's header to the end of its answer, by route.",
			// Cloud Controller gives up after 60 s.
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 60},
		}, []string{"route"}),
	}
	registry.MustRegister(m.total, m.seconds)
	return m
}

// observe takes a route of a small fixed set. Methods are the caller's choice and
// are reduced to the known ones.
func (m *requestMetrics) observe(route, method string, status int, took time.Duration) {
	known := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}
	if !slices.Contains(known, method) {
		method = "other"
	}
	m.total.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}
