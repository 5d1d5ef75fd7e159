package control

import "github.com/prometheus/client_golang/prometheus"

// Outcomes of patches of pods.
const (
	podPatched    = "patched"
	podGone       = "gone"
	podNotPatched = "failed"
)

type podMetadataMetrics struct{ patches *prometheus.CounterVec }

func newPodMetadataMetrics(options PodMetadataOptions) podMetadataMetrics {
	m := podMetadataMetrics{patches: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "irene_pod_metadata_patches_total",
		Help: "Patches of pods that lacked labels or metric tags of their LRP, by outcome: patched, gone, failed.",
	}, []string{"outcome"})}
	for _, outcome := range []string{podPatched, podGone, podNotPatched} {
		m.patches.WithLabelValues(outcome)
	}
	options.Registerer.MustRegister(m.patches, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "irene_pods_without_metadata",
		Help: "Pods of apps that lack labels or metric tags of their LRP.",
	}, func() float64 { return float64(options.View.CountPodsWithoutMetadata()) }))
	return m
}
