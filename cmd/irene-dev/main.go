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
	"syscall"
)

const usage = `irene-dev runs Irene on a Kubernetes of its own, with a sample app.

Usage:
  irene-dev up [--dir .irene] [--bin bin] [--rootfs FILE]
        bring everything up, or what is missing of it, and say what to look at
  irene-dev down [--dir .irene] [--bin bin]
        stop everything and remove it, except DIR/cache

Options:
  --dir DIR      folder that holds everything (default .irene)
  --bin DIR      folder of the programs irene-cluster, irene, launch and
                 sampleapp, which "make build" makes (default bin)
  --rootfs FILE  root file system of the sample app, a tar file, plain or gzipped
                 (default: a small Debian is made, once)
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
	var run func(context.Context, options, io.Writer) error
	switch args[0] {
	case "up":
		run = up
	case "down":
		run = down
	case "help", "--help", "-h":
		fmt.Fprint(stdout, usage)
		return 0
	default:
		fmt.Fprintf(stderr, "irene-dev: unknown command %q\n\n%s", args[0], usage)
		return exitUsage
	}
	o, err := parseOptions(args[0], args[1:])
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "irene-dev: %v\n", err)
		return exitUsage
	}
	if err := run(ctx, o, stdout); err != nil {
		fmt.Fprintf(stderr, "irene-dev: %v\n", err)
		return exitFailed
	}
	return 0
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
	flags.StringVar(&o.dir, "dir", ".irene", "")
	flags.StringVar(&o.bin, "bin", "bin", "")
	if command == "up" {
		flags.StringVar(&o.rootfs, "rootfs", "", "")
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%s: unexpected argument %q", command, flags.Arg(0))
	}
	for name, path := range map[string]*string{"--dir": &o.dir, "--bin": &o.bin} {
		if *path == "" {
			return o, fmt.Errorf("%s: is empty; it names a folder", name)
		}
	}
	for _, path := range []*string{&o.dir, &o.bin, &o.rootfs} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return o, fmt.Errorf("%s: %w", *path, err)
		}
		*path = absolute
	}
	return o, nil
}
