package main

import (
	"errors"

	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/route"
	routenats "github.com/irene-cf/irene/route/nats"
)

// routesFeature publishes routes over NATS.
func (c Configuration) routesFeature() feature {
	return feature{
		certificates: map[string]string{"nats.certificate_file": c.NATS.CertificateFile},
		authorities:  map[string]string{"nats.ca_file": c.NATS.CAFile},
		checks:       []area{examineNATS},
		assemble: func(a *assembly) error {
			if len(c.NATS.Servers) == 0 {
				a.logger.Info("routes-are-not-published", lager.Data{"reason": "nats.servers is empty"})
				a.emitterReady = func() error { return errors.New("routes are not published: nats.servers is empty") }
				return nil
			}
			emitter, err := newEmitter(c, newRouteView(a.view, a.logger), a.logger)
			if err != nil {
				return err
			}
			a.registry.MustRegister(emitter)
			a.emitterReady = emitter.Connected
			a.background = append(a.background, emitter.Run)
			a.leading = append(a.leading, emitter.Lead)
			return nil
		},
	}
}

func newEmitter(config Configuration, lrps route.View, logger lager.Logger) (*routenats.Emitter, error) {
	replica, err := replicaName()
	if err != nil {
		return nil, err
	}
	return routenats.New(routenats.Options{
		View:         lrps,
		NATS:         natsSettings(config),
		Installation: config.Installation(),
		Replica:      replica,
		MaxPending:   config.NATS.MaxPendingUnregisters,
		Logger:       logger,
	})
}

func natsSettings(config Configuration) routenats.Settings {
	bus := config.NATS
	return routenats.Settings{
		Servers:       bus.Servers,
		User:          bus.User,
		PasswordFile:  bus.PasswordFile,
		CAFile:        bus.CAFile,
		ServerName:    bus.ServerName,
		CertFile:      bus.CertificateFile,
		KeyFile:       bus.KeyFile,
		PingInterval:  bus.PingInterval.Duration,
		ReconnectWait: bus.ReconnectWait.Duration,
	}
}
