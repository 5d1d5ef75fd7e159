package live

import (
	"context"
	"errors"
	"fmt"
	"sort"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metalabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	appsclient "k8s.io/client-go/kubernetes/typed/apps/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

var (
	// ErrStopped is returned for a StatefulSet that is gone or being deleted.
	ErrStopped = errors.New("the LRP was stopped")
	// ErrChanged is returned when an LRP is not any more as it was found.
	ErrChanged = errors.New("the LRP changed meanwhile")
)

// changeAttempts bounds how often a change is made again because the StatefulSet had
// changed meanwhile; while pods come and go its status does all the time.
const changeAttempts = 20

// Options are what StatefulSets works with. All are required.
type Options struct {
	Client appsclient.StatefulSetsGetter
	View   *view.View
	// Namespace is the apps'.
	Namespace string
}

// StatefulSets reads and changes the StatefulSets of LRPs.
type StatefulSets struct {
	client appsclient.StatefulSetInterface
	view   *view.View
}

// New returns the StatefulSets of a namespace. It makes no call.
func New(options Options) *StatefulSets {
	return &StatefulSets{client: options.Client.StatefulSets(options.Namespace), view: options.View}
}

// Find returns the StatefulSets of an identity, without those that are being deleted, oldest
// first. For an identity that no object can have it makes no call.
func (s *StatefulSets) Find(ctx context.Context, id opi.LRPIdentifier) ([]view.LRP, error) {
	if id.Validate() != nil {
		return nil, nil
	}
	found, err := s.client.List(ctx, metav1.ListOptions{
		LabelSelector: metalabels.SelectorFromSet(render.Selector(id)).String(),
	})
	if err != nil {
		return nil, fmt.Errorf("find LRP %s: %w", id, apierror.Classify(err))
	}
	var live []view.LRP
	for _, statefulSet := range found.Items {
		if statefulSet.DeletionTimestamp == nil {
			live = append(live, s.view.FromLive(&statefulSet))
			s.view.NoteStatefulSet(&statefulSet)
		}
	}
	sort.Slice(live, func(i, j int) bool { return live[i].OlderThan(live[j]) })
	return live, nil
}

// List returns a page of StatefulSets as the API server does; errors are not classified.
func (s *StatefulSets) List(ctx context.Context, options metav1.ListOptions) (*appsv1.StatefulSetList, error) {
	return s.client.List(ctx, options)
}

// Get returns a StatefulSet. The error is [ErrStopped] when it is gone, or another has its
// name.
func (s *StatefulSets) Get(ctx context.Context, name string, uid types.UID) (*appsv1.StatefulSet, error) {
	set, err := s.client.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), err == nil && (set.UID != uid || set.DeletionTimestamp != nil):
		return nil, ErrStopped
	case err != nil:
		return nil, fmt.Errorf("look at StatefulSet %s: %w", name, apierror.Classify(err))
	}
	return set, nil
}

// Change writes a change that is made for one version of the StatefulSet, and makes it again
// when there is a later one. A nil patch is no change.
func (s *StatefulSets) Change(ctx context.Context, set *appsv1.StatefulSet, change func(*appsv1.StatefulSet) (*Patch, error)) error {
	for range changeAttempts {
		patch, err := change(set)
		if err != nil || patch == nil {
			return err
		}
		if err = s.Patch(ctx, set, patch); !errors.Is(err, ErrChanged) {
			return err
		}
		if set, err = s.Get(ctx, set.Name, set.UID); err != nil {
			return err
		}
	}
	return fmt.Errorf("change StatefulSet %s: %w, and again after each of %d attempts: %w", set.Name, ErrChanged, changeAttempts, opi.ErrUnavailable)
}

// Patch writes a strategic merge patch. The error is [ErrChanged] when the StatefulSet is not
// that version any more.
func (s *StatefulSets) Patch(ctx context.Context, set *appsv1.StatefulSet, patch *Patch) error {
	patch.Metadata.UID, patch.Metadata.ResourceVersion = set.UID, set.ResourceVersion
	content, err := patch.Encode()
	if err != nil {
		return err
	}
	patched, err := s.client.Patch(ctx, set.Name, types.StrategicMergePatchType, content, metav1.PatchOptions{})
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return ErrChanged
	case err != nil:
		return fmt.Errorf("change StatefulSet %s: %w", set.Name, apierror.Classify(err))
	}
	s.view.NoteStatefulSet(patched)
	return nil
}

// Delete removes one StatefulSet; pods and companions follow it by their owner references.
// One that is gone already is no error.
func (s *StatefulSets) Delete(ctx context.Context, lrp view.LRP) error {
	err := s.client.Delete(ctx, lrp.Name, metav1.DeleteOptions{
		PropagationPolicy: ptr.To(metav1.DeletePropagationBackground),
		Preconditions:     OwnUID(lrp.UID),
	})
	// A conflict means that the name now belongs to another object: ours is gone.
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete StatefulSet %s: %w", lrp.Name, apierror.Classify(err))
	}
	s.view.NoteDeletedStatefulSet(lrp.UID)
	return nil
}

// OwnUID returns the precondition that a delete meets the object that was found, and no later
// one of the same name.
func OwnUID(uid types.UID) *metav1.Preconditions { return &metav1.Preconditions{UID: &uid} }

// Reference returns what an Event on an LRP's StatefulSet is about.
func Reference(lrp view.LRP) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: appsv1.SchemeGroupVersion.String(),
		Kind:       "StatefulSet",
		Namespace:  lrp.Namespace,
		Name:       lrp.Name,
		UID:        lrp.UID,
	}
}
