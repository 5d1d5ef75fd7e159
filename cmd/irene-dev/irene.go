package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

const (
	preferredAPI     = "127.0.0.1:8085"
	preferredObserve = "127.0.0.1:9102"
	irenePatience    = time.Minute
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
registry:
  pull_address: %q
  prefix: %q
  stack_revision: %q
`, c.state.API, c.state.Observe, c.cluster.Kubeconfig, appsNamespace, c.cluster.Registry, registryPrefix, c.image.revision)
}

// startIrene starts Irene unless it runs with this very program and
// configuration, and waits until it can answer.
func (c *cloud) startIrene(ctx context.Context) (string, error) {
	running := c.state.Irene.alive()
	if !running {
		if err := c.chooseAddresses(); err != nil {
			return "", err
		}
	}
	wanted := c.configuration()
	present, err := os.ReadFile(c.at(ireneConfig))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	note := "started"
	if running && string(present) == wanted && c.state.Irene.runs(c.program(ireneProgram)) {
		if err := c.awaitIrene(ctx); !errors.Is(err, errEnded) {
			return "runs already", err
		}
	} else if running {
		note = "started again, because its program or configuration has changed"
		if err := c.state.Irene.end(ctx, ireneStop); err != nil {
			return "", err
		}
	}
	if err := os.WriteFile(c.at(ireneConfig), []byte(wanted), 0o600); err != nil {
		return "", err
	}
	c.state.Irene, err = startProcess(c.log(ireneProgram), c.log(ireneProgram), c.program(ireneProgram), "serve", "--config", c.at(ireneConfig))
	if err := errors.Join(err, c.saveState(c.state)); err != nil {
		return "", err
	}
	return note, c.awaitIrene(ctx)
}

// chooseAddresses takes the addresses of the last time, else the preferred ones,
// else any that are free.
func (c *cloud) chooseAddresses() error {
	var err error
	if c.state.API, err = freeAddress(c.state.API, preferredAPI); err != nil {
		return err
	}
	c.state.Observe, err = freeAddress(c.state.Observe, preferredObserve)
	return err
}

// freeAddress is the first of the addresses that nobody listens on, or another on
// loopback.
func freeAddress(preferred ...string) (string, error) {
	var err error
	for _, address := range append(preferred, "127.0.0.1:0") {
		if address == "" {
			continue
		}
		var listener net.Listener
		if listener, err = net.Listen("tcp", address); err == nil {
			return listener.Addr().String(), listener.Close()
		}
	}
	return "", fmt.Errorf("find a free port: %w", err)
}

func (c *cloud) awaitIrene(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, irenePatience)
	defer cancel()
	last := "no answer"
	err := poll(limit, func() (bool, error) {
		status, body, err := call(limit, http.MethodGet, "http://"+c.state.Observe+"/readyz", nil)
		if status == http.StatusOK {
			return true, nil
		}
		if err == nil {
			last = body
		}
		if !c.state.Irene.alive() {
			return false, fmt.Errorf("irene %w; %s", errEnded, logTail(c.log(ireneProgram), 20))
		}
		return false, nil
	})
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("not ready after %s (/readyz: %s); %s", irenePatience, last, logTail(c.log(ireneProgram), 20))
	}
	return err
}
