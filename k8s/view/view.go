package view

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/opi"
)

// Resource names a Kubernetes resource that the view holds.
type Resource string

// The resources of the view, by their plural names in the API.
const (
	StatefulSets Resource = "statefulsets"
	Pods         Resource = "pods"
	Secrets      Resource = "secrets"
	Budgets      Resource = "poddisruptionbudgets"
	// Nodes are the whole cluster's.
	Nodes Resource = "nodes"
)

// DefaultStaleAfter is how long a watch may be silent before the view is no
// longer taken for complete. API servers send bookmarks about once a minute.
const DefaultStaleAfter = 2 * time.Minute

// DefaultLostNodeGrace is how long an instance on a node that stopped reporting
// keeps its state, and then its pod.
const DefaultLostNodeGrace = time.Minute

// Options say what to watch and how.
type Options struct {
	// Client and Metadata talk to the API server, without a client-side rate
	// limit. Metadata is used for Secrets.
	Client   kubernetes.Interface
	Metadata metadata.Interface
	// Namespace is the one namespace of the apps.
	Namespace string
	// StaleAfter bounds the silence of a watch; DefaultStaleAfter when 0.
	StaleAfter time.Duration
	// LostNodeGrace is DefaultLostNodeGrace when 0; negative for none.
	LostNodeGrace time.Duration
	// SegmentLabel is the label of nodes that names their isolation segment; empty for none.
	SegmentLabel string
	// Clock is the real one when nil.
	Clock clock.PassiveClock
	// Registerer takes the view's metrics while Run runs; nil for none.
	Registerer prometheus.Registerer
	// Logger is required.
	Logger lager.Logger
}

// Change says that something changed that concerns an LRP.
type Change struct {
	// LRP is the identity on the object's labels; empty parts where labels are missing.
	LRP opi.LRPIdentifier
	// Resource is what kind of object changed. Nodes stands for the readiness or
	// zone of a node that has a pod of the LRP.
	Resource Resource
}

// View answers reads from memory. Its methods may be called from any goroutine.
type View struct {
	namespace     string
	staleAfter    time.Duration
	lostNodeGrace time.Duration
	segmentLabel  string
	clock         clock.PassiveClock
	registerer    prometheus.Registerer
	logger        lager.Logger
	created       time.Time

	words vocabulary
	// seed keys the digests of what pods carry.
	seed  maphash.Seed
	feeds []*feed
	// checkEvents has a lock of its own, taken last.
	checkEvents *checkEvents
	client      kubernetes.Interface

	// mu guards the stores.
	mu      sync.RWMutex
	lrps    *store[opi.LRPIdentifier, *LRP]
	pods    *store[types.UID, *Pod]
	secrets *store[opi.LRPIdentifier, *Secret]
	budgets *store[types.UID, *Budget]
	nodes   *store[types.UID, *Node]
	// onNode has the pods by the name of their node.
	onNode map[string][]*Pod
	// diskPods has the pods that are over their disk limit or have the finalizer of the
	// crash back-off.
	diskPods map[opi.LRPIdentifier]map[types.UID]*Pod
	missing  missingSecrets
	mostLost bool
	// nodesForbidden is whether nodes have never been listed for want of permission.
	nodesForbidden bool

	// running guards subscribers and started.
	running         sync.RWMutex
	started         bool
	subscribers     []func(Change)
	nodeSubscribers []func(name string)
}

// New makes a view that is empty until Run feeds it. Writes may be noted at once.
func New(options Options) *View {
	v := &View{
		namespace:     options.Namespace,
		staleAfter:    options.StaleAfter,
		lostNodeGrace: options.LostNodeGrace,
		segmentLabel:  options.SegmentLabel,
		clock:         options.Clock,
		registerer:    options.Registerer,
		logger:        options.Logger.Session("view"),
		onNode:        map[string][]*Pod{},
		diskPods:      map[opi.LRPIdentifier]map[types.UID]*Pod{},
		client:        options.Client,
		seed:          maphash.MakeSeed(),
		missing:       missingSecrets{names: map[string]struct{}{}, pruneAt: pruneMissing},
	}
	v.checkEvents = &checkEvents{logger: v.logger.Session("failed-checks"), events: map[types.UID]checkEvent{}, pods: map[types.UID][]types.UID{}}
	if v.staleAfter == 0 {
		v.staleAfter = DefaultStaleAfter
	}
	if v.lostNodeGrace == 0 {
		v.lostNodeGrace = DefaultLostNodeGrace
	}
	if v.clock == nil {
		v.clock = clock.RealClock{}
	}
	v.created = v.clock.Now()
	v.lrps = newStore(v, StatefulSets, v.slimStatefulSet, (*LRP).identifier, v.lrpChanged)
	v.lrps.admit, v.lrps.identifier = v.admitLRP, (*LRP).identifier
	v.pods = newStore(v, Pods, v.slimPod, func(p *Pod) types.UID { return p.Owner }, v.podChanged)
	v.pods.admit, v.pods.identifier = v.admitPod, (*Pod).identifier
	v.secrets = newStore(v, Secrets, slimSecret, (*Secret).identifier, v.secretChanged)
	v.secrets.admit = v.admitSecret
	v.budgets = newStore(v, Budgets, slimBudget, func(b *Budget) types.UID { return b.Owner }, labelledChanged)
	v.budgets.admit = v.admitBudget
	v.nodes = newStore(v, Nodes, v.slimNode, (*Node).uid, v.nodeChanged)
	v.nodes.settled = v.countNodes
	v.feeds = v.newFeeds(options.Client, options.Metadata)
	return v
}

