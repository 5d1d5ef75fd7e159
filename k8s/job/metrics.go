package job

import (
	"slices"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// Metrics of one kind of work. [New] registers them.
type Metrics struct {
	// Ended counts ends. Its last label is the reason, [opi.ReasonSucceeded] or why not.
	Ended *prometheus.CounterVec
	// Seconds observes the time from the request to the end. Its last label is the result,
	// succeeded or failed; the labels before are those of Ended.
	Seconds *prometheus.HistogramVec

	removed, sweepFailures prometheus.Counter
}

// NewMetrics adds what all kinds of work count of their Secrets. The names of these metrics
// begin with prefix, and their descriptions name the work in the plural.
func NewMetrics(ended *prometheus.CounterVec, seconds *prometheus.HistogramVec, prefix, plural string) Metrics {
	return Metrics{
		Ended: ended, Seconds: seconds,
		removed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "_secrets_removed_total",
			Help: "Secrets of " + plural + " that were deleted because nothing needed them any more.",
		}),
		sweepFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "_sweep_failures_total",
			Help: "Sweeps over Secrets of " + plural + " that failed, at least in part, and are tried again.",
		}),
	}
}

func (m Metrics) register(registerer prometheus.Registerer) {
	registerer.MustRegister(m.Ended, m.Seconds, m.removed, m.sweepFailures)
}

// CountEnd counts and logs the end of a Job, and reports whether it did so for the first
// time, as far as this process remembers: a decision may have to be made again. labels are
// those of the metrics before the last, and data is added to the log line.
func (s *Store) CountEnd(job *batchv1.Job, reason string, data lager.Data, labels ...string) (first bool) {
	if !s.counted.first(job) {
		return false
	}
	result := opi.ReasonSucceeded
	if reason != opi.ReasonSucceeded {
		result = "failed"
	}
	seconds := s.clock.Since(job.CreationTimestamp.Time).Seconds()
	s.metrics.Ended.WithLabelValues(append(slices.Clone(labels), reason)...).Inc()
	s.metrics.Seconds.WithLabelValues(append(slices.Clone(labels), result)...).Observe(seconds)
	s.logger.Info(s.kind.EndedMessage, lager.Data{
		s.kind.GUIDField: job.Labels[keys.GUID], "job": job.Name, "reason": reason, "seconds": seconds,
	}, data)
	return true
}
