package stager

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Where a build's buildpacks come from.
const (
	fromImage    = "image"
	fromDownload = "download"
)

type stagingMetrics struct {
	builds      *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	stepSeconds *prometheus.HistogramVec
	buildpacks  *prometheus.CounterVec
	accounts    *prometheus.CounterVec
	removed     prometheus.Counter
	failures    prometheus.Counter
}

func newStagingMetrics(registerer prometheus.Registerer) stagingMetrics {
	// Half a second to more than an hour.
	buckets := prometheus.ExponentialBuckets(0.5, 2, 14)
	m := stagingMetrics{
		builds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irene_stagings_total",
			Help: "Builds that have ended, by lifecycle (buildpack, docker) and reason (succeeded, or why not).",
		}, []string{"lifecycle", "reason"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "irene_staging_seconds",
			Help:    "Time from the request for a build to its end, by lifecycle and whether it succeeded (succeeded, failed).",
			Buckets: buckets,
		}, []string{"lifecycle", "result"}),
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
		removed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_staging_secrets_removed_total",
			Help: "Secrets of builds that were deleted because nothing needed them any more.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "irene_staging_sweep_failures_total",
			Help: "Sweeps over Secrets of builds that failed, at least in part, and are tried again.",
		}),
	}
	for _, from := range []string{fromImage, fromDownload} {
		m.buildpacks.WithLabelValues(from)
	}
	for _, account := range []string{accountOfBuild, accountOfBuilds, accountOfIrene, noAccount} {
		m.accounts.WithLabelValues(account)
	}
	registerer.MustRegister(m.builds, m.seconds, m.stepSeconds, m.buildpacks, m.accounts, m.removed, m.failures)
	return m
}
