package control

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/k8s/view"
)

type lostNodeMetrics struct {
	deleted, failures prometheus.Counter
}

func newLostNodeMetrics(appsView interface{ Nodes() []view.Node }, registerer prometheus.Registerer) lostNodeMetrics {
	m := lostNodeMetrics{
		deleted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_lost_node_pods_deleted_total",
			Help: "Pods deleted by force because their node was lost.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_lost_node_failures_total",
			Help: "Lost nodes that could not be handled and are tried again.",
		}),
	}
	registerer.MustRegister(m.deleted, m.failures, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "irene_lost_nodes",
		Help: "Nodes of the cluster that are not ready, for whatever reason.",
	}, func() float64 {
		notReady := 0
		for _, node := range appsView.Nodes() {
			if !node.Ready.True() {
				notReady++
			}
		}
		return float64(notReady)
	}))
	return m
}
