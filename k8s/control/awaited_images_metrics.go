package control

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/k8s/imagewait"
	"github.com/irene-cf/irene/k8s/view"
)

type awaitedImageMetrics struct {
	attempts *prometheus.CounterVec
	seconds  prometheus.Histogram
}

func newAwaitedImageMetrics(options AwaitedImagesOptions) awaitedImageMetrics {
	m := awaitedImageMetrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irene_awaited_image_attempts_total",
			Help: "Attempts at images of LRPs that were accepted before their images were in the registry, by outcome: assembled, ongoing, unavailable, refused.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "irene_awaited_image_seconds",
			Help:    "Time from the acceptance of an LRP to its image being in the registry.",
			Buckets: prometheus.ExponentialBuckets(0.5, 2, 12),
		}),
	}
	for _, outcome := range []string{imagewait.Assembled, imagewait.Ongoing, imagewait.Unavailable, imagewait.Refused} {
		m.attempts.WithLabelValues(outcome)
	}
	options.Registerer.MustRegister(m.attempts, m.seconds, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "irene_awaited_image_lrps",
		Help: "LRPs that have no instances because their images are not in the registry yet.",
	}, func() float64 {
		waiting := 0
		options.View.EachLRP(func(lrp *view.LRP) {
			if lrp.Awaited != nil {
				waiting++
			}
		})
		return float64(waiting)
	}))
	return m
}
