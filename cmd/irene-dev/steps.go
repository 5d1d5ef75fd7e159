package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/bbsclient"
)

// cloud is the one that "up" brings up. Each step finds what those before it have
// filled in.
type cloud struct {
	options
	*folder
	state state
	// found is whether Kubernetes ran before.
	found bool

	rootfsFile string
	cluster    clusterReady
	client     kubernetes.Interface
	// bbs is made with the first call.
	bbs   *bbsclient.Client
	image sampleImage
	app   sampleApp
}

// step is a part of "up". run may find that it is already done; its note says
// what there was to do.
type step struct {
	name string
	// takes is how long, for whoever waits.
	takes string
	run   func(*cloud, context.Context) (note string, err error)
}

// upSteps are those of "up".
var upSteps = []step{
	{"check this machine", "", (*cloud).checkRequirements},
	{"root file system", "about a minute the first time", (*cloud).makeRootFS},
	{"Kubernetes", "about 15 s", (*cloud).startKubernetes},
	{"namespace for apps", "", (*cloud).makeNamespace},
	{"registry", "", (*cloud).startRegistry},
	{"Cloud Controller's stand-in", "", (*cloud).startCloudController},
	{"NATS and router", "", (*cloud).startEdge},
	{"Irene", "", (*cloud).startIrene},
	{"stack", "", (*cloud).importStack},
	{"droplet of the sample app", "", (*cloud).storeSampleDroplet},
	{"desire the sample app", "", (*cloud).desireApp},
	{"apps that were pushed before", "", (*cloud).desirePushed},
	{"wait until the sample app answers through the router", "5 to 15 s", (*cloud).awaitApp},
}

// up brings up what is missing, prints what matters of it and writes the guide.
func up(ctx context.Context, o options, out io.Writer) error {
	f, err := openFolder(o.dir, true)
	if err != nil {
		return err
	}
	defer f.close()
	c := &cloud{options: o, folder: f}
	if c.state, err = f.loadState(); err != nil {
		return err
	}
	c.found = c.state.Cluster.alive()
	if err := f.saveState(c.state); err != nil {
		return err
	}
	if err = c.runSteps(ctx, out, upSteps); err == nil {
		err = c.pushHello(ctx, out)
	}
	switch {
	case err == nil:
		return c.showSummary(out)
	case ctx.Err() == nil && !c.state.Cluster.alive():
		return err
	case ctx.Err() == nil:
		return fmt.Errorf("%w\n\nWhat has been started is left for a look; to remove it: %s", err, c.downCommand())
	case c.found:
		return fmt.Errorf("interrupted; what ran before is left running, to stop it: %s", c.downCommand())
	}
	fmt.Fprintln(out, "Interrupted: taking down what has been started (another Ctrl-C leaves the rest)")
	if err := c.takeDown(context.WithoutCancel(ctx), out); err != nil {
		return fmt.Errorf("interrupted, and then: %w", err)
	}
	return errors.New("interrupted")
}

// runSteps goes through the steps with a line for each.
func (c *cloud) runSteps(ctx context.Context, out io.Writer, steps []step) error {
	for i, step := range steps {
		fmt.Fprintf(out, "[%d/%d] %s", i+1, len(steps), step.name)
		if step.takes != "" {
			fmt.Fprintf(out, ", %s", step.takes)
		}
		fmt.Fprint(out, " ... ")
		begin := time.Now()
		note, err := step.run(c, ctx)
		took := time.Since(begin).Seconds()
		if err != nil {
			fmt.Fprintf(out, "failed after %.1f s\n", took)
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Fprintf(out, "%s (%.1f s)\n", note, took)
	}
	return nil
}

// program is the path of a program in --bin.
func (c *cloud) program(name string) string { return filepath.Join(c.bin, name) }

// log is the path of a program's log.
func (c *cloud) log(name string) string { return c.at(logName, name+".log") }
