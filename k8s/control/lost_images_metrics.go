package control

import "github.com/prometheus/client_golang/prometheus"

type lostImageMetrics struct {
	repairs  *prometheus.CounterVec
	deleted  prometheus.Counter
	failures prometheus.Counter
}

func newLostImageMetrics(l *LostImages, registerer prometheus.Registerer) lostImageMetrics {
	m := lostImageMetrics{
		repairs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irene_lost_image_repairs_total",
			Help: "Images that nodes could not pull, by what became of them: repaired, moved (the LRP, to its stack's current revision), failed.",
		}, []string{"outcome"}),
		deleted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_lost_image_pods_deleted_total",
			Help: "Pods deleted because their image was repaired and they need not wait any longer.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_lost_image_failures_total",
			Help: "LRPs with lost images that could not be handled for want of the API server, and are tried again.",
		}),
	}
	registerer.MustRegister(m.repairs, m.deleted, m.failures, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "irene_lost_image_lrps",
		Help: "LRPs with pods that wait for an image of a droplet, or did and have not run since.",
	}, func() float64 {
		l.mutex.Lock()
		defer l.mutex.Unlock()
		waiting := 0
		for _, held := range l.cases {
			if !held.foreign {
				waiting++
			}
		}
		return float64(waiting)
	}))
	return m
}
