package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	preferredAPI     = "127.0.0.1:8085"
	preferredBBS     = "127.0.0.1:8889"
	preferredObserve = "127.0.0.1:9102"
	// ireneStop is more than shutdown.delay and shutdown.timeout below.
	ireneStop = 20 * time.Second
	// pullSecret is what Irene keeps for nodes in the apps' namespace.
	pullSecret = "irene-registry"
)

// configuration is Irene's own. Plaintext is good enough for the OPI door here because only
// this machine can reach the port; a real one has mutual TLS, as the BBS door has. launch and stage are the digests
// of programs that Irene reads once: with others it has to start again.
func (c *cloud) configuration(launch, stage string) string {
	return fmt.Sprintf(`# Irene's configuration in the embedded cloud, written by irene-dev up.
listen:
  address: %q
  plaintext: true
bbs:
  listen:
    address: %q
    tls:
      certificate_file: %q
      key_file: %q
      client_ca_file: %q
      client_names: [%q]
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
  address: %q
  plain_http: true
  username_file: %q
  password_file: %q
  pull_address: %q
  pull_secret: %q
  pull_username_file: %q
  pull_password_file: %q
  prefix: %q
stacks:
  names: [%q]
  check_interval: %s
  launch_file: %q # its digest at the start: %s
stager:
  program_file: %q # its digest at the start: %s
  certificate_file: %q
  key_file: %q
  ca_file: %q
cloud_controller:
  url: %q
  certificate_file: %q
  key_file: %q
  ca_file: %q
droplets:
  source:
    url: %q
    plain_http: true
outbound:
  allowed: ["http://127.0.0.0/8"]
`, c.state.API,
		c.state.BBS, c.certificate(bbsCertificate), c.key(bbsCertificate), c.authority(), cloudControllerHost,
		c.state.Observe, c.cluster.Kubeconfig, appsNamespace,
		"nats://"+c.state.NATS, natsUser, c.at(natsPassword),
		c.state.RegistryAddress, c.usernameFile(registryWriter), c.passwordFile(registryWriter),
		c.state.RegistryAddress, pullSecret, c.usernameFile(registryReader), c.passwordFile(registryReader), registryPrefix,
		stackName, stackCheck, c.program(launchProgram), launch,
		c.program(stageProgram), stage, c.certificate(ireneCertificate), c.key(ireneCertificate), c.authority(),
		c.cloudControllerURL(), c.certificate(ireneCertificate), c.key(ireneCertificate), c.authority(),
		c.dropletURL("{droplet_guid}", "{hash}"))
}

// startIrene starts Irene unless it runs with this very program and
// configuration, and waits until it can answer.
func (c *cloud) startIrene(ctx context.Context) (string, error) {
	if !c.state.Irene.alive() {
		if err := errors.Join(chooseAddress(&c.state.API, preferredAPI), chooseAddress(&c.state.Observe, preferredObserve)); err != nil {
			return "", err
		}
	}
	// An Irene that an older irene-dev started has no BBS door yet.
	if !c.state.Irene.alive() || c.state.BBS == "" {
		if err := chooseAddress(&c.state.BBS, preferredBBS); err != nil {
			return "", err
		}
	}
	launch, err := digestOf(c.program(launchProgram))
	if err != nil {
		return "", err
	}
	stage, err := digestOf(c.program(stageProgram))
	if err != nil {
		return "", err
	}
	config := c.configuration(launch, stage)
	note, err := c.keep(ctx, service{
		name: ireneProgram, process: &c.state.Irene, program: c.program(ireneProgram), args: []string{"serve", "--config", c.at(ireneConfig)},
		configured: func() (bool, error) { return fileHolds(c.at(ireneConfig), config) },
		configure:  func() error { return os.WriteFile(c.at(ireneConfig), []byte(config), 0o600) },
		readyURL:   c.observe("readyz"), stop: ireneStop,
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s; doors: BBS at %s, OPI at http://%s", note, c.bbsURL(), c.state.API), c.awaitPullSecret(ctx)
}

// awaitPullSecret waits until the Irene that leads has made the Secret with which
// nodes pull. Without it a node's first attempt fails, and the next takes a while.
func (c *cloud) awaitPullSecret(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	err := poll(limit, func() (bool, error) {
		_, err := c.client.CoreV1().Secrets(appsNamespace).Get(limit, pullSecret, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, ignoreEnd(limit, err)
	})
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("irene has made no Secret %s after %s; %s", pullSecret, readyPatience, logTail(c.log(ireneProgram), 10))
	}
	return err
}

// digestOf is the SHA-256 of a file.
func digestOf(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sha256.Sum256(content)), nil
}

// observe is the URL of a page of Irene's health port.
func (c *cloud) observe(page string) string { return "http://" + c.state.Observe + "/" + page }
