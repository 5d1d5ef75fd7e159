package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"code.cloudfoundry.org/lager/v3"
	// The image has no authorities of its own; public registries are asked for docker images.
	_ "golang.org/x/crypto/x509roots/fallback"
)

const usage = `irene lets Cloud Foundry run its apps on Kubernetes.

Usage:
  irene serve --config FILE   answer Cloud Controller and run the controllers
  irene stack import|list|roll
                              root file systems of buildpack apps; see irene stack help
  irene registry serve --config FILE
                              serve images from a directory; see irene registry help
  irene uninstall --namespace NAMESPACE
                              let go of Jobs in the app namespace when no irene is left
  irene doctor --config FILE  check all that irene needs; docs/operate.md
  irene lrps|routes [-o json] --config FILE [APP]
                              show apps and their instances, or what routers should know
  irene diff [-o json] [--door opi|bbs] --config FILE LIST
                              compare with Cloud Controller's list; docs/operate.md
  irene config --config FILE  show the configuration with its defaults
  irene version               print the version
  irene help                  print this text

FILE is YAML; docs/configuration.md describes its keys, docs/registry.md those of
the registry.
`

// Exit statuses.
const (
	exitFailed = 1
	exitUsage  = 2
)

// version is set by the linker for releases; see versionText for other builds.
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// After the first signal the next one has its usual effect, an end at once.
	context.AfterFunc(ctx, stop)
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// command runs one command line and returns the exit status.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	switch name, rest := args[0], args[1:]; name {
	case "serve":
		return serveCommand(ctx, "serve", serve, rest, stdout, stderr)
	case "stack":
		return stackCommand(ctx, rest, stdout, stderr)
	case "registry":
		return registryCommand(ctx, rest, stdout, stderr)
	case "uninstall":
		return uninstallCommand(ctx, rest, stdout, stderr)
	case "doctor", "lrps", "routes", "diff", "config":
		look := map[string]operatorCommand{"doctor": examine, "lrps": listLRPs, "routes": listRoutes, "diff": diffApps, "config": showConfiguration}
		return look[name].status(ctx, name, rest, stdout, stderr)
	case "version", "--version":
		fmt.Fprintln(stdout, "irene", versionText())
		return 0
	case "help", "--help", "-h":
		fmt.Fprint(stdout, usage)
		return 0
	default:
		fmt.Fprintf(stderr, "irene: unknown command %q\n\n%s", name, usage)
		return exitUsage
	}
}

// serving runs as the configuration file at path says until ctx ends or a part fails.
type serving func(ctx context.Context, path string, logs io.Writer) error

// serveCommand reads the rest of the command line that asks for serve.
func serveCommand(ctx context.Context, name string, serve serving, args []string, stdout, stderr io.Writer) int {
	name = "irene " + name
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("config", "", "the configuration `FILE`")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	case *path == "":
		fmt.Fprintf(stderr, "%s: --config FILE is required\n", name)
		return exitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "%s: unexpected argument %q\n", name, flags.Arg(0))
		return exitUsage
	}
	if err := serve(ctx, *path, stdout); err != nil {
		fmt.Fprintf(stderr, "irene: %v\n", err)
		return exitFailed
	}
	return 0
}

// serve is the service that Cloud Controller talks to.
func serve(ctx context.Context, path string, logs io.Writer) error {
	config, err := Load(path)
	if err != nil {
		return err
	}
	logger, err := newLogger(logs, config.Log)
	if err != nil {
		return err
	}
	adoptClientGoLogs(logger)
	logger.Info("starting", lager.Data{"version": versionText()})
	limitMemory(logger)

	var certs *serverCertificates
	if !config.Listen.Plaintext {
		if certs, err = loadCertificates(config.Listen.TLS, logger, time.Now); err != nil {
			return fmt.Errorf("certificates:\n%w", err)
		}
	}
	registry := newMetricsRegistry()
	registry.MustRegister(newCertificateExpiry(config))
	parts, err := assemble(config, logger, registry)
	if err != nil {
		return err
	}
	readiness := &readiness{check: parts.notReady}
	apiListener, observeListener, err := listen(config.Listen.Address, config.Observe.Address, certs)
	if err != nil {
		return err
	}
	requests := newRequestMetrics(registry)
	doors, err := listenBBS(config.BBS, parts.bbs, requests, logger)
	if err != nil {
		return errors.Join(err, apiListener.Close(), observeListener.Close())
	}
	running := &service{
		shutdown:        config.Shutdown,
		logger:          logger,
		api:             newAPIServer(config.Listen, parts.door, requests, logger),
		doors:           doors,
		observe:         newObserveServer(readiness, map[string]func() error{"/readyz/emitter": parts.emitterReady}, config.Observe.Profiling, registry, logger),
		apiListener:     apiListener,
		observeListener: observeListener,
		ready:           readiness,
		background:      parts.background,
	}
	return running.run(ctx)
}

// versionText is the release's version, or what the build knows of its source.
func versionText() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	text := info.Main.Version
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && info.Main.Version == "(devel)" {
			text += " " + setting.Value
		}
	}
	return text
}
