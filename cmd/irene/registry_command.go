package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/bits/registry"
)

const registryUsage = `A registry for the images of one node or of a small installation.

Usage:
  irene registry serve --config FILE
        serve images from a directory of this machine

FILE is YAML; docs/registry.md describes its keys.
`

// registryCommand runs "irene registry …" and returns the exit status.
func registryCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, registryUsage)
		return exitUsage
	}
	switch name, rest := args[0], args[1:]; name {
	case "serve":
		return serveCommand(ctx, "registry serve", serveRegistry, rest, stdout, stderr)
	case "help", "--help", "-h":
		fmt.Fprint(stdout, registryUsage)
		return 0
	default:
		fmt.Fprintf(stderr, "irene registry: unknown command %q\n\n%s", name, registryUsage)
		return exitUsage
	}
}

// serveRegistry serves images.
func serveRegistry(ctx context.Context, path string, logs io.Writer) error {
	config, err := LoadRegistry(path)
	if err != nil {
		return err
	}
	logger, err := newLogger(logs, config.Log)
	if err != nil {
		return err
	}
	registry.AdoptLibraryLogs(logger)
	logger.Info("starting", lager.Data{"version": versionText()})
	config.warn(logger)

	var certs *serverCertificates
	if files := config.Listen.TLS; files.CertificateFile != "" {
		if certs, err = loadCertificates(TLS{CertificateFile: files.CertificateFile, KeyFile: files.KeyFile}, logger, time.Now); err != nil {
			return fmt.Errorf("certificates:\n%w", err)
		}
	}
	metrics := newMetricsRegistry()
	opened, err := registry.New(config.options(logger, metrics))
	if err != nil {
		var wrong faults
		if other := wrong.registryOptions(err); other != nil {
			return other
		}
		return fmt.Errorf("configuration %s:\n%w", path, wrong.err())
	}
	running, err := config.service(opened, certs, metrics, logger)
	if err != nil {
		return errors.Join(err, opened.Close())
	}
	if err := running.run(ctx); err != nil {
		// What was cut off may not have noticed yet. The directory's lock ends with the
		// process, after all of it.
		return err
	}
	return opened.Close()
}

// warn tells what is allowed and better known.
func (c RegistryConfiguration) warn(logger lager.Logger) {
	if isLoopback(c.Listen.Address) {
		return
	}
	if c.Listen.TLS.CertificateFile == "" {
		logger.Info("no-tls", lager.Data{"consequence": "whoever is on the way to " + c.Listen.Address + " can read passwords and images"})
	}
	if c.Anonymous {
		logger.Info("no-users", lager.Data{"consequence": "whoever reaches " + c.Listen.Address + " can read, replace and delete images"})
	}
}

// service opens the ports. certificates is nil without TLS.
func (c RegistryConfiguration) service(opened *registry.Registry, certs *serverCertificates, metrics *prometheus.Registry, logger lager.Logger) (*service, error) {
	apiListener, observeListener, err := listen(c.Listen.Address, c.Observe.Address, certs)
	if err != nil {
		return nil, err
	}
	ready := &readiness{check: opened.Check}
	server := opened.Server()
	boundConnections(server, c.Listen.MaxConnections)
	return &service{
		shutdown:        c.Shutdown,
		logger:          logger,
		api:             server,
		observe:         newObserveServer(ready, nil, c.Observe.Profiling, metrics, logger),
		apiListener:     apiListener,
		observeListener: observeListener,
		ready:           ready,
		background:      []work{opened.Run},
	}, nil
}
