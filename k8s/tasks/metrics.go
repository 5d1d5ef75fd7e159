package tasks

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/k8s/job"
)

func newMetrics() job.Metrics {
	ended := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "irene_tasks_total",
		Help: "Tasks that have ended, by reason (succeeded, or why not).",
	}, []string{"reason"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "irene_task_seconds",
		Help: "Time from the request for a task to its end, by whether it succeeded (succeeded, failed).",
		// Half a second to a day and a half.
		Buckets: prometheus.ExponentialBuckets(0.5, 3, 12),
	}, []string{"result"})
	return job.NewMetrics(ended, seconds, "irene_task", "tasks")
}
