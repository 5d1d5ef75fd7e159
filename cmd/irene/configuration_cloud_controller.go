package main

import (
	"fmt"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/events"
	"github.com/irene-cf/irene/k8s"
)

// CloudController is how Irene calls Cloud Controller: to tell it what became of
// builds. Where to is in each request.
type CloudController struct {
	// CAFile has the authorities that sign Cloud Controller's certificate; empty means
	// the system's.
	CAFile string `json:"ca_file"`
	// CertificateFile and KeyFile are for mutual TLS; both or none.
	CertificateFile string `json:"certificate_file"`
	KeyFile         string `json:"key_file"`
	// RequestTimeout bounds one request. Cloud Controller may start an app before it
	// answers.
	RequestTimeout Duration `json:"request_timeout"`
	// Workers is how many outcomes are told at once.
	Workers int `json:"workers"`
	// TombstoneTTL is how long a Job stays after Cloud Controller knows its outcome, for
	// a late repeat of its request.
	TombstoneTTL Duration `json:"tombstone_ttl"`
}

func defaultCloudController() CloudController {
	return CloudController{
		RequestTimeout: Duration{Duration: events.DefaultRequestTimeout},
		Workers:        events.DefaultWorkers,
		TombstoneTTL:   Duration{Duration: events.DefaultTombstoneTTL},
	}
}

func (c CloudController) validate(wrong *faults) {
	wrong.pair("cloud_controller", "certificate_file", "key_file", c.CertificateFile, c.KeyFile)
	wrong.duration("cloud_controller.request_timeout", c.RequestTimeout, leastPatience)
	if c.Workers < 1 {
		wrong.add("cloud_controller.workers", "%d must be at least 1", c.Workers)
	}
	wrong.duration("cloud_controller.tombstone_ttl", c.TombstoneTTL, leastPatience)
}

// newOutcomeReports tells Cloud Controller of Jobs. It runs where this replica leads.
func newOutcomeReports(config Configuration, clients k8s.Clients, kinds map[string]events.Decider, logger lager.Logger, metrics prometheus.Registerer) (*events.Jobs, error) {
	settings := config.CloudController
	client, err := events.NewCloudController(events.ClientOptions{
		CAFile:          settings.CAFile,
		CertificateFile: settings.CertificateFile,
		KeyFile:         settings.KeyFile,
		RequestTimeout:  settings.RequestTimeout.Duration,
		Logger:          logger,
		Registerer:      metrics,
	})
	if err != nil {
		return nil, fmt.Errorf("cloud_controller: %w", err)
	}
	return events.NewJobs(events.Options{
		Kubernetes:      clients.Typed,
		Namespace:       config.Kubernetes.Namespace,
		Kinds:           kinds,
		CloudController: client,
		TombstoneTTL:    settings.TombstoneTTL.Duration,
		Workers:         settings.Workers,
		Logger:          logger,
		Registerer:      metrics,
	})
}
