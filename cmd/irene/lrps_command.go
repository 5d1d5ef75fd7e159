package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// listedLRP is a process of an app as "irene lrps" shows it.
type listedLRP struct {
	// ProcessGUID is Cloud Controller's process guid and version.
	ProcessGUID  string    `json:"process_guid"`
	App          string    `json:"app"`
	AppGUID      string    `json:"app_guid"`
	ProcessType  string    `json:"process_type"`
	Organization string    `json:"organization"`
	Space        string    `json:"space"`
	StatefulSet  string    `json:"stateful_set"`
	Created      time.Time `json:"created"`
	// Annotation is Cloud Controller's, the time at which it last changed the process.
	Annotation string `json:"annotation"`
	// Door is the front door to which the process belongs: absent for the OPI API.
	Door opi.Door `json:"door,omitempty"`
	// Desired and Running count instances.
	Desired   int              `json:"desired"`
	Running   int              `json:"running"`
	Instances []listedInstance `json:"instances"`
	// Notes are what is out of the ordinary.
	Notes []string `json:"notes,omitempty"`
}

// listedInstance is what Cloud Controller is told of an instance, and where it is.
type listedInstance struct {
	Index    int       `json:"index"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	Routable bool      `json:"routable"`
	Pod      string    `json:"pod,omitempty"`
	Node     string    `json:"node,omitempty"`
	// Why is the reason of a state, as users see it.
	Why string `json:"why,omitempty"`
}

// listLRPs shows the apps' processes, or those of one app.
func listLRPs(ctx context.Context, flags *flag.FlagSet, args []string, stdout io.Writer) error {
	config, output, err := configured(flags, args, 0, 1)
	if err != nil {
		return err
	}
	appsView, chosen, err := lookAtApps(ctx, config, whichApp(flags.Arg(0)))
	if err != nil {
		return err
	}
	listed := make([]listedLRP, 0, len(chosen))
	for _, lrp := range chosen {
		listed = append(listed, describeLRP(appsView, lrp))
	}
	return output.print(stdout, listed, func(table io.Writer) { writeLRPs(table, listed, time.Now()) })
}

func sortForPeople(lrps []view.LRP) {
	slices.SortFunc(lrps, func(a, b view.LRP) int {
		return cmp.Or(cmp.Compare(a.OrganizationName, b.OrganizationName), cmp.Compare(a.SpaceName, b.SpaceName),
			cmp.Compare(a.AppName, b.AppName), cmp.Compare(a.ProcessType, b.ProcessType), a.Created.Compare(b.Created),
			cmp.Compare(a.ProcessGUID(), b.ProcessGUID()))
	})
}

func describeLRP(appsView *view.View, lrp view.LRP) listedLRP {
	listed := listedLRP{
		ProcessGUID: lrp.ProcessGUID(), App: lrp.AppName, AppGUID: lrp.AppGUID, ProcessType: lrp.ProcessType,
		Organization: lrp.OrganizationName, Space: lrp.SpaceName, StatefulSet: lrp.Name, Created: lrp.Created.UTC(),
		Annotation: lrp.Annotation, Door: lrp.Door, Desired: lrp.Instances, Instances: []listedInstance{},
	}
	pods := map[string]string{}
	for _, pod := range appsView.Pods(lrp.UID) {
		pods[string(pod.UID)] = pod.Name
	}
	for _, instance := range appsView.Instances(lrp) {
		if instance.State == opi.InstanceRunning {
			listed.Running++
		}
		listed.Instances = append(listed.Instances, listedInstance{
			Index: instance.Index, State: string(instance.State), Since: instance.Since.UTC(), Routable: instance.Routable,
			Pod: pods[instance.GUID], Node: instance.Cell, Why: instance.PlacementError,
		})
	}
	if appsView.SecretMissing(lrp) {
		listed.Notes = append(listed.Notes, fmt.Sprintf("Secret %s is missing: Cloud Controller's next sync writes it again", lrp.Secret))
	}
	if lrp.Moving {
		listed.Notes = append(listed.Notes, "is being moved to another revision of its stack")
	}
	if twins := appsView.Twins(lrp.LRPIdentifier); len(twins) > 1 {
		listed.Notes = append(listed.Notes, fmt.Sprintf("has %d StatefulSets; all but the oldest go", len(twins)))
	}
	return listed
}

func writeLRPs(table io.Writer, listed []listedLRP, now time.Time) {
	row(table, "ORG/SPACE", "APP", "PROCESS", "RUNNING", "OTHERS", "AGE", "PROCESS GUID", "NOTE")
	for _, lrp := range listed {
		row(table, lrp.Organization+"/"+lrp.Space, lrp.App, lrp.ProcessType, fmt.Sprintf("%d/%d", lrp.Running, lrp.Desired),
			lrp.others(), since(lrp.Created, now), lrp.ProcessGUID, lrp.note())
	}
}

// others counts the instances that are not running, by state.
func (l listedLRP) others() string {
	states := map[string]int{}
	for _, instance := range l.Instances {
		if instance.State != string(opi.InstanceRunning) {
			states[instance.State]++
		}
	}
	var counted []string
	for _, state := range slices.Sorted(maps.Keys(states)) {
		counted = append(counted, fmt.Sprintf("%d %s", states[state], state))
	}
	return strings.Join(counted, ", ")
}

// note is what is out of the ordinary, and why the first instance is not running that
// says so.
func (l listedLRP) note() string {
	notes := l.Notes
	for _, instance := range l.Instances {
		if instance.Why != "" {
			notes = append(slices.Clone(notes), fmt.Sprintf("%d: %s", instance.Index, instance.Why))
			break
		}
	}
	return strings.Join(notes, "; ")
}
