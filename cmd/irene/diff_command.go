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

// difference is one between what Cloud Controller wants and what its door lists.
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
	name := flags.String("door", "", "the `DOOR` that Cloud Controller calls, opi or bbs; bbs if the configuration has that door")
	config, output, err := configured(flags, args, 1, 1)
	if err != nil {
		return err
	}
	door, err := syncedDoorOf(*name, config.BBS)
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
	present, elsewhere := heldLRPs(appsView, door)
	found := door.differences(wanted, present, leftOut(elsewhere, appsView))
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

// heldLRPs returns the LRPs that the door lists, and those of other doors or domains, by
// process guid.
func heldLRPs(appsView *view.View, door syncedDoor) (present, elsewhere map[string]held) {
	present, elsewhere = map[string]held{}, map[string]held{}
	for _, lrp := range appsView.LRPs() {
		into := elsewhere
		if door.lists(lrp) {
			into = present
		}
		into[lrp.ProcessGUID()] = held{
			DesiredLRP: opi.DesiredLRP{LRPIdentifier: lrp.LRPIdentifier, Door: lrp.Door, Domain: lrp.Domain, Instances: lrp.Instances, Annotation: lrp.Annotation},
			app:        lrp.AppName, space: lrp.OrganizationName + "/" + lrp.SpaceName,
		}
	}
	return present, elsewhere
}

// reason is why a door does not list an LRP that is there, and what follows.
type reason struct{ kubernetes, then string }

// leftOut returns why doors don't list LRPs, by process guid: those of other doors or domains,
// and those without their Secret.
func leftOut(elsewhere map[string]held, appsView *view.View) map[string]reason {
	left := map[string]reason{}
	for guid, lrp := range elsewhere {
		left[guid] = elsewhereReason(lrp.Door, lrp.Domain)
	}
	for _, id := range appsView.Identities() {
		if lrp, found := appsView.LRP(id); found && appsView.SecretMissing(lrp) {
			left[lrp.ProcessGUID()] = reason{"its Secret " + lrp.Secret + " is missing", "the sync desires it, which writes the Secret again"}
		}
	}
	return left
}

// differences compares what Cloud Controller wants with what the door lists.
func (s syncedDoor) differences(wanted map[string]wantedProcess, present map[string]held, leftOut map[string]reason) []difference {
	found := []difference{}
	for guid, process := range wanted {
		lrp, there := present[guid]
		d := difference{ProcessGUID: guid, App: lrp.app, Space: lrp.space}
		switch {
		case !there:
			d.Difference, d.Then = differsMissing, "the sync desires it"
			if why, known := leftOut[guid]; known {
				d.Kubernetes, d.Then = why.kubernetes, why.then
			}
			found = append(found, d)
			continue
		case !process.sameAnnotation(lrp.Annotation):
			d.Difference, d.CloudController, d.Kubernetes = differsAnnotation, process.annotationText(), lrp.Annotation
			d.Then = s.thenUpdates()
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
