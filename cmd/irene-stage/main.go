package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	// Steps run in images that hold nothing but this program.
	_ "golang.org/x/crypto/x509roots/fallback"

	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/build"
	"github.com/irene-cf/irene/stager/steps/fetch"
	"github.com/irene-cf/irene/stager/steps/push"
	"github.com/irene-cf/irene/stager/steps/transfer"
)

const usage = "usage: irene-stage fetch|build|push [--config FILE] [--termination-log FILE]"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run runs one step and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr *os.File) int {
	began := time.Now()
	// Modes of what user code makes must not depend on who starts this program.
	syscall.Umask(0o022)
	command, err := parse(args, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "irene-stage: %v\n%s\n", err, usage)
		return steps.BadConfiguration.ExitStatus()
	}
	droplet, phases, err := command.run(ctx, stdout, stderr)
	if err != nil && ctx.Err() != nil {
		err = steps.Fail(steps.Canceled, "staging was canceled")
	}
	outcome := steps.NewOutcome(command.step, began, phases, err)
	outcome.Droplet = droplet
	if err := command.leave(outcome); err != nil {
		// The exit status says the most important part too.
		fmt.Fprintf(stderr, "irene-stage: %v\n", err)
	}
	if outcome.Failure == nil {
		return 0
	}
	fmt.Fprintln(stderr, outcome.Failure.Message)
	return outcome.Failure.Reason.ExitStatus()
}

// command is what the command line asks for.
type command struct {
	step           string
	configFile     string
	terminationLog string
}

func parse(args []string, stderr io.Writer) (command, error) {
	if len(args) == 0 {
		return command{}, errors.New("no step is given")
	}
	c := command{step: args[0]}
	switch c.step {
	case steps.FetchStep, steps.BuildStep, steps.PushStep:
	default:
		return command{}, fmt.Errorf("there is no step %q", c.step)
	}
	flags := flag.NewFlagSet(c.step, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {}
	flags.StringVar(&c.configFile, "config", "", "")
	flags.StringVar(&c.terminationLog, "termination-log", "/dev/termination-log", "")
	if err := flags.Parse(args[1:]); err != nil {
		return command{}, err
	}
	if flags.NArg() > 0 {
		return command{}, fmt.Errorf("what is %q?", flags.Arg(0))
	}
	return c, nil
}

func (c command) run(ctx context.Context, stdout, stderr *os.File) (*steps.OutcomeDroplet, []steps.Phase, error) {
	text, err := c.config()
	if err != nil {
		return nil, nil, steps.Because(steps.BadConfiguration, err, "staging is not set up well")
	}
	switch c.step {
	case steps.FetchStep:
		config, err := steps.ParseConfig[steps.FetchConfig](text)
		if err != nil {
			return nil, nil, steps.Because(steps.BadConfiguration, err, "staging is not set up well")
		}
		phases, err := fetch.Run(ctx, config, steps.NewUserLog(stdout), transfer.UsualPatience())
		return nil, phases, err
	case steps.BuildStep:
		config, err := steps.ParseConfig[steps.BuildConfig](text)
		if err != nil {
			return nil, nil, steps.Because(steps.BadConfiguration, err, "staging is not set up well")
		}
		phases, err := build.Run(ctx, config, build.Output{Stdout: stdout, Stderr: stderr})
		return nil, phases, err
	}
	config, err := steps.ParseConfig[steps.PushConfig](text)
	if err != nil {
		return nil, nil, steps.Because(steps.BadConfiguration, err, "staging is not set up well")
	}
	store, err := newRegistryStore(config)
	if err != nil {
		return nil, nil, steps.Because(steps.BadConfiguration, err, "staging is not set up well")
	}
	return push.Run(ctx, config, store, steps.NewUserLog(stdout), transfer.UsualPatience())
}

// config returns the text of the step's configuration.
func (c command) config() ([]byte, error) {
	if c.configFile == "" {
		text, ok := os.LookupEnv(steps.ConfigVariable)
		if !ok {
			return nil, fmt.Errorf("there is neither --config nor %s", steps.ConfigVariable)
		}
		return []byte(text), nil
	}
	text, err := os.ReadFile(c.configFile)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return text, nil
}

// leave writes the termination message.
func (c command) leave(outcome steps.Outcome) error {
	text, err := outcome.Text()
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.terminationLog, text, 0o644); err != nil {
		return fmt.Errorf("leave the termination message: %w", err)
	}
	return nil
}
