package bits

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// registryMetrics counts what a Registry, and the Stacks and Assembler that work
// on it, do. It is a prometheus.Collector; Registry passes it on.
type registryMetrics struct {
	requests       *prometheus.CounterVec
	requestSeconds *prometheus.HistogramVec
	bytes          *prometheus.CounterVec
	blobs          *prometheus.CounterVec

	assemblies      *prometheus.CounterVec
	assemblySeconds *prometheus.HistogramVec
	underWay        prometheus.Gauge
	fetches         *prometheus.CounterVec
	fetchedBytes    prometheus.Counter

	stackFailures  *prometheus.CounterVec
	stackConfirmed *prometheus.GaugeVec
	stackInfo      *prometheus.GaugeVec
}

// The labels' values.
const (
	directionSent     = "sent"
	directionReceived = "received"

	blobMounted  = "mounted"
	blobCopied   = "copied"
	blobUploaded = "uploaded"

	outcomeFound     = "found"
	outcomeAssembled = "assembled"
	outcomeRefused   = "refused"
	outcomeFailed    = "failed"
	outcomeFetched   = "fetched"
)

func newRegistryMetrics() *registryMetrics {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &registryMetrics{
		requests: counters("irene_registry_requests_total",
			"Requests to the registry, repeats included, by method and status code (0: no answer).", "method", "code"),
		requestSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "irene_registry_request_seconds",
			Help:    "Time from a request to the registry, its body included, to the head of the answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 18),
		}, []string{"method"}),
		bytes: counters("irene_registry_bytes_total",
			"Bytes of bodies exchanged with the registry, by direction (sent, received).", "direction"),
		blobs: counters("irene_registry_blobs_total",
			"Blobs put into a repository, by how: mounted (no byte moved), copied (the registry had it in another repository and could not mount it), uploaded.", "how"),
		assemblies: counters("irene_image_assemblies_total",
			"Times that an app image was looked for, by outcome: found (it was there), assembled, refused (the droplet is at fault), failed.", "outcome"),
		assemblySeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "irene_image_assembly_seconds",
			Help:    "Time to find or assemble an app image, waiting included, by outcome.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 18),
		}, []string{"outcome"}),
		underWay: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "irene_image_assemblies_under_way", Help: "Assemblies that run or wait, those that nobody waits for any more included."}),
		fetches: counters("irene_droplet_fetches_total",
			"Droplets that the registry lacked, by outcome of the fetch: fetched, refused (none there, or not what was desired), failed.", "outcome"),
		fetchedBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_droplet_fetch_bytes_total", Help: "Bytes of droplets read from the droplet source."}),
		stackFailures: counters("irene_stack_check_failures_total",
			"Times that a stack's digest could not be read; the last known one goes on to be used.", "stack"),
		stackConfirmed: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "irene_stack_confirmed_timestamp_seconds", Help: "When the registry last told a stack's digest, in Unix time."}, []string{"stack"}),
		stackInfo: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "irene_stack_info", Help: "1 for the digest and revision that each stack has at present."}, []string{"stack", "digest", "revision"}),
	}
	for _, outcome := range []string{outcomeFound, outcomeAssembled, outcomeRefused, outcomeFailed} {
		m.assemblies.WithLabelValues(outcome)
	}
	for _, how := range []string{blobMounted, blobCopied, blobUploaded} {
		m.blobs.WithLabelValues(how)
	}
	return m
}

func (m *registryMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.requestSeconds, m.bytes, m.blobs, m.assemblies, m.assemblySeconds,
		m.underWay, m.fetches, m.fetchedBytes, m.stackFailures, m.stackConfirmed, m.stackInfo}
}

// assembled notes the end of one look for an image.
func (m *registryMetrics) assembled(outcome string, since time.Time) {
	m.assemblies.WithLabelValues(outcome).Inc()
	m.assemblySeconds.WithLabelValues(outcome).Observe(time.Since(since).Seconds())
}

// Describe is part of prometheus.Collector.
func (r *Registry) Describe(descriptions chan<- *prometheus.Desc) {
	for _, collector := range r.metrics.all() {
		collector.Describe(descriptions)
	}
}

// Collect is part of prometheus.Collector.
func (r *Registry) Collect(metrics chan<- prometheus.Metric) {
	for _, collector := range r.metrics.all() {
		collector.Collect(metrics)
	}
}
