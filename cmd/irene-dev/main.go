package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

const usage = `irene-dev runs Irene on a Kubernetes of its own, with a sample app.

Usage:
  irene-dev up [--dir .irene] [--bin bin] [--rootfs FILE]
        bring everything up, or what is missing of it, and print what matters
  irene-dev guide [--dir .irene]
        print all that there is to look at, as commands
  irene-dev push FOLDER --name NAME [--buildpack BUILDPACK]... [--memory MiB]
                 [--disk MiB] [--env NAME=VALUE]... [--door bbs] [--dir .irene]
        stage a folder and run it at NAME.localhost, in place of its version
        before
  irene-dev apps [--dir .irene]
        list the apps with the door that each came by and its instances
  irene-dev scale NAME INSTANCES [--process web] [--dir .irene]
        run that many instances of an app that was pushed
  irene-dev delete NAME [--dir .irene]
        stop an app that was pushed, and forget it
  irene-dev down [--dir .irene] [--bin bin]
        stop everything and remove it, except DIR/cache
  irene-dev edge --nats HOST:PORT --user USER --password-file FILE
                 --router HOST:PORT --status HOST:PORT
        run NATS and the router, as "up" does, until it is told to end
  irene-dev cloudcontroller --address HOST:PORT --control HOST:PORT
                 --content DIR --certificates DIR --fileserver FILE
        play Cloud Controller for builds, as "up" does, until it is told to end

Options:
  --dir DIR      folder that holds everything (default .irene)
  --bin DIR      folder of the programs irene-cluster, irene, irene-stage,
                 irene-dev, launch, sampleapp and fileserver, which "make
                 binaries" and "make cluster-node" make (default bin)
  --rootfs FILE  root file system of apps, a tar file, plain or gzipped
                 (default: a small Debian is made, once)
  --buildpack    static, classic, toolbox or the URL of another; several are
                 used together (default: the first that detects the app)
  --memory, --disk
                 what the app may use when it runs (default 256 and 512)
  --env          a variable for staging and for the app
  --door         the API by which Irene is asked: bbs, as a Cloud Controller of
                 today does, or opi, as those of 2018 to 2023 do (default bbs)
`

// Exit statuses.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
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
	run, err := parse(args[0], args[1:])
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "irene-dev: %v\n", err)
		return exitUsage
	}
	if err := run(ctx, stdout); err != nil {
		fmt.Fprintf(stderr, "irene-dev: %v\n", err)
		return exitFailed
	}
	return 0
}

// parse reads a command line and returns what it asks for.
func parse(command string, args []string) (run func(context.Context, io.Writer) error, err error) {
	switch command {
	case "up", "down":
		do := up
		if command == "down" {
			do = down
		}
		o, err := parseOptions(command, args)
		return func(ctx context.Context, out io.Writer) error { return do(ctx, o, out) }, err
	case "edge":
		o, err := parseEdgeOptions(args)
		return func(ctx context.Context, out io.Writer) error { return edge(ctx, o, out) }, err
	case "cloudcontroller":
		o, err := parseCloudControllerOptions(args)
		return func(ctx context.Context, out io.Writer) error { return cloudController(ctx, o, out) }, err
	case "push":
		o, err := parsePushOptions(args)
		return func(ctx context.Context, out io.Writer) error { return push(ctx, o, out) }, err
	case "guide":
		o, err := parseOptions(command, args)
		return func(ctx context.Context, out io.Writer) error { return showGuide(ctx, o, out) }, err
	case "apps":
		o, err := parseOptions(command, args)
		return func(ctx context.Context, out io.Writer) error { return listApps(ctx, o, out) }, err
	case "scale":
		o, err := parseScaleOptions(args)
		return func(ctx context.Context, out io.Writer) error { return scaleApp(ctx, o, out) }, err
	case "delete":
		o, err := parseDeleteOptions(args)
		return func(ctx context.Context, out io.Writer) error { return deleteApp(ctx, o, out) }, err
	case "help", "--help", "-h":
		return nil, flag.ErrHelp
	}
	return nil, fmt.Errorf("unknown command %q\n\n%s", command, usage)
}

// options are a command line's, with absolute paths.
type options struct {
	dir, bin string
	// rootfs is empty when one is to be made.
	rootfs string
}

func parseOptions(command string, args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	o.register(flags)
	if command == "up" {
		flags.StringVar(&o.rootfs, "rootfs", "", "")
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%s: unexpected argument %q", command, flags.Arg(0))
	}
	return o, o.complete()
}

// register makes the options known that all commands have.
func (o *options) register(flags *flag.FlagSet) {
	flags.StringVar(&o.dir, "dir", ".irene", "")
	flags.StringVar(&o.bin, "bin", "bin", "")
}

// complete makes paths absolute.
func (o *options) complete() error {
	for name, path := range map[string]*string{"--dir": &o.dir, "--bin": &o.bin} {
		if *path == "" {
			return fmt.Errorf("%s: is empty; it names a folder", name)
		}
	}
	for _, path := range []*string{&o.dir, &o.bin, &o.rootfs} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return fmt.Errorf("%s: %w", *path, err)
		}
		*path = absolute
	}
	return nil
}

// parseAll reads a command line of options that all must be given.
func parseAll(flags *flag.FlagSet, args []string, required ...string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%s: unexpected argument %q", flags.Name(), flags.Arg(0))
	}
	var missing []string
	for _, name := range required {
		if flags.Lookup(name).Value.String() == "" {
			missing = append(missing, "--"+name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s: missing %s", flags.Name(), strings.Join(missing, ", "))
	}
	return nil
}
