package k8s

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"code.cloudfoundry.org/lager/v3"
	"k8s.io/client-go/kubernetes"
	appsclient "k8s.io/client-go/kubernetes/typed/apps/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// Options are what LRPs works with.
type Options struct {
	Client   kubernetes.Interface
	Metadata metadata.Interface
	View     *view.View
	// StatefulSets are those of the view's namespace.
	StatefulSets *live.StatefulSets
	Settings     render.Settings
	Images       AppImages
	// Users may be nil with Settings.UserNamespaces, where no user is looked up.
	Users ImageUsers
	// Events shows people with kubectl what Irene did and refused.
	Events record.EventRecorder
	Logger lager.Logger
	// Clock is the real one when nil.
	Clock clock.PassiveClock
}

// LRPs desires, changes, reads and stops LRPs. All methods may be called at the
// same time, also by several replicas.
//
// Errors wrap opi.ErrNotFound where the LRP does not exist, opi.ErrUnavailable
// where the API server can't be reached or is busy, opi.ErrRefused or are
// *opi.FieldError where the request can't be honoured.
type LRPs struct {
	client   kubernetes.Interface
	metadata metadata.Interface
	view     *view.View
	sets     *live.StatefulSets
	settings render.Settings
	images   AppImages
	users    ImageUsers
	events   record.EventRecorder
	logger   lager.Logger
	clock    clock.PassiveClock

	// key is the DigestKey, once it was needed.
	key atomic.Pointer[render.DigestKey]
}

// New returns LRPs. It makes no call, and starts nothing.
func New(options Options) *LRPs {
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	return &LRPs{
		client:   options.Client,
		metadata: options.Metadata,
		view:     options.View,
		sets:     options.StatefulSets,
		settings: options.Settings,
		images:   options.Images,
		users:    options.Users,
		events:   options.Events,
		logger:   options.Logger,
		clock:    options.Clock,
	}
}

// attempts bounds how often a call starts again because what it saw in the view
// had changed meanwhile.
const attempts = 3

// find returns the LRP's StatefulSet from the view or, on a miss, by one live
// list; the oldest where there are twins.
func (l *LRPs) find(ctx context.Context, id opi.LRPIdentifier) (view.LRP, error) {
	if lrp, known := l.view.LRP(id); known {
		return lrp, nil
	}
	live, err := l.sets.Find(ctx, id)
	if err != nil {
		return view.LRP{}, err
	}
	if len(live) == 0 {
		return view.LRP{}, fmt.Errorf("find LRP %s: %w", id, opi.ErrNotFound)
	}
	return live[0], nil
}

func (l *LRPs) statefulSets() appsclient.StatefulSetInterface {
	return l.client.AppsV1().StatefulSets(l.settings.Namespace)
}

// Get returns an LRP as it is desired.
func (l *LRPs) Get(ctx context.Context, id opi.LRPIdentifier) (opi.DesiredLRP, error) {
	found, err := l.find(ctx, id)
	if err != nil {
		return opi.DesiredLRP{}, err
	}
	desired, err := desiredLRP(&found)
	if err != nil {
		return opi.DesiredLRP{}, fmt.Errorf("get LRP %s: %w", id, err)
	}
	return desired, nil
}

// List returns all LRPs of a door, or an error that wraps opi.ErrUnavailable when the view
// may have missed something: Cloud Controller desires again what is not in the
// list and stops what it does not know, so a partial list would do harm. Routes
// are left out.
func (l *LRPs) List(_ context.Context, door opi.Door) ([]opi.DesiredLRP, error) {
	if err := l.view.Fresh(); err != nil {
		return nil, fmt.Errorf("list LRPs: %w", err)
	}
	lrps := []opi.DesiredLRP{}
	l.view.EachLRP(func(lrp *view.LRP) {
		if lrp.Door != door {
			return
		}
		lrps = append(lrps, opi.DesiredLRP{
			LRPIdentifier: lrp.LRPIdentifier,
			Instances:     lrp.Instances,
			Annotation:    lrp.Annotation,
		})
	})
	return lrps, nil
}

// ListWhole returns what List does, with all that is known of each LRP. Routes and metric
// tags that can't be read, which only people with kubectl can bring about, are left out.
func (l *LRPs) ListWhole(_ context.Context, door opi.Door) ([]opi.DesiredLRP, error) {
	if err := l.view.Fresh(); err != nil {
		return nil, fmt.Errorf("list LRPs: %w", err)
	}
	// The view must not be held up by decoding.
	found := []view.LRP{}
	l.view.EachLRP(func(lrp *view.LRP) {
		if lrp.Door == door {
			found = append(found, *lrp)
		}
	})
	lrps := make([]opi.DesiredLRP, len(found))
	for i := range found {
		// What can be read is returned with the error.
		lrps[i], _ = desiredLRP(&found[i])
	}
	return lrps, nil
}

// desiredLRP returns what the view has of an LRP. The error is about routes or tags that
// can't be read; all else is returned with it.
func desiredLRP(lrp *view.LRP) (opi.DesiredLRP, error) {
	routes, routesErr := storedRoutes(*lrp)
	tags, tagsErr := render.DecodeMetricTags(lrp.MetricTags())
	desired := opi.DesiredLRP{
		LRPIdentifier: lrp.LRPIdentifier,
		Door:          lrp.Door,
		Domain:        lrp.Domain,
		Instances:     lrp.Instances,
		Routes:        routes,
		Annotation:    lrp.Annotation,
		MetricTags:    tags,
		App:           opi.Owner{GUID: lrp.AppGUID, Name: lrp.AppName},
		Ports:         lrp.PortList(),
		RootFS:        opi.RootFS{Stack: lrp.Stack},
		Limits: opi.Limits{
			MemoryMiB: int64(lrp.MemoryMiB), DiskMiB: int64(lrp.DiskMiB),
			CPUWeight: render.CPUWeight(lrp.MilliCPU), PIDs: int64(lrp.PIDs),
		},
		Modification: lrp.Modification(),
	}
	if lrp.IsolationSegment != "" {
		desired.PlacementTags = []string{lrp.IsolationSegment}
	}
	if lrp.Image != "" {
		desired.RootFS.Image = &opi.Image{Reference: lrp.Image}
	}
	return desired, errors.Join(routesErr, tagsErr)
}

// Instances returns the state of every desired index, in order.
func (l *LRPs) Instances(ctx context.Context, id opi.LRPIdentifier) ([]opi.Instance, error) {
	found, err := l.find(ctx, id)
	if err != nil {
		return nil, err
	}
	return l.view.Instances(found), nil
}
