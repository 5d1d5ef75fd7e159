package control

import "github.com/prometheus/client_golang/prometheus"

type companionMetrics struct {
	failures prometheus.Counter
	removed  *prometheus.CounterVec
}

func newCompanionMetrics(registerer prometheus.Registerer) companionMetrics {
	m := companionMetrics{
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_companions_failures_total",
			Help: "Reconciles of an LRP's companions that failed and are tried again.",
		}),
		removed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irene_companions_removed_total",
			Help: "Objects removed because nothing needed them, by kind (twin, secret, budget).",
		}, []string{"kind"}),
	}
	registerer.MustRegister(m.failures, m.removed)
	return m
}
