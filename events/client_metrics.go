package events

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type clientMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newClientMetrics(registerer prometheus.Registerer) clientMetrics {
	m := clientMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irene_cloud_controller_requests_total",
			Help: "Requests to Cloud Controller, by endpoint and status code (0: no answer).",
		}, []string{"endpoint", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "irene_cloud_controller_request_seconds",
			Help:    "Time from a request to Cloud Controller to its answer, or to giving up on one.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2.5, 13), // to 5 minutes
		}, []string{"endpoint"}),
	}
	registerer.MustRegister(m.requests, m.seconds)
	return m
}

func (m clientMetrics) request(endpoint string, status int, took time.Duration) {
	m.requests.WithLabelValues(endpoint, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(endpoint).Observe(took.Seconds())
}
