package events

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// jobMetrics are also the collector of what is pending.
type jobMetrics struct {
	outcomes, answers, failures *prometheus.CounterVec

	pending    *pending
	kinds      []string
	waiting    *prometheus.Desc
	oldestWait *prometheus.Desc
}

// Values of the label "answer".
const (
	answerAccepted   = "accepted"
	answerRefused    = "refused"
	answerNoCallback = "no_callback"
)

func newJobMetrics(registerer prometheus.Registerer, pending *pending, kinds []string) *jobMetrics {
	m := &jobMetrics{
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irene_outcomes_total",
			Help: "Outcomes of builds (STG) and tasks (TASK) that were decided, by reason.",
		}, []string{"kind", "reason"}),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irene_outcome_answers_total",
			Help: "Outcomes that are settled: accepted or refused by Cloud Controller, or without a callback to send them to.",
		}, []string{"kind", "answer"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irene_outcome_failures_total",
			Help: "Attempts that failed and are made again: to decide an outcome or to clean up after it (decide), or to deliver it (deliver).",
		}, []string{"step"}),
		pending: pending,
		kinds:   kinds,
		waiting: prometheus.NewDesc("irene_outcomes_pending",
			"Outcomes that Cloud Controller has not answered yet; only where this replica leads.", []string{"kind"}, nil),
		oldestWait: prometheus.NewDesc("irene_outcomes_oldest_pending_seconds",
			"How long ago the work ended whose outcome is pending for longest; 0 if none is.", nil, nil),
	}
	registerer.MustRegister(m.outcomes, m.answers, m.failures, m)
	return m
}

// Describe implements prometheus.Collector.
func (m *jobMetrics) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- m.waiting
	descriptions <- m.oldestWait
}

// Collect implements prometheus.Collector.
func (m *jobMetrics) Collect(metrics chan<- prometheus.Metric) {
	waiting, oldest := m.pending.count()
	for _, kind := range m.kinds {
		metrics <- prometheus.MustNewConstMetric(m.waiting, prometheus.GaugeValue, float64(waiting[kind]), kind)
	}
	age := 0.0
	if !oldest.IsZero() {
		age = max(0, time.Since(oldest).Seconds())
	}
	metrics <- prometheus.MustNewConstMetric(m.oldestWait, prometheus.GaugeValue, age)
}
