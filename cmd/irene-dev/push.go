package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// pushOptions are the command line of "push".
type pushOptions struct {
	options
	// source holds the app's source code; path is where it is, for people.
	source fs.FS
	path   string
	name   string
	// buildpacks are names of the stand-in's, or URLs; none means that they detect.
	buildpacks  []string
	memoryMB    int
	diskMB      int
	environment map[string]string
	// door is the name of the front door by which Irene is asked.
	door string
}

// What an app gets that asks for nothing.
const (
	defaultMemoryMB = 256
	defaultDiskMB   = 512
)

// appNames are those that can be the first label of a host name.
var appNames = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// parsePushOptions reads the folder before, between or after the options.
func parsePushOptions(args []string) (pushOptions, error) {
	o := pushOptions{environment: map[string]string{}}
	flags := flag.NewFlagSet("push", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	o.options.register(flags)
	flags.StringVar(&o.name, "name", "", "")
	flags.Func("buildpack", "", func(value string) error {
		o.buildpacks = append(o.buildpacks, value)
		return nil
	})
	flags.StringVar(&o.door, "door", bbsDoor, "")
	flags.IntVar(&o.memoryMB, "memory", defaultMemoryMB, "")
	flags.IntVar(&o.diskMB, "disk", defaultDiskMB, "")
	flags.Func("env", "", func(value string) error {
		name, value, found := strings.Cut(value, "=")
		if !found || name == "" {
			return errors.New("is not NAME=VALUE")
		}
		o.environment[name] = value
		return nil
	})
	folders, err := parseInterspersed(flags, args)
	if err != nil {
		return o, err
	}
	switch {
	case len(folders) != 1:
		return o, fmt.Errorf("push: wants one folder, but got %d", len(folders))
	case !slices.Contains(doorNames, o.door):
		return o, fmt.Errorf("push: --door: %q is neither bbs nor opi", o.door)
	case o.memoryMB < 1 || o.diskMB < 1:
		return o, errors.New("push: --memory and --disk are MiB, and at least 1")
	}
	if err := checkAppName(o.name); err != nil {
		return o, fmt.Errorf("push: %w", err)
	}
	if err := o.options.complete(); err != nil {
		return o, err
	}
	if o.path, err = filepath.Abs(folders[0]); err != nil {
		return o, fmt.Errorf("push: %s: %w", folders[0], err)
	}
	o.source = os.DirFS(o.path)
	return o, nil
}

func checkAppName(name string) error {
	switch {
	case name == "":
		return errors.New("missing --name")
	case name == sampleAppName:
		return fmt.Errorf("--name: %s is the name of the sample app", name)
	case !appNames.MatchString(name):
		return fmt.Errorf("--name: %q can't begin a host name: it takes up to 63 of a to z, 0 to 9 and -, the latter not at its ends", name)
	}
	return nil
}

// parseInterspersed reads options wherever they are, and returns the other arguments.
func parseInterspersed(flags *flag.FlagSet, args []string) (others []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, fmt.Errorf("%s: %w", flags.Name(), err)
		}
		if flags.NArg() == 0 {
			return others, nil
		}
		others, args = append(others, flags.Arg(0)), flags.Args()[1:]
	}
}

// push stages a folder and runs it under its name, in place of an earlier version.
func push(ctx context.Context, o pushOptions, out io.Writer) error {
	info, err := os.Stat(o.path)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no folder", o.path)
	}
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	c, err := o.options.runningCloud()
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	defer c.close()
	return c.push(ctx, o, out)
}

// errNotRunning says what is missing for commands that work with a running cloud.
var errNotRunning = errors.New("nothing runs here; bring it up first: make run, or irene-dev up")

// runningCloud is the one in --dir, which "up" has brought up.
func (o options) runningCloud() (*cloud, error) {
	f, err := openFolder(o.dir, false)
	if errors.Is(err, errAbsent) {
		return nil, errNotRunning
	}
	if err != nil {
		return nil, err
	}
	c := &cloud{options: o, folder: f}
	if c.state, err = f.loadState(); err == nil {
		err = c.connect()
	}
	if err != nil {
		f.close()
		return nil, err
	}
	return c, nil
}

// connect makes a client of the Kubernetes that runs.
func (c *cloud) connect() error {
	for _, part := range []struct {
		name string
		process
	}{
		{"Kubernetes", c.state.Cluster}, {"the registry", c.state.Registry}, {"the stand-in for Cloud Controller", c.state.CloudController},
		{"the router", c.state.Edge}, {"Irene", c.state.Irene},
	} {
		if !part.alive() {
			return fmt.Errorf("%s doesn't run; bring it back first: make run, or irene-dev up", part.name)
		}
	}
	var done bool
	var err error
	if c.cluster, done, err = readReady(c.at(readyName)); err != nil || !done {
		return cmp.Or(err, errNotRunning)
	}
	return c.makeClient()
}

// push is "push" for a cloud that runs.
func (c *cloud) push(ctx context.Context, o pushOptions, out io.Writer) error {
	began := time.Now()
	p := &pushing{cloud: c, pushOptions: o, out: out}
	defer p.removePackage()
	if err := c.runSteps(ctx, out, p.steps()); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s answers at %s after %.1f s, by way of the %s door\n", o.name, c.url(o.route()), time.Since(began).Seconds(), strings.ToUpper(o.door))
	return nil
}

func (o pushOptions) route() string { return o.name + "." + appDomain }

// steps are those of one push.
func (p *pushing) steps() []step {
	var steps []step
	for _, s := range []struct {
		name, takes string
		run         func(*pushing, context.Context) (string, error)
	}{
		{"pack " + p.path, "", (*pushing).pack},
		{"upload", "", (*pushing).upload},
		{"stage", "", (*pushing).stage},
		{"start", "2 to 15 s", (*pushing).start},
		{"stop the version before", "", (*pushing).stopEarlier},
	} {
		steps = append(steps, step{s.name, s.takes, func(_ *cloud, ctx context.Context) (string, error) { return s.run(p, ctx) }})
	}
	return steps
}
