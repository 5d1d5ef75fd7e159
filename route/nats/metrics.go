package nats

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	endpointsMetric = prometheus.NewDesc("irene_route_endpoints",
		"Endpoints (register messages) in the table.", nil, nil)
	registersMetric = prometheus.NewDesc("irene_route_register_messages_total",
		"Register messages published, refreshes included.", nil, nil)
	unregistersMetric = prometheus.NewDesc("irene_route_unregister_messages_total",
		"Unregister messages published, repeats included.", nil, nil)
	failedMetric = prometheus.NewDesc("irene_route_publish_failures_total",
		"Messages that could not be handed to NATS.", nil, nil)
	pendingMetric = prometheus.NewDesc("irene_route_pending_unregisters",
		"Triples of address, port and URI whose unregister is still repeated.", nil, nil)
	droppedMetric = prometheus.NewDesc("irene_route_pending_unregisters_dropped_total",
		"Triples whose repeats were given up because there were too many.", nil, nil)
	intervalMetric = prometheus.NewDesc("irene_route_refresh_interval_seconds",
		"Interval at which every endpoint is registered again.", nil, nil)
	activeMetric = prometheus.NewDesc("irene_route_emitter_active",
		"Whether this replica publishes registrations, and is connected to do so: 1 or 0.", nil, nil)
	connectedMetric = prometheus.NewDesc("irene_route_nats_connected",
		"Whether there is a connection to NATS: 1 or 0.", nil, nil)
)

// gauges holds the values that the emitter's goroutine last recorded.
type gauges struct {
	counts
	endpoints, pending, dropped int
	interval                    time.Duration
	active                      bool
}

type metrics struct {
	latency    prometheus.Histogram
	reconnects prometheus.Counter
	errors     prometheus.Counter

	mu     sync.Mutex
	gauges gauges
}

func newMetrics() *metrics {
	return &metrics{
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "irene_route_event_to_publish_seconds",
			Help:    "From the event of a change to its publication.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		reconnects: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_route_nats_reconnects_total", Help: "Connections to NATS after the first one."}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_route_nats_errors_total", Help: "Errors that NATS reported, slow consumers included."}),
	}
}

func (m *metrics) record(s *schedule) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gauges = gauges{counts: s.counts, endpoints: s.table.Len(), pending: s.pending.len(),
		dropped: s.pending.dropped, interval: s.limits.refreshInterval(), active: s.registrar}
}

// Describe is part of prometheus.Collector.
func (e *Emitter) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{endpointsMetric, registersMetric, unregistersMetric, failedMetric,
		pendingMetric, droppedMetric, intervalMetric, activeMetric, connectedMetric} {
		descriptions <- d
	}
	e.metrics.latency.Describe(descriptions)
	e.metrics.reconnects.Describe(descriptions)
	e.metrics.errors.Describe(descriptions)
}

// Collect is part of prometheus.Collector.
func (e *Emitter) Collect(metrics chan<- prometheus.Metric) {
	e.metrics.mu.Lock()
	g := e.metrics.gauges
	e.metrics.mu.Unlock()
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64) {
		metrics <- prometheus.MustNewConstMetric(desc, kind, value)
	}
	send(endpointsMetric, prometheus.GaugeValue, float64(g.endpoints))
	send(registersMetric, prometheus.CounterValue, g.registers)
	send(unregistersMetric, prometheus.CounterValue, g.unregisters)
	send(failedMetric, prometheus.CounterValue, g.failed)
	send(pendingMetric, prometheus.GaugeValue, float64(g.pending))
	send(droppedMetric, prometheus.CounterValue, float64(g.dropped))
	send(intervalMetric, prometheus.GaugeValue, g.interval.Seconds())
	send(activeMetric, prometheus.GaugeValue, oneIf(g.active))
	send(connectedMetric, prometheus.GaugeValue, oneIf(e.Connected() == nil))
	e.metrics.latency.Collect(metrics)
	e.metrics.reconnects.Collect(metrics)
	e.metrics.errors.Collect(metrics)
}

func oneIf(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}
