package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

const (
	preferredAPI     = "127.0.0.1:8085"
	preferredObserve = "127.0.0.1:9102"
	// ireneStop is more than shutdown.delay and shutdown.timeout below.
	ireneStop = 20 * time.Second
)

// configuration is Irene's own. Plaintext is good enough here because only this
// machine can reach the port; a real one has mutual TLS.
func (c *cloud) configuration() string {
	return fmt.Sprintf(`# Irene's configuration in the embedded cloud, written by irene-dev up.
listen:
  address: %q
  plaintext: true
observe:
  address: %q
shutdown:
  delay: 0s
  timeout: 10s
kubernetes:
  kubeconfig_file: %q
  namespace: %q
leader_election:
  enabled: true
nats:
  servers: [%q]
  user: %q
  password_file: %q
registry:
  pull_address: %q
  prefix: %q
  stack_revision: %q
`, c.state.API, c.state.Observe, c.cluster.Kubeconfig, appsNamespace,
		"nats://"+c.state.NATS, natsUser, c.at(natsPassword), c.cluster.Registry, registryPrefix, c.image.revision)
}

// startIrene starts Irene unless it runs with this very program and
// configuration, and waits until it can answer.
func (c *cloud) startIrene(ctx context.Context) (string, error) {
	if !c.state.Irene.alive() {
		if err := errors.Join(chooseAddress(&c.state.API, preferredAPI), chooseAddress(&c.state.Observe, preferredObserve)); err != nil {
			return "", err
		}
	}
	return c.keep(ctx, service{
		name: ireneProgram, process: &c.state.Irene, program: c.program(ireneProgram), args: []string{"serve", "--config", c.at(ireneConfig)},
		configured: c.ireneConfigured, configure: c.configureIrene, readyURL: c.observe("readyz"), stop: ireneStop,
	})
}

func (c *cloud) ireneConfigured() (bool, error) {
	present, err := os.ReadFile(c.at(ireneConfig))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return string(present) == c.configuration(), err
}

func (c *cloud) configureIrene() error {
	return os.WriteFile(c.at(ireneConfig), []byte(c.configuration()), 0o600)
}

// observe is the URL of a page of Irene's health port.
func (c *cloud) observe(page string) string { return "http://" + c.state.Observe + "/" + page }
