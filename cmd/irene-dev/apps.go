package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
)

// listApps shows every process of every app, whichever door it came by.
func listApps(ctx context.Context, o options, out io.Writer) error {
	c, err := o.runningCloud()
	if err != nil {
		return fmt.Errorf("apps: %w", err)
	}
	defer c.close()
	apps, err := c.pushedApps()
	if err != nil {
		return fmt.Errorf("apps: %w", err)
	}
	names := map[string]cloudcontroller.Process{sampleGUID: sampleProcess(sampleImage{}, sampleApp{guid: sampleGUID})}
	for _, app := range apps {
		for _, process := range app.Processes {
			names[process.GUID] = process
		}
	}
	var rows []string
	for _, name := range doorNames {
		found, err := c.rows(ctx, name, names)
		if err != nil {
			return fmt.Errorf("apps: %w", err)
		}
		rows = append(rows, found...)
	}
	slices.Sort(rows)
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "NAME\tPROCESS\tDOOR\tRUNNING\tURL")
	fmt.Fprint(table, strings.Join(rows, ""))
	return table.Flush()
}

// rows returns a row for each LRP of a door.
func (c *cloud) rows(ctx context.Context, doorName string, names map[string]cloudcontroller.Process) ([]string, error) {
	door, err := c.frontDoor(doorName)
	if err != nil {
		return nil, err
	}
	listed, err := door.List(ctx)
	if err != nil {
		return nil, err
	}
	var rows []string
	for processGUID := range listed {
		instances, err := door.Instances(ctx, processGUID)
		if err != nil {
			return nil, err
		}
		running := 0
		for _, instance := range instances {
			if instance.State == stateRunning {
				running++
			}
		}
		guid, _ := cloudcontroller.SplitProcessGUID(processGUID)
		process, isKnown := names[guid]
		if !isKnown {
			process.App.Name, process.Type = processGUID, "?" // a push that is under way, or was killed
		}
		url := ""
		if len(process.Hostnames) > 0 {
			url = c.url(process.Hostnames[0])
		}
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%d of %d\t%s\n", process.App.Name, process.Type, doorName, running, len(instances), url))
	}
	return rows, nil
}

// scaleOptions are the command line of "scale".
type scaleOptions struct {
	options
	name, process string
	instances     int
}

func parseScaleOptions(args []string) (scaleOptions, error) {
	var o scaleOptions
	flags := flag.NewFlagSet("scale", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	o.options.register(flags)
	flags.StringVar(&o.process, "process", webProcess, "")
	words, err := parseInterspersed(flags, args)
	if err != nil {
		return o, err
	}
	if len(words) != 2 {
		return o, errors.New("scale: wants the name of an app and a number of instances")
	}
	o.name = words[0]
	if o.instances, err = strconv.Atoi(words[1]); err != nil || o.instances < 0 || o.instances > maxInstances {
		return o, fmt.Errorf("scale: %q is no number of instances from 0 to %d", words[1], maxInstances)
	}
	return o, o.options.complete()
}

// maxInstances is more than one machine runs.
const maxInstances = 100

// scaleApp changes the number of instances by the door that the app came by.
func scaleApp(ctx context.Context, o scaleOptions, out io.Writer) error {
	c, err := o.options.runningCloud()
	if err != nil {
		return fmt.Errorf("scale: %w", err)
	}
	defer c.close()
	app, err := c.pushedApp(o.name)
	if err != nil {
		return fmt.Errorf("scale: %w", err)
	}
	if app.Name == "" {
		return fmt.Errorf("scale: no app was pushed as %s", o.name)
	}
	at := slices.IndexFunc(app.Processes, func(p cloudcontroller.Process) bool { return p.Type == o.process })
	if at < 0 {
		return fmt.Errorf("scale: %s has no process %s", o.name, o.process)
	}
	app.Processes[at].Instances, app.Processes[at].UpdatedAt = o.instances, time.Now()
	door, err := c.frontDoor(app.Door)
	if err != nil {
		return fmt.Errorf("scale: %w", err)
	}
	// Cloud Controller's database comes first, too: a sync corrects what is interrupted here.
	if err := c.remember(app); err != nil {
		return fmt.Errorf("scale: %w", err)
	}
	if err := door.Desire(ctx, app.Processes[at]); err != nil {
		return fmt.Errorf("scale: %w", err)
	}
	fmt.Fprintf(out, "%s is scaled to %d by the %s door; \"%s\" shows how many run\n", o.name, o.instances, strings.ToUpper(app.Door), c.command("apps"))
	return nil
}
