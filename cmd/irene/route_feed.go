package main

import (
	"context"
	"sync"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/route"
)

// freshnessInterval is how often the emitter learns whether the view is still fresh.
const freshnessInterval = time.Second

// routeFeed passes what the view shows to the emitter: everything once the view is
// complete, and from then on every LRP that changes. One goroutine reads and
// passes on, so that a later state is never overtaken by an earlier one; changes that
// come faster are passed on once.
type routeFeed struct {
	view    *view.View
	emitter *route.Emitter
	logger  lager.Logger

	wake chan struct{}

	mu      sync.Mutex
	changed map[opi.LRPIdentifier]struct{}
}

// newRouteFeed subscribes to the view, which must not be running yet.
func newRouteFeed(appsView *view.View, emitter *route.Emitter, logger lager.Logger) *routeFeed {
	f := &routeFeed{
		view: appsView, emitter: emitter, logger: logger.Session("route-feed"),
		wake: make(chan struct{}, 1), changed: map[opi.LRPIdentifier]struct{}{},
	}
	appsView.Subscribe(func(change view.Change) {
		switch change.Resource {
		case view.StatefulSets, view.Pods, view.Nodes:
			f.note(change.LRP)
		}
	})
	return f
}

func (f *routeFeed) note(id opi.LRPIdentifier) {
	f.mu.Lock()
	f.changed[id] = struct{}{}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *routeFeed) take() map[opi.LRPIdentifier]struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	taken := f.changed
	f.changed = map[opi.LRPIdentifier]struct{}{}
	return taken
}

// Run feeds the emitter until ctx ends.
func (f *routeFeed) Run(ctx context.Context) error {
	if !await(ctx, f.view.Synced) {
		return nil
	}
	progress := f.view.Progress()
	f.take() // what changed so far is in what follows
	f.emitter.Set(f.states(f.view.Identities()))
	f.know(progress)
	ticker := time.NewTicker(freshnessInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.wake:
		case <-ticker.C:
		}
		// Read before the changes are taken, so that it claims no more than they do.
		progress := f.view.Progress()
		changed := f.take()
		ids := make([]opi.LRPIdentifier, 0, len(changed))
		for id := range changed {
			ids = append(ids, id)
		}
		if len(ids) > 0 {
			f.emitter.Update(f.states(ids)...)
		}
		f.know(progress)
	}
}

func (f *routeFeed) know(progress view.Progress) {
	f.emitter.Know(route.Knowledge{
		Seen: route.Revision(progress.Seen), Changed: route.Revision(progress.Changed), Fresh: f.view.Fresh() == nil,
	})
}

// Lead marks this replica as the holder of the Lease in the emitter, for as long as ctx lasts.
func (f *routeFeed) Lead(ctx context.Context) error {
	f.emitter.Lead(true)
	<-ctx.Done()
	f.emitter.Lead(false)
	return nil
}

func (f *routeFeed) states(ids []opi.LRPIdentifier) []route.State {
	states := make([]route.State, 0, len(ids))
	for _, id := range ids {
		states = append(states, f.state(id))
	}
	return states
}

// state is what the view shows of an LRP, and how much it knows of it: read last,
// as view.Revision asks.
func (f *routeFeed) state(id opi.LRPIdentifier) route.State {
	state := route.State{LRP: route.LRP{ID: id}}
	if lrp, found := f.view.LRP(id); found {
		var err error
		if state, err = routeState(f.view, lrp); err != nil {
			f.logger.Error("unreadable-routes", err, lager.Data{"process_guid": lrp.ProcessGUID()})
		}
	}
	state.Revision = route.Revision(f.view.Revision(id))
	return state
}

// routeState is an LRP with its routes and instances, as routers should know it. An
// instance that is not desired any more is left out as soon as that is known, not only
// when Kubernetes gets to its pod. An error is about routes that can't be read; the
// others are there all the same.
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

// await polls until the condition holds; it says whether it does, or ctx ended
// first.
func await(ctx context.Context, condition func() bool) bool {
	return wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(context.Context) (bool, error) {
		return condition(), nil
	}) == nil
}
