package buildpacks

import "github.com/prometheus/client_golang/prometheus"

// What came of making an image.
const (
	outcomeMade   = "made"
	outcomeFound  = "found"
	outcomeFailed = "failed"
)

type imageMetrics struct {
	images       *prometheus.CounterVec
	seconds      prometheus.Histogram
	underWay     prometheus.Gauge
	lookFailures prometheus.Counter
}

func newImageMetrics(registerer prometheus.Registerer) imageMetrics {
	m := imageMetrics{
		images: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irene_buildpack_images_total",
			Help: "Images of buildpacks that were to be made, by outcome: made, found (another replica was faster), failed.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "irene_buildpack_image_seconds",
			Help:    "Time to make the image of a buildpack, download included.",
			Buckets: prometheus.ExponentialBuckets(0.25, 2, 13),
		}),
		underWay: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "irene_buildpack_images_under_way",
			Help: "Images of buildpacks that are being made or wait for it.",
		}),
		lookFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_buildpack_image_look_failures_total",
			Help: "Times that the registry could not say in time whether it has the image of a buildpack.",
		}),
	}
	for _, outcome := range []string{outcomeMade, outcomeFound, outcomeFailed} {
		m.images.WithLabelValues(outcome)
	}
	registerer.MustRegister(m.images, m.seconds, m.underWay, m.lookFailures)
	return m
}
