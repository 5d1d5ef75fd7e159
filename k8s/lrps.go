package k8s

import (
	"context"
	"fmt"
	"sort"
	"sync/atomic"

	"code.cloudfoundry.org/lager/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metalabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// LRPs desires, changes, reads and stops LRPs. All methods may be called at the
// same time, also by several replicas.
//
// Errors wrap opi.ErrNotFound where the LRP does not exist, opi.ErrUnavailable
// where the API server can't be reached or is busy, opi.ErrRefused or are
// *opi.FieldError where the request can't be honoured.
type LRPs struct {
	Client      kubernetes.Interface
	Metadata    metadata.Interface
	View        *view.View
	Translation Translation
	Images      AppImages
	// Users may be nil with Translation.UserNamespaces, where no user is asked for.
	Users ImageUsers
	// Events tells people with kubectl what Irene did and refused.
	Events record.EventRecorder
	Logger lager.Logger
	Clock  clock.PassiveClock

	// key is the DigestKey, once it was needed.
	key atomic.Pointer[DigestKey]
}

// attempts bounds how often a call starts again because what it saw in the view
// had changed meanwhile.
const attempts = 3

// find returns the LRP's StatefulSet from the view or, on a miss, by one live
// list; the oldest where there are twins.
func (l *LRPs) find(ctx context.Context, id opi.LRPIdentifier) (view.LRP, error) {
	if lrp, known := l.View.LRP(id); known {
		return lrp, nil
	}
	live, err := l.list(ctx, id)
	if err != nil {
		return view.LRP{}, err
	}
	if len(live) == 0 {
		return view.LRP{}, fmt.Errorf("find LRP %s: %w", id, opi.ErrNotFound)
	}
	return live[0], nil
}

// list asks the API server for the StatefulSets of an identity, without those that
// are being deleted, oldest first. An identity that no object can have is not asked
// about.
func (l *LRPs) list(ctx context.Context, id opi.LRPIdentifier) ([]view.LRP, error) {
	if id.Validate() != nil {
		return nil, nil
	}
	found, err := l.statefulSets().List(ctx, metav1.ListOptions{
		LabelSelector: metalabels.SelectorFromSet(selector(id)).String(),
	})
	if err != nil {
		return nil, fmt.Errorf("find LRP %s: %w", id, classify(err))
	}
	var live []view.LRP
	for _, statefulSet := range found.Items {
		if statefulSet.DeletionTimestamp == nil {
			live = append(live, l.View.FromLive(&statefulSet))
			l.View.NoteStatefulSet(&statefulSet)
		}
	}
	sort.Slice(live, func(i, j int) bool { return live[i].OlderThan(live[j]) })
	return live, nil
}

func (l *LRPs) statefulSets() statefulSetClient {
	return l.Client.AppsV1().StatefulSets(l.Translation.Namespace)
}

// Get returns what is held of an LRP.
func (l *LRPs) Get(ctx context.Context, id opi.LRPIdentifier) (opi.DesiredLRP, error) {
	found, err := l.find(ctx, id)
	if err != nil {
		return opi.DesiredLRP{}, err
	}
	routes, err := storedRoutes(found)
	if err != nil {
		return opi.DesiredLRP{}, fmt.Errorf("get LRP %s: %w", id, err)
	}
	return opi.DesiredLRP{
		LRPIdentifier: id,
		Instances:     found.Instances,
		Routes:        routes,
		Annotation:    found.Annotation,
	}, nil
}

// List returns all LRPs of a door, or an error that wraps opi.ErrUnavailable when the view
// may have missed something: Cloud Controller desires again what is not in the
// list and stops what it does not know, so a partial list would do harm. Routes
// are left out.
func (l *LRPs) List(_ context.Context, door opi.Door) ([]opi.DesiredLRP, error) {
	if err := l.View.Fresh(); err != nil {
		return nil, fmt.Errorf("list LRPs: %w", err)
	}
	lrps := []opi.DesiredLRP{}
	l.View.EachLRP(func(lrp *view.LRP) {
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

// Instances returns the state of every desired index, in order.
func (l *LRPs) Instances(ctx context.Context, id opi.LRPIdentifier) ([]opi.Instance, error) {
	found, err := l.find(ctx, id)
	if err != nil {
		return nil, err
	}
	return l.View.Instances(found), nil
}

func ownUID(uid types.UID) *metav1.Preconditions { return &metav1.Preconditions{UID: &uid} }
