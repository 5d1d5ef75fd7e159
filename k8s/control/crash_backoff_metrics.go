package control

import "github.com/prometheus/client_golang/prometheus"

type crashBackoffMetrics struct {
	crashes, failures prometheus.Counter
}

func newCrashBackoffMetrics(appsView heldBackPods, registerer prometheus.Registerer) crashBackoffMetrics {
	m := crashBackoffMetrics{
		crashes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_disk_crashes_total",
			Help: "Instances that were ended because they used more disk than their limit.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_crash_backoff_failures_total",
			Help: "LRPs whose back-off after such ends could not be handled and is tried again.",
		}),
	}
	registerer.MustRegister(m.crashes, m.failures, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "irene_crash_backoff_instances",
		Help: "Instances that wait to be started again because they were over their disk limit several times.",
	}, func() float64 { return float64(waitingInstances(appsView)) }))
	return m
}
