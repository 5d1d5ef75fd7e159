package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// newMetricsRegistry holds the metrics of the process itself; every part adds its
// own.
func newMetricsRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
	return registry
}

// readiness is whether this replica should get requests.
type readiness struct {
	// check asks the parts; nil means ready.
	check   func() error
	leaving atomic.Bool
}

func (r *readiness) err() error {
	if r.leaving.Load() {
		return errors.New("shutting down")
	}
	return r.check()
}

// newObserveServer answers on the health port:
//
//	/healthz   200 while the process lives
//	/readyz    200 when the process should get requests, 503 and the reason otherwise
//	/metrics   Prometheus metrics
//
// and, at each path of further, a check that is answered like /readyz. Those are for
// people and alerts, not for probes, since a restart mends nothing of what they tell.
// With profiling, Go's profiles are below /debug/pprof/ as well; they tell of code and
// sizes, never of values, but taking one costs time, so they are off by default.
func newObserveServer(ready *readiness, further map[string]func() error, profiling bool, registry *prometheus.Registry, logger lager.Logger) *http.Server {
	logger = logger.Session("observe")
	errorLog := slog.NewLogLogger(lager.NewHandler(logger), slog.LevelInfo)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", answerReadiness(ready.err))
	for path, check := range further {
		mux.HandleFunc("GET "+path, answerReadiness(check))
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		Registry:          registry,
		ErrorLog:          errorLog,
		EnableOpenMetrics: true,
	}))
	if profiling {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index) // heap, allocs, goroutine…
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       time.Minute,
		ErrorLog:          errorLog,
	}
	boundConnections(server, maxObserveConnections)
	return server
}

func answerReadiness(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := check(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}
