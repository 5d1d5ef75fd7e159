package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/irene-cf/irene/k8s"
)

// listedStack is a stack, or one revision of it on which apps still run.
type listedStack struct {
	Stack    string `json:"stack"`
	Revision string `json:"revision,omitempty"`
	// Digest is known of current revisions.
	Digest  string `json:"digest,omitempty"`
	Current bool   `json:"current"`
	Default bool   `json:"default"`
	LRPs    int    `json:"lrps"`
	// Apps are the names of up to ten of the apps.
	Apps  []string `json:"apps,omitempty"`
	Error string   `json:"error,omitempty"`
}

func listStacks(ctx context.Context, flags *flag.FlagSet, args []string, stdout io.Writer) error {
	output := outputFlag(flags)
	config, err := loadForImages(flags, args, 0)
	if err != nil {
		return err
	}
	if err := output.check(); err != nil {
		return err
	}
	p, err := newStackParts(config, io.Discard)
	if err != nil {
		return err
	}
	usage, err := k8s.StackUsage(ctx, p.clients.Metadata, p.apps.Namespace)
	if err != nil {
		return err
	}
	var listed []listedStack
	for i, name := range config.Stacks.Names {
		current := listedStack{Stack: name, Current: true, Default: i == 0}
		if stack, err := p.stacks.Current(ctx, name); err != nil {
			current.Error = err.Error()
		} else {
			current.Revision, current.Digest = stack.Revision, stack.Digest.String()
		}
		listed = append(listed, current)
	}
	for _, used := range usage {
		at := -1
		for i, known := range listed {
			if known.Stack == used.Stack && known.Revision == used.Revision {
				at = i
			}
		}
		if at < 0 {
			listed = append(listed, listedStack{Stack: used.Stack, Revision: used.Revision})
			at = len(listed) - 1
		}
		listed[at].LRPs, listed[at].Apps = used.LRPs, used.Apps
	}
	return output.print(stdout, listed, func(table io.Writer) { writeStacks(table, listed) })
}

func writeStacks(table io.Writer, listed []listedStack) {
	fmt.Fprintln(table, "STACK\tREVISION\tSTATE\tLRPS\tAPPS\tDIGEST")
	for _, stack := range listed {
		state := "old"
		switch {
		case stack.Error != "":
			state = stack.Error
		case stack.Default:
			state = "current, default"
		case stack.Current:
			state = "current"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\n", cmp.Or(stack.Stack, "(not known)"), cmp.Or(stack.Revision, "-"), state, stack.LRPs, shortened(stack.Apps), cmp.Or(stack.Digest, "-"))
	}
}

// shortened is the first few names of apps; -o json has more.
func shortened(apps []string) string {
	const few = 3
	switch {
	case len(apps) == 0:
		return "-"
	case len(apps) > few:
		return strings.Join(apps[:few], ", ") + ", …"
	}
	return strings.Join(apps, ", ")
}
