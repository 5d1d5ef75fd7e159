package main

import (
	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/route"
)

// routeView implements [route.View] with the view of the app namespace.
type routeView struct {
	view   *view.View
	logger lager.Logger
}

var _ route.View = routeView{}

func newRouteView(appsView *view.View, logger lager.Logger) routeView {
	return routeView{view: appsView, logger: logger.Session("route-feed")}
}

// Subscribe implements [route.View].
func (v routeView) Subscribe(changed func(opi.LRPIdentifier)) {
	v.view.Subscribe(func(change view.Change) {
		switch change.Resource {
		case view.StatefulSets, view.Pods, view.Nodes:
			changed(change.LRP)
		}
	})
}

// Synced implements [route.View].
func (v routeView) Synced() bool { return v.view.Synced() }

// Identities implements [route.View].
func (v routeView) Identities() []opi.LRPIdentifier { return v.view.Identities() }

// State implements [route.View]. The revision is read last, as [view.View.Revision]
// requires.
func (v routeView) State(id opi.LRPIdentifier) route.State {
	state := route.State{LRP: route.LRP{ID: id}}
	if lrp, found := v.view.LRP(id); found {
		var err error
		if state, err = routeState(v.view, lrp); err != nil {
			v.logger.Error("unreadable-routes", err, lager.Data{"process_guid": lrp.ProcessGUID()})
		}
	}
	state.Revision = route.Revision(v.view.Revision(id))
	return state
}

// Progress implements [route.View].
func (v routeView) Progress() route.Progress {
	progress := v.view.Progress()
	return route.Progress{
		Seen: route.Revision(progress.Seen), Changed: route.Revision(progress.Changed), Fresh: v.view.Fresh() == nil,
	}
}

// routeState returns an LRP with its routes and instances. An instance that is no longer
// desired is left out before Kubernetes has deleted its pod. The error is about routes
// that can't be read; the others are returned all the same.
func routeState(appsView *view.View, lrp view.LRP) (route.State, error) {
	routes, err := k8s.RoutesOf(lrp)
	state := route.State{LRP: route.LRP{
		ID:           lrp.LRPIdentifier,
		App:          opi.Owner{GUID: lrp.AppGUID, Name: lrp.AppName},
		Space:        opi.Owner{GUID: lrp.SpaceGUID, Name: lrp.SpaceName},
		Organization: opi.Owner{GUID: lrp.OrganizationGUID, Name: lrp.OrganizationName},
		ProcessType:  lrp.ProcessType,
		HTTP:         routes.HTTP,
		Internal:     routes.Internal,
	}}
	if len(routes.HTTP) == 0 && len(routes.Internal) == 0 {
		return state, err
	}
	for _, pod := range appsView.Pods(lrp.UID) {
		if pod.Index < 0 || pod.Index >= lrp.Instances+lrp.Surge {
			continue
		}
		node, _ := appsView.Node(pod.Node)
		state.Instances = append(state.Instances, route.Instance{
			GUID:        string(pod.UID),
			Index:       pod.Index,
			Address:     pod.IP,
			Ready:       appsView.Routable(pod),
			Terminating: pod.Deleting != nil,
			Zone:        node.Zone,
			UpdatedAt:   pod.Ready.Since,
		})
	}
	return state, err
}
