package registry

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/bits/registry/store"
)

// metrics are what Options.Registerer gets.
type metrics struct {
	registerer prometheus.Registerer
	registered []prometheus.Collector

	requests          *prometheus.CounterVec
	received, sent    prometheus.Counter
	keptBytes         prometheus.Gauge
	collections       *prometheus.CounterVec
	lastCollection    prometheus.Gauge
	removed           *prometheus.CounterVec
	removedBytes      prometheus.Counter
	collectionSeconds prometheus.Gauge
}

func newMetrics(opened *store.Store, options Options) (*metrics, error) {
	m := &metrics{
		registerer: options.Registerer,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irene_registry_requests_total",
			Help: "Requests answered, by route, method and status code (499: cut off by either side).",
		}, []string{"route", "method", "code"}),
		received: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_registry_received_bytes_total",
			Help: "Bytes of request bodies.",
		}),
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_registry_sent_bytes_total",
			Help: "Bytes of response bodies.",
		}),
		keptBytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "irene_registry_storage_bytes",
			Help: "Size of all blobs when they were last counted: at the start and by each collection.",
		}),
		collections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irene_registry_gc_runs_total",
			Help: "Garbage collections, by outcome: ok or failed.",
		}, []string{"outcome"}),
		lastCollection: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "irene_registry_gc_last_success_timestamp_seconds",
			Help: "When a garbage collection last ended well, in Unix time; 0 if none did since the start.",
		}),
		collectionSeconds: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "irene_registry_gc_seconds",
			Help: "How long the last garbage collection took.",
		}),
		removed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irene_registry_gc_removed_total",
			Help: "What was removed, by kind: tag, manifest, link (of a blob in a repository), blob or upload (unfinished).",
		}, []string{"kind"}),
		removedBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_registry_gc_removed_bytes_total",
			Help: "Size of the blobs that garbage collections removed.",
		}),
	}
	for _, outcome := range []string{"ok", "failed"} {
		m.collections.WithLabelValues(outcome)
	}
	for _, kind := range []string{"tag", "manifest", "link", "blob", "upload"} {
		m.removed.WithLabelValues(kind)
	}
	return m, m.register(
		m.requests, m.received, m.sent, m.keptBytes,
		m.collections, m.lastCollection, m.collectionSeconds, m.removed, m.removedBytes,
		spaceGauges{opened, options.MinFreeBytes},
	)
}

func (m *metrics) register(collectors ...prometheus.Collector) error {
	if m.registerer == nil {
		return nil
	}
	for _, collector := range collectors {
		if err := m.registerer.Register(collector); err != nil {
			m.unregister()
			return err
		}
		m.registered = append(m.registered, collector)
	}
	return nil
}

func (m *metrics) unregister() {
	for _, collector := range m.registered {
		m.registerer.Unregister(collector)
	}
}

// request takes a route of a small fixed set. Methods are the caller's choice and
// are reduced to those that the API has.
func (m *metrics) request(route, method string, status int, received, sent int64) {
	known := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	if !slices.Contains(known, method) {
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.received.Add(float64(received))
	m.sent.Add(float64(sent))
}

func (m *metrics) collected(done store.Collected) {
	m.removed.WithLabelValues("tag").Add(float64(done.Tags))
	m.removed.WithLabelValues("manifest").Add(float64(done.Manifests))
	m.removed.WithLabelValues("link").Add(float64(done.Links))
	m.removed.WithLabelValues("blob").Add(float64(done.Blobs))
	m.removedBytes.Add(float64(done.FreedBytes))
}

var (
	freeBytesMetric = prometheus.NewDesc("irene_registry_free_bytes",
		"Free space of the file system.", nil, nil)
	minFreeBytesMetric = prometheus.NewDesc("irene_registry_min_free_bytes",
		"Free space below which uploads are refused.", nil, nil)
)

// spaceGauges ask the file system when they are asked.
type spaceGauges struct {
	store        *store.Store
	minFreeBytes int64
}

// Describe implements prometheus.Collector, as does Collect.
func (g spaceGauges) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- freeBytesMetric
	descriptions <- minFreeBytesMetric
}

// Collect leaves out what can't be measured.
func (g spaceGauges) Collect(found chan<- prometheus.Metric) {
	found <- prometheus.MustNewConstMetric(minFreeBytesMetric, prometheus.GaugeValue, float64(g.minFreeBytes))
	free, err := g.store.FreeBytes()
	if err != nil {
		found <- prometheus.NewInvalidMetric(freeBytesMetric, err)
		return
	}
	found <- prometheus.MustNewConstMetric(freeBytesMetric, prometheus.GaugeValue, float64(free))
}
