package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// exitDiffers is the status of "irene diff" when something differs.
const exitDiffers = 3

// Kinds of differences, by what Cloud Controller's sync does about them.
const (
	differsMissing    = "missing"
	differsOrphaned   = "orphaned"
	differsAnnotation = "annotation"
	differsInstances  = "instances"
)

// difference is one between what Cloud Controller wants and what GET /apps would tell it.
type difference struct {
	Difference  string `json:"difference"`
	ProcessGUID string `json:"process_guid"`
	// App and Space are known of what is in Kubernetes.
	App   string `json:"app,omitempty"`
	Space string `json:"space,omitempty"`
	// CloudController and Kubernetes are the values that differ.
	CloudController string `json:"cloud_controller,omitempty"`
	Kubernetes      string `json:"kubernetes,omitempty"`
	// Then is what comes of it.
	Then string `json:"then"`
}

// diffApps shows what Cloud Controller's sync would find, given its list.
func diffApps(ctx context.Context, flags *flag.FlagSet, args []string, stdout io.Writer) error {
	config, output, err := configured(flags, args, 1, 1)
	if err != nil {
		return err
	}
	wanted, err := readWantedFrom(flags.Arg(0))
	if err != nil {
		return err
	}
	appsView, err := liveView(ctx, config)
	if err != nil {
		return err
	}
	found := differences(wanted, heldLRPs(appsView), secretsMissing(appsView))
	err = output.print(stdout, found, func(table io.Writer) {
		if len(found) == 0 {
			fmt.Fprintf(table, "no difference in %d processes\n", len(wanted))
			return
		}
		row(table, "DIFFERENCE", "PROCESS GUID", "APP", "SPACE", "CLOUD CONTROLLER", "KUBERNETES", "THEN")
		for _, d := range found {
			row(table, d.Difference, d.ProcessGUID, d.App, d.Space, d.CloudController, d.Kubernetes, d.Then)
		}
	})
	if err == nil && len(found) > 0 {
		return statusOnly(exitDiffers)
	}
	return err
}

// readWantedFrom reads the list from a file, or standard input for "-".
func readWantedFrom(path string) (map[string]wantedProcess, error) {
	list := os.Stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read Cloud Controller's list: %w", err)
		}
		defer func() { _ = file.Close() }() // only read
		list = file
	}
	wanted, err := readWanted(list)
	if err != nil {
		return nil, fmt.Errorf("read Cloud Controller's list from %s: %w", path, err)
	}
	return wanted, nil
}

// heldLRPs are the LRPs that GET /apps lists, by process guid.
func heldLRPs(appsView *view.View) map[string]held {
	all := map[string]held{}
	for _, lrp := range appsView.LRPs() {
		all[lrp.ProcessGUID()] = held{
			DesiredLRP: opi.DesiredLRP{LRPIdentifier: lrp.LRPIdentifier, Instances: lrp.Instances, Annotation: lrp.Annotation},
			app:        lrp.AppName, space: lrp.OrganizationName + "/" + lrp.SpaceName,
		}
	}
	return all
}

// secretsMissing are the LRPs that GET /apps leaves out, by process guid, with the name
// of the Secret.
func secretsMissing(appsView *view.View) map[string]string {
	left := map[string]string{}
	for _, id := range appsView.Identities() {
		if lrp, found := appsView.LRP(id); found && appsView.SecretMissing(lrp) {
			left[lrp.ProcessGUID()] = lrp.Secret
		}
	}
	return left
}

func differences(wanted map[string]wantedProcess, present map[string]held, leftOut map[string]string) []difference {
	found := []difference{}
	for guid, process := range wanted {
		lrp, there := present[guid]
		d := difference{ProcessGUID: guid, App: lrp.app, Space: lrp.space}
		switch {
		case !there:
			d.Difference, d.Then = differsMissing, "the sync desires it"
			if secret := leftOut[guid]; secret != "" {
				d.Kubernetes, d.Then = "its Secret "+secret+" is missing", "the sync desires it, which writes the Secret again"
			}
			found = append(found, d)
			continue
		case !process.sameAnnotation(lrp.Annotation):
			d.Difference, d.CloudController, d.Kubernetes = differsAnnotation, process.annotationText(), lrp.Annotation
			d.Then = "the sync updates instances and routes"
			found = append(found, d)
		case process.Instances != nil && *process.Instances != lrp.Instances:
			d.Difference, d.CloudController, d.Kubernetes = differsInstances, fmt.Sprint(*process.Instances), fmt.Sprint(lrp.Instances)
			d.Then = "the sync does not see it: it compares annotations only"
			found = append(found, d)
		}
	}
	for guid, lrp := range present {
		if _, known := wanted[guid]; !known {
			found = append(found, difference{Difference: differsOrphaned, ProcessGUID: guid, App: lrp.app, Space: lrp.space,
				Then: "the sync stops it"})
		}
	}
	order := []string{differsMissing, differsOrphaned, differsAnnotation, differsInstances}
	slices.SortFunc(found, func(a, b difference) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Difference), slices.Index(order, b.Difference)), cmp.Compare(a.ProcessGUID, b.ProcessGUID))
	})
	return found
}
