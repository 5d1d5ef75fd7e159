package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// deleteOptions are the command line of "delete".
type deleteOptions struct {
	options
	name string
}

func parseDeleteOptions(args []string) (deleteOptions, error) {
	var o deleteOptions
	flags := flag.NewFlagSet("delete", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	o.options.register(flags)
	names, err := parseInterspersed(flags, args)
	if err != nil {
		return o, err
	}
	if len(names) != 1 {
		return o, fmt.Errorf("delete: wants the name of one app, but got %d", len(names))
	}
	o.name = names[0]
	return o, o.options.complete()
}

// deleteApp stops an app that was pushed and forgets it.
func deleteApp(ctx context.Context, o deleteOptions, out io.Writer) error {
	c, err := o.options.runningCloud()
	if err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	defer c.close()
	app, err := c.pushedApp(o.name)
	if err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	if app.Name == "" {
		return fmt.Errorf("delete: no app was pushed as %s", o.name)
	}
	if _, err := c.stopVersions(ctx, func(guid, _ string) bool { return app.has(guid) }); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	if err := errors.Join(os.RemoveAll(c.dropletFile(app.Droplet)), os.Remove(c.appFile(app.Name))); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	fmt.Fprintf(out, "deleted %s\n", app.Name)
	return nil
}