// Subscribe adds f to those that are told of every change. It must be called
// before Run. f is called by several goroutines at a time, outside the view's
// lock, so that it may read the view; it holds up a watch and must return quickly.
func (v *View) Subscribe(f func(Change)) {
	v.subscribe(func() { v.subscribers = append(v.subscribers, f) })
}

func (v *View) subscribe(add func()) {
	v.running.Lock()
	defer v.running.Unlock()
	if v.started {
		panic("view: Subscribe called after Run")
	}
	add()
}

// Run feeds the view until ctx ends, which is no error. It may be called once.
func (v *View) Run(ctx context.Context) error {
	v.running.Lock()
	started := v.started
	v.started = true
	v.running.Unlock()
	if started {
		return errors.New("run view: it has run already")
	}
	if v.registerer != nil {
		metrics := &collector{view: v}
		if err := v.registerer.Register(metrics); err != nil {
			return fmt.Errorf("register metrics of the view: %w", err)
		}
		defer v.registerer.Unregister(metrics)
	}

	var feeds sync.WaitGroup
	for _, f := range v.feeds {
		feeds.Go(func() { f.run(ctx) })
	}
	feeds.Go(func() { v.reopenQuietWatches(ctx) })
	feeds.Go(func() { v.checkEvents.run(ctx, v.client, v.namespace) })
	feeds.Wait()
	return nil
}

// Synced is whether every resource has been listed completely at least once, nodes
// included unless Irene may not list them.
func (v *View) Synced() bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, f := range v.feeds {
		if !f.state().synced && (f.resource != Nodes || !v.nodesForbidden) {
			return false
		}
	}
	return true
}

// Fresh is nil while the view may be taken for complete and up to date as to what
// is desired and what became of it; nodes are apart. Otherwise the error wraps
// opi.ErrUnavailable and says which resource was never listed, or has had no list,
// event, bookmark or new watch for StaleAfter.
func (v *View) Fresh() error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	now := v.clock.Now()
	for _, f := range v.feeds {
		if f.resource == Nodes {
			continue
		}
		state := f.state()
		if !state.synced {
			return fmt.Errorf("%s have not been listed yet: %w", f.resource, opi.ErrUnavailable)
		}
		if silence := now.Sub(state.progressAt); silence > v.staleAfter {
			return fmt.Errorf("the watch of %s has been silent for %s: %w", f.resource, silence.Round(time.Second), opi.ErrUnavailable)
		}
	}
	return nil
}

// Current is whether the watch of a resource has told something within the last
// while, so that the view can't be further behind than that.
func (v *View) Current(resource Resource, within time.Duration) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	now := v.clock.Now()
	for _, f := range v.feeds {
		if f.resource == resource {
			state := f.state()
			return state.synced && now.Sub(state.progressAt) <= within
		}
	}
	return false
}

// changes are whom one event concerns: mostly one identity.
type changes struct {
	lrps []opi.LRPIdentifier
	// nodes are the names of nodes.
	nodes []string
}

func (c *changes) add(id opi.LRPIdentifier) { c.lrps = append(c.lrps, id) }

// labelledChanged tells the LRPs whose labels an object has and had.
func labelledChanged[T any, P interface {
	*T
	identifier() opi.LRPIdentifier
}](was, is P, c *changes) {
	if is != nil {
		c.add(is.identifier())
	}
	if was != nil && (is == nil || was.identifier() != is.identifier()) {
		c.add(was.identifier())
	}
}

func (v *View) publish(resource Resource, concerned changes) {
	if len(concerned.lrps) == 0 && len(concerned.nodes) == 0 {
		return
	}
	v.running.RLock()
	subscribers, nodeSubscribers := slices.Clip(v.subscribers), slices.Clip(v.nodeSubscribers)
	v.running.RUnlock()
	for _, id := range distinct(concerned.lrps) {
		for _, tell := range subscribers {
			tell(Change{LRP: id, Resource: resource})
		}
	}
	for _, name := range distinct(concerned.nodes) {
		for _, tell := range nodeSubscribers {
			tell(name)
		}
	}
}

func distinct[T comparable](all []T) []T {
	if len(all) < 2 {
		return all
	}
	seen := make(map[T]struct{}, len(all))
	return slices.DeleteFunc(all, func(one T) bool {
		_, again := seen[one]
		seen[one] = struct{}{}
		return again
	})
}
