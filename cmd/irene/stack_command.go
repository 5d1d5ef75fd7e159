package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/bits"
	"github.com/irene-cf/irene/credential"
	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

const stackUsage = `Root file systems of buildpack apps.

Usage:
  irene stack import --config FILE NAME SOURCE
        put a root file system into the registry and make it the current one of
        the stack NAME; SOURCE is an image reference, a tar file of a root file
        system, a file that "docker save" wrote, or an OCI image layout
  irene stack list --config FILE [-o json]
        show the stacks, their revisions, and how many apps run on which
  irene stack roll --config FILE --stack NAME [--parallel N] [--pause 10s] [--stop-on-failure]
        move running apps to the current revision of the stack, one instance of an
        app at a time; may be interrupted and started again

FILE is the configuration of the service.
`

// stackCommand runs "irene stack …" and returns the exit status.
func stackCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, stackUsage)
		return exitUsage
	}
	commands := map[string]operatorCommand{"import": importStack, "list": listStacks, "roll": rollStack}
	name, rest := args[0], args[1:]
	run, known := commands[name]
	switch {
	case name == "help" || name == "--help" || name == "-h":
		fmt.Fprint(stdout, stackUsage)
		return 0
	case !known:
		fmt.Fprintf(stderr, "irene stack: unknown command %q\n\n%s", name, stackUsage)
		return exitUsage
	}
	return run.status(ctx, "stack "+name, rest, stdout, stderr)
}

// loadForImages reads the command line and the configuration, which must name a
// registry. So many arguments are wanted beside the flags.
func loadForImages(flags *flag.FlagSet, args []string, wanted int) (Configuration, error) {
	path, err := parseFlags(flags, args, wanted, wanted)
	if err != nil {
		return Configuration{}, err
	}
	config, err := Load(path)
	if err == nil && config.Registry.Address == "" {
		err = errors.New("registry.address is not configured: somebody else puts images there")
	}
	return config, err
}

func importStack(ctx context.Context, flags *flag.FlagSet, args []string, stdout io.Writer) error {
	plainHTTP := flags.Bool("source-plain-http", false, "allow HTTP without TLS to the registry of SOURCE")
	caFile := flags.String("source-ca-file", "", "authorities that are trusted beside the system's, a PEM `FILE`")
	usernameFile := flags.String("source-username-file", "", "`FILE` with the user for the registry of SOURCE")
	passwordFile := flags.String("source-password-file", "", "`FILE` with that user's password")
	config, err := loadForImages(flags, args, 2)
	if err != nil {
		return err
	}
	registry, err := newRegistry(config, nil, lager.NewLogger("stack"))
	if err != nil {
		return err
	}
	source := bits.StackSource{Location: flags.Arg(1), PlainHTTP: *plainHTTP, CAFile: *caFile}
	if source.Credentials, err = readCredentials(*usernameFile, *passwordFile); err != nil {
		return err
	}
	digest, err := registry.ImportStack(ctx, flags.Arg(0), source)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "stack %s is now %s\n", flags.Arg(0), digest)
	return nil
}

// readCredentials returns nil without files.
func readCredentials(usernameFile, passwordFile string) (*opi.RegistryCredentials, error) {
	if usernameFile == "" && passwordFile == "" {
		return nil, nil
	}
	username, password, err := credential.ReadPair(usernameFile, passwordFile)
	if err != nil {
		return nil, fmt.Errorf("read the credentials: %w", err)
	}
	return &opi.RegistryCredentials{Username: username, Password: password}, nil
}

// stackParts is what commands about stacks work with. The view is not fed: they look
// at what is live.
type stackParts struct {
	stacks *bits.Stacks
	logger lager.Logger
	// clients, view and statefulSets are what commands about running LRPs work with, apps how
	// LRPs run.
	clients      k8s.Clients
	view         *view.View
	statefulSets *live.StatefulSets
	apps         render.Settings
}

func newStackParts(config Configuration, logs io.Writer) (stackParts, error) {
	logger, err := newLogger(logs, config.Log)
	if err != nil {
		return stackParts{}, err
	}
	registry, err := newRegistry(config, nil, logger)
	if err != nil {
		return stackParts{}, err
	}
	stacks, err := newStacks(config, registry, logger)
	if err != nil {
		return stackParts{}, err
	}
	clients, err := k8s.NewClients(config.Kubernetes.KubeconfigFile, config.Kubernetes.MaxParallelCalls, prometheus.NewRegistry())
	if err != nil {
		return stackParts{}, err
	}
	appsView := newView(config, clients, logger, nil)
	return stackParts{
		stacks: stacks, logger: logger, clients: clients, view: appsView, statefulSets: newStatefulSets(config, clients, appsView),
		apps: renderSettings(config),
	}, nil
}
