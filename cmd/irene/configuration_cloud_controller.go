package main

import (
	"context"
	"fmt"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/events"
	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/k8s/control"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/api"
	"github.com/irene-cf/irene/platform"
)

// CloudController is how Irene calls Cloud Controller: to tell it what became of
// builds and tasks, where each request says to where, and of instances.
type CloudController struct {
	// URL is Cloud Controller's internal address, which is told of instances; empty for
	// no reports of instances.
	URL string `json:"url"`
	// ReportRescheduling and ReportReadiness say whether Cloud Controller is told of
	// instances that move and of those that turn ready or unready. Old ones know neither.
	ReportRescheduling bool `json:"report_rescheduling"`
	ReportReadiness    bool `json:"report_readiness"`
	// CAFile has the authorities that sign Cloud Controller's certificate; empty means
	// the system's.
	CAFile string `json:"ca_file"`
	// CertificateFile and KeyFile are for mutual TLS; both or none.
	CertificateFile string `json:"certificate_file"`
	KeyFile         string `json:"key_file"`
	// RequestTimeout bounds one request. Cloud Controller may start an app before it
	// answers.
	RequestTimeout Duration `json:"request_timeout"`
	// Workers is how many outcomes are told at once, and of how many LRPs beside them.
	Workers int `json:"workers"`
	// TombstoneTTL is how long a Job stays after Cloud Controller knows its outcome, for
	// a late repeat of its request.
	TombstoneTTL Duration `json:"tombstone_ttl"`
}

func defaultCloudController() CloudController {
	return CloudController{
		ReportRescheduling: true,
		RequestTimeout:     Duration{Duration: events.DefaultRequestTimeout},
		Workers:            events.DefaultWorkers,
		TombstoneTTL:       Duration{Duration: events.DefaultTombstoneTTL},
	}
}

func (c CloudController) validate(wrong *faults) {
	if u, err := opi.ParseHTTPURL(c.URL); c.URL != "" && (err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		wrong.add("cloud_controller.url", "must be like https://cloud-controller.example:9023")
	}
	wrong.pair("cloud_controller", "certificate_file", "key_file", c.CertificateFile, c.KeyFile)
	wrong.duration("cloud_controller.request_timeout", c.RequestTimeout, leastPatience)
	if c.Workers < 1 {
		wrong.add("cloud_controller.workers", "%d must be at least 1", c.Workers)
	}
	wrong.duration("cloud_controller.tombstone_ttl", c.TombstoneTTL, leastPatience)
}

// cloudControllerFeature reports to Cloud Controller how Jobs end and what happens to
// instances.
func (c Configuration) cloudControllerFeature() feature {
	return feature{
		certificates: map[string]string{"cloud_controller.certificate_file": c.CloudController.CertificateFile},
		authorities:  map[string]string{"cloud_controller.ca_file": c.CloudController.CAFile},
		checks:       []area{examineCloudController},
		assemble: func(a *assembly) error {
			client, err := newCloudController(c, a.requests, a.logger, a.registry)
			if err != nil {
				return err
			}
			outcomes, err := newOutcomeReports(c, a.clients, client, a.deciders, a.logger, a.registry)
			if err != nil {
				return err
			}
			a.leading = append(a.leading, outcomes.Run)
			if c.CloudController.URL == "" {
				a.logger.Info("instances-are-not-reported", lager.Data{"reason": "cloud_controller.url is empty"})
				return nil
			}
			records := control.NewInstanceRecords(control.InstanceRecordsOptions{
				Namespace: c.Kubernetes.Namespace, View: a.view, Pods: a.clients.Typed.CoreV1(),
			})
			reports, rescheduled, err := newInstanceReports(c, records, client, a.logger, a.registry)
			if err != nil {
				return err
			}
			a.observe, a.rescheduled = reports.Observe, rescheduled
			a.leading = append(a.leading, reports.Run)
			return nil
		},
	}
}

// newCloudController makes the one client for everything that is told.
func newCloudController(config Configuration, requests *platform.Metrics, logger lager.Logger, metrics prometheus.Registerer) (*events.CloudController, error) {
	settings := config.CloudController
	rules, err := platformRules(config)
	if err != nil {
		return nil, err
	}
	client, err := events.NewCloudController(events.ClientOptions{
		Outbound:        rules,
		CAFile:          settings.CAFile,
		CertificateFile: settings.CertificateFile,
		KeyFile:         settings.KeyFile,
		RequestTimeout:  settings.RequestTimeout.Duration,
		Metrics:         requests,
		Logger:          logger,
		Registerer:      metrics,
	})
	if err != nil {
		return nil, fmt.Errorf("cloud_controller: %w", err)
	}
	return client, nil
}

// doors returns the doors that encode what is reported to their callers. Cloud Controllers of
// all years take reports about instances, and outcomes in their direct form, in the same words
// (contract/bbs.md 4.4).
func doors() events.Doors {
	return events.Doors{opi.DoorOPI: api.Encoder{}, opi.DoorBBS: api.Encoder{}}
}

// newOutcomeReports tells Cloud Controller of Jobs. It runs where this replica leads.
func newOutcomeReports(config Configuration, clients k8s.Clients, client *events.CloudController, kinds map[string]events.Decider, logger lager.Logger, metrics prometheus.Registerer) (*events.Jobs, error) {
	settings := config.CloudController
	return events.NewJobs(events.Options{
		Kubernetes:      clients.Typed,
		Namespace:       config.Kubernetes.Namespace,
		Kinds:           kinds,
		Doors:           doors(),
		CloudController: client,
		TombstoneTTL:    settings.TombstoneTTL.Duration,
		Workers:         settings.Workers,
		Logger:          logger,
		Registerer:      metrics,
	})
}

// newInstanceReports returns what reports instances to Cloud Controller, and what reports
// one on a lost node. It must be called before the view runs.
func newInstanceReports(config Configuration, records control.InstanceRecords, client *events.CloudController, logger lager.Logger, metrics prometheus.Registerer) (*events.InstanceReports, rescheduled, error) {
	settings := config.CloudController
	reports, err := events.NewInstanceReports(events.InstanceReportsOptions{
		Instances:       records,
		Doors:           doors(),
		CloudController: client,
		URL:             settings.URL,
		Rescheduling:    settings.ReportRescheduling,
		Readiness:       settings.ReportReadiness,
		Workers:         settings.Workers,
		Logger:          logger,
		Registerer:      metrics,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("cloud_controller.url: %w", err)
	}
	records.Subscribe(reports.Changed)
	return reports, func(_ context.Context, instance control.LostInstance) error {
		if record, desired := records.Lost(instance); desired {
			return reports.Rescheduled(record)
		}
		return nil
	}, nil
}

// rescheduled reports an instance before it is removed from a lost node.
type rescheduled func(context.Context, control.LostInstance) error
