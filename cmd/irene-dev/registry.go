package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	preferredRegistryPort    = "5001" // 5000 is that of the cluster's own, which has the pause image
	preferredRegistryObserve = "127.0.0.1:9103"
	registryPrefix           = "cloudfoundry"
	// registryName is the log of the registry.
	registryName = "registry"
	registryStop = 20 * time.Second

	// Users of the registry: Irene may write, nodes may not.
	registryWriter = "irene"
	registryReader = "nodes"
)

// startRegistry starts Irene's own registry on the address that nodes and pods reach
// as well, and lets containerd know of it.
func (c *cloud) startRegistry(ctx context.Context) (string, error) {
	if !c.state.Registry.alive() {
		if err := errors.Join(
			chooseAddress(&c.state.RegistryAddress, net.JoinHostPort(c.cluster.NodeAddress, preferredRegistryPort)),
			chooseAddress(&c.state.RegistryObserve, preferredRegistryObserve),
		); err != nil {
			return "", err
		}
	}
	for _, user := range []string{registryWriter, registryReader} {
		if err := c.makeCredentials(user); err != nil {
			return "", err
		}
	}
	if err := c.introduceRegistry(); err != nil {
		return "", err
	}
	config := c.registryConfiguration()
	note, err := c.keep(ctx, service{
		name: registryName, process: &c.state.Registry, program: c.program(ireneProgram),
		args:       []string{"registry", "serve", "--config", c.at(registryConfig)},
		configured: func() (bool, error) { return fileHolds(c.at(registryConfig), config) },
		configure:  func() error { return os.WriteFile(c.at(registryConfig), []byte(config), 0o600) },
		readyURL:   "http://" + c.state.RegistryObserve + "/readyz", stop: registryStop,
	})
	if err != nil {
		return "", err
	}
	return note + ", listening on " + c.state.RegistryAddress, nil
}

// registryConfiguration has no TLS: the bridge is inside this machine.
func (c *cloud) registryConfiguration() string {
	return fmt.Sprintf(`# The registry's configuration in the embedded cloud, written by irene-dev up.
listen:
  address: %q
observe:
  address: %q
shutdown:
  delay: 0s
  timeout: 10s
storage:
  directory: %q
users:
  - name: %q
    password_file: %q
  - name: %q
    password_file: %q
    read_only: true
`, c.state.RegistryAddress, c.state.RegistryObserve, c.at(registryContent),
		registryWriter, c.passwordFile(registryWriter), registryReader, c.passwordFile(registryReader))
}

// introduceRegistry makes containerd ask the registry under its own address, by HTTP;
// all names that it isn't told of lead to the cluster's. containerd looks at each pull.
func (c *cloud) introduceRegistry() error {
	file := filepath.Join(c.cluster.CertsD, c.state.RegistryAddress, "hosts.toml")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("introduce the registry to containerd: %w", err)
	}
	url := "http://" + c.state.RegistryAddress
	settings := fmt.Appendf(nil, "server = %q\n\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", url, url)
	if err := os.WriteFile(file, settings, 0o644); err != nil {
		return fmt.Errorf("introduce the registry to containerd: %w", err)
	}
	return nil
}

// makeCredentials makes the two files of a user, once.
func (c *cloud) makeCredentials(user string) error {
	if err := os.MkdirAll(c.at(credentialsName), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(c.usernameFile(user), []byte(user+"\n"), 0o600); err != nil {
		return err
	}
	if held, err := os.ReadFile(c.passwordFile(user)); err == nil && len(held) > 0 {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(c.passwordFile(user), []byte(rand.Text()+"\n"), 0o600)
}

func (c *cloud) usernameFile(user string) string { return c.at(credentialsName, user+"-user") }
func (c *cloud) passwordFile(user string) string { return c.at(credentialsName, user+"-password") }
