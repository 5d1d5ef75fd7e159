package platform

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts the requests of all clients of a process. Its methods may be called on
// nil, which counts nothing.
type Metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// NewMetrics registers the metrics.
func NewMetrics(registerer prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irene_platform_requests_total",
			Help: "Requests to services of the platform, repeats included, by peer and status code (0: no answer).",
		}, []string{"peer", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "irene_platform_request_seconds",
			Help:    "Time from a request to a service of the platform, its body included, to the head of the answer, or to giving up on one.",
			Buckets: prometheus.ExponentialBuckets(0.001, 3, 13), // to 9 minutes
		}, []string{"peer"}),
	}
	registerer.MustRegister(m.requests, m.seconds)
	return m
}

func (m *Metrics) request(peer string, code int, took time.Duration) {
	if m == nil {
		return
	}
	m.requests.WithLabelValues(peer, strconv.Itoa(code)).Inc()
	m.seconds.WithLabelValues(peer).Observe(took.Seconds())
}
