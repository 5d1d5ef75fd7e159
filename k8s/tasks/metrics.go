package tasks

import (
	"github.com/prometheus/client_golang/prometheus"
)

type taskMetrics struct {
	tasks    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	removed  prometheus.Counter
	failures prometheus.Counter
}

func newTaskMetrics(registerer prometheus.Registerer) taskMetrics {
	m := taskMetrics{
		tasks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irene_tasks_total",
			Help: "Tasks that have ended, by reason (succeeded, or why not).",
		}, []string{"reason"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "irene_task_seconds",
			Help: "Time from the request for a task to its end, by whether it succeeded (succeeded, failed).",
			// Half a second to a day and a half.
			Buckets: prometheus.ExponentialBuckets(0.5, 3, 12),
		}, []string{"result"}),
		removed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_task_secrets_removed_total",
			Help: "Secrets of tasks that were deleted because nothing needed them any more.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_task_sweep_failures_total",
			Help: "Sweeps over Secrets of tasks that failed, at least in part, and are tried again.",
		}),
	}
	registerer.MustRegister(m.tasks, m.seconds, m.removed, m.failures)
	return m
}
