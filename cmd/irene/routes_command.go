package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/route"
)

// listedRoute is one URI of one instance, as a router should have it now.
type listedRoute struct {
	URI string `json:"uri"`
	// For is "router" or, for internal routes, "service-discovery".
	For         string `json:"for"`
	App         string `json:"app"`
	AppGUID     string `json:"app_guid"`
	ProcessGUID string `json:"process_guid"`
	Index       int    `json:"index"`
	Pod         string `json:"pod"`
	// Address is host:port, the host alone for internal routes, and empty while there
	// is none.
	Address string `json:"address"`
	// Published reports whether routers should have it; Why is the reason if not.
	Published bool   `json:"published"`
	Why       string `json:"why,omitempty"`
}

// listRoutes shows what should be published, for all apps or one. It asks the API
// server, not NATS and no router.
func listRoutes(ctx context.Context, flags *flag.FlagSet, args []string, stdout io.Writer) error {
	config, output, err := configured(flags, args, 0, 1)
	if err != nil {
		return err
	}
	// All of them, because an address that two pods claim belongs to one.
	appsView, lrps, err := lookAtApps(ctx, config, "")
	if err != nil {
		return err
	}
	listed, err := routesOf(appsView, lrps, whichApp(flags.Arg(0)))
	if printed := output.print(stdout, listed, func(table io.Writer) { writeRoutes(table, listed) }); printed != nil {
		return printed
	}
	return err
}

// routesOf computes the table that the service publishes. The error is about routes that
// can't be read.
func routesOf(appsView *view.View, lrps []view.LRP, which whichApp) (listed []listedRoute, err error) {
	var states []route.State
	var wrong []string
	for _, lrp := range lrps {
		state, err := routeState(appsView, lrp)
		if err != nil && which.is(lrp) {
			wrong = append(wrong, fmt.Sprintf("%s: %v", lrp.ProcessGUID(), err))
		}
		states = append(states, state)
	}
	published := byInstance(route.NewTable(states...))
	listed = []listedRoute{}
	for i, lrp := range lrps {
		if which.is(lrp) {
			listed = append(listed, routesOfLRP(appsView, lrp, states[i], published)...)
		}
	}
	slices.SortStableFunc(listed, func(a, b listedRoute) int {
		return cmp.Or(cmp.Compare(a.URI, b.URI), cmp.Compare(a.App, b.App), cmp.Compare(a.Index, b.Index), cmp.Compare(a.Address, b.Address))
	})
	if len(wrong) > 0 {
		err = fmt.Errorf("routes that can't be read, and are not published:\n  %s", strings.Join(wrong, "\n  "))
	}
	return listed, err
}

func byInstance(table *route.Table) map[string][]*route.Endpoint {
	endpoints := map[string][]*route.Endpoint{}
	for endpoint := range table.Endpoints() {
		endpoints[endpoint.Instance] = append(endpoints[endpoint.Instance], endpoint)
	}
	return endpoints
}

func routesOfLRP(appsView *view.View, lrp view.LRP, state route.State, published map[string][]*route.Endpoint) (listed []listedRoute) {
	pods := map[string]view.Pod{}
	for _, pod := range appsView.Pods(lrp.UID) {
		pods[string(pod.UID)] = pod
	}
	for _, instance := range state.Instances {
		pod := pods[instance.GUID]
		endpoints, why := published[instance.GUID], ""
		if len(endpoints) == 0 {
			// List what would be published if it were routable.
			why = whyNotPublished(instance, pod)
			routable := state
			instance.Ready, instance.Terminating, instance.Address = true, false, cmp.Or(instance.Address, "none")
			routable.Instances = []route.Instance{instance}
			endpoints = byInstance(route.NewTable(routable))[instance.GUID]
		}
		for _, endpoint := range endpoints {
			for _, uri := range endpoint.URIs {
				one := listedRoute{
					URI: uri, For: "router", App: lrp.AppName, AppGUID: lrp.AppGUID, ProcessGUID: lrp.ProcessGUID(),
					Index: instance.Index, Pod: pod.Name, Published: why == "", Why: why,
				}
				if endpoint.Kind == route.Internal {
					one.For = "service-discovery"
				}
				switch {
				case pod.IP == "":
				case endpoint.DialledPort() == 0:
					one.Address = pod.IP
				default:
					one.Address = net.JoinHostPort(pod.IP, strconv.Itoa(int(endpoint.DialledPort())))
				}
				listed = append(listed, one)
			}
		}
	}
	return listed
}

// whyNotPublished returns why an instance with routes has no endpoint in the table.
func whyNotPublished(instance route.Instance, pod view.Pod) string {
	switch {
	case instance.Terminating:
		return "is being stopped"
	case pod.Phase == corev1.PodFailed || pod.Phase == corev1.PodSucceeded:
		return "has ended"
	case pod.Node == "":
		return "has no node yet"
	case instance.Address == "":
		return "has no address yet"
	case instance.Ready:
		return "another instance has its address"
	}
	return "is not ready"
}

func writeRoutes(table io.Writer, listed []listedRoute) {
	row(table, "URI", "FOR", "APP", "INDEX", "POD", "ADDRESS", "PUBLISHED")
	for _, one := range listed {
		published := "yes"
		if !one.Published {
			published = "no: " + one.Why
		}
		row(table, one.URI, one.For, one.App, one.Index, one.Pod, one.Address, published)
	}
}
