package builds

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/k8s/job"
)

// Where a build's buildpacks come from.
const (
	fromImage    = "image"
	fromDownload = "download"
)

type stagingMetrics struct {
	stepSeconds *prometheus.HistogramVec
	buildpacks  *prometheus.CounterVec
	accounts    *prometheus.CounterVec
}

// newMetrics returns what builds have in common with other work, and registers the rest.
func newMetrics(registerer prometheus.Registerer) (job.Metrics, stagingMetrics) {
	// Half a second to more than an hour.
	buckets := prometheus.ExponentialBuckets(0.5, 2, 14)
	ended := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "irene_stagings_total",
		Help: "Builds that have ended, by lifecycle (buildpack, docker) and reason (succeeded, or why not).",
	}, []string{"lifecycle", "reason"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "irene_staging_seconds",
		Help:    "Time from the request for a build to its end, by lifecycle and whether it succeeded (succeeded, failed).",
		Buckets: buckets,
	}, []string{"lifecycle", "result"})
	m := stagingMetrics{
		stepSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "irene_staging_step_seconds",
			Help:    "Time that a step of a build took (fetch, build, push), as it says itself.",
			Buckets: buckets,
		}, []string{"step"}),
		buildpacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irene_staging_buildpacks_total",
			Help: "Buildpacks of builds, by where they come from: image (mounted as a volume), download.",
		}, []string{"from"}),
		accounts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irene_staging_registry_accounts_total",
			Help: "Builds by the account that they push with: build (good for this build alone), builds (registry.build_username_file), irene (registry.username_file, which may replace everything), none.",
		}, []string{"account"}),
	}
	for _, from := range []string{fromImage, fromDownload} {
		m.buildpacks.WithLabelValues(from)
	}
	for _, account := range []string{accountOfBuild, accountOfBuilds, accountOfIrene, noAccount} {
		m.accounts.WithLabelValues(account)
	}
	registerer.MustRegister(m.stepSeconds, m.buildpacks, m.accounts)
	return job.NewMetrics(ended, seconds, "irene_staging", "builds"), m
}
