package main

import (
	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/k8s/control"
)

// pullSecretFeature keeps the Secret with which nodes pull images of buildpack apps.
func (c Configuration) pullSecretFeature() feature {
	if c.Registry.PullUsernameFile == "" {
		return feature{}
	}
	return feature{
		permissions: []permission{{resource: "secrets", namespace: c.Kubernetes.Namespace, verbs: verbs("update")}},
		assemble: func(a *assembly) error {
			pullSecret, err := newPullSecret(c, a.clients, a.logger, a.registry)
			if err != nil {
				return err
			}
			a.leading = append(a.leading, pullSecret.Run)
			return nil
		},
	}
}

func newPullSecret(config Configuration, clients k8s.Clients, logger lager.Logger, metrics prometheus.Registerer) (*control.PullSecret, error) {
	return control.NewPullSecret(control.PullSecretOptions{
		Secrets:      clients.Typed.CoreV1(),
		Namespace:    config.Kubernetes.Namespace,
		Name:         config.Registry.PullSecret,
		PullAddress:  config.Registry.PullAddress,
		UsernameFile: config.Registry.PullUsernameFile,
		PasswordFile: config.Registry.PullPasswordFile,
		Logger:       logger,
		Registerer:   metrics,
	})
}
