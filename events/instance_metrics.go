package events

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// instanceMetrics are also the collector of what is pending.
type instanceMetrics struct {
	answers           *prometheus.CounterVec
	failures, dropped prometheus.Counter
	seconds           prometheus.Histogram

	reports          *InstanceReports
	pending, longest *prometheus.Desc
}

func newInstanceMetrics(registerer prometheus.Registerer, reports *InstanceReports) *instanceMetrics {
	m := &instanceMetrics{
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irene_instance_reports_total",
			Help: "Reports about instances that are settled, by kind: accepted or refused by Cloud Controller.",
		}, []string{"report", "answer"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_instance_report_failures_total",
			Help: "Attempts to deliver or mark a report about an instance that failed and are made again.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_instance_reports_dropped_total",
			Help: "Reports about instances that are gone, given up because too many waited.",
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "irene_instance_report_seconds",
			Help:    "Time from noticing what happened to an instance to Cloud Controller's answer.",
			Buckets: prometheus.ExponentialBuckets(0.002, 4, 12), // to 2.3 hours
		}),
		reports: reports,
		pending: prometheus.NewDesc("irene_instance_reports_pending",
			"Reports about instances that Cloud Controller has not answered yet; only where this replica leads.", nil, nil),
		longest: prometheus.NewDesc("irene_instance_reports_oldest_pending_seconds",
			"How long ago was noticed what is pending for longest; 0 if nothing is.", nil, nil),
	}
	registerer.MustRegister(m.answers, m.failures, m.dropped, m.seconds, m)
	return m
}

func (m *instanceMetrics) answered(report *instanceReport, answer string) {
	m.answers.WithLabelValues(string(report.kind), answer).Inc()
	m.seconds.Observe(time.Since(report.noticed).Seconds())
}

// Describe implements prometheus.Collector.
func (m *instanceMetrics) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- m.pending
	descriptions <- m.longest
}

// Collect implements prometheus.Collector.
func (m *instanceMetrics) Collect(metrics chan<- prometheus.Metric) {
	pending, oldest := m.reports.waiting()
	age := 0.0
	if !oldest.IsZero() {
		age = max(0, time.Since(oldest).Seconds())
	}
	metrics <- prometheus.MustNewConstMetric(m.pending, prometheus.GaugeValue, float64(pending))
	metrics <- prometheus.MustNewConstMetric(m.longest, prometheus.GaugeValue, age)
}

// waiting counts what is pending and says since when the oldest is; zero for nothing.
func (r *InstanceReports) waiting() (pending int, oldest time.Time) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, queue := range r.lrps {
		for _, report := range queue.reports {
			pending += report.last - report.first + 1
			if oldest.IsZero() || report.noticed.Before(oldest) {
				oldest = report.noticed
			}
		}
	}
	return pending, oldest
}
