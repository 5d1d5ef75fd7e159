package k8s

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// updateAttempts bounds how often an update is made again because the StatefulSet had
// changed meanwhile; while pods come and go its status does all the time.
const updateAttempts = 20

// Update changes instances, routes, annotation, metric tags and door in one call and restarts
// nothing.
func (l *LRPs) Update(ctx context.Context, id opi.LRPIdentifier, update opi.LRPUpdate) error {
	for range updateAttempts {
		existing, err := l.find(ctx, id)
		if err != nil {
			return fmt.Errorf("update LRP %s: %w", id, err)
		}
		if err := l.patch(ctx, existing, update); !errors.Is(err, live.ErrChanged) {
			return err
		}
	}
	return fmt.Errorf("update LRP %s: %w, and again after each of %d attempts: %w", id, live.ErrChanged, updateAttempts, opi.ErrUnavailable)
}

// patch writes an update without regard to other writers of the same fields: the
// last one wins. The uid in the patch makes sure that it meets the object that was
// found and no later one of the same name. One instance is asked for with the version
// that was found: how many replicas that takes depends on whether a roll is under way.
func (l *LRPs) patch(ctx context.Context, existing view.LRP, update opi.LRPUpdate) error {
	annotations, err := render.ChangesFor(update)
	if err != nil {
		return fmt.Errorf("update LRP %s: %w", existing.LRPIdentifier, err)
	}
	if err := annotations.Apply(updatedAnnotations(existing)); err != nil {
		return fmt.Errorf("update LRP %s: %w", existing.LRPIdentifier, err)
	}
	change := live.Patch{Metadata: live.Metadata{UID: existing.UID, Annotations: annotations}}
	if update.Domain != nil {
		change.Metadata.Labels = map[string]string{keys.Domain: *update.Domain}
	}
	switch {
	case update.Instances == nil:
	case existing.Awaited != nil:
		// The controller that waits for the image sets replicas to this number.
		awaited := *existing.Awaited
		awaited.Instances = *update.Instances
		text, err := awaited.Encode()
		if err != nil {
			return err
		}
		annotations[keys.AwaitedImage] = &text
		change.Metadata.ResourceVersion = existing.ResourceVersion
	default:
		change.SetReplicas(*update.Instances, surgeFor(existing, *update.Instances))
		if *update.Instances == 1 {
			change.Metadata.ResourceVersion = existing.ResourceVersion
		}
	}
	patch, err := change.Encode()
	if err != nil {
		return err
	}
	patched, err := l.statefulSets().Patch(ctx, existing.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	switch {
	case apierrors.IsNotFound(err):
		l.view.NoteDeletedStatefulSet(existing.UID)
		return live.ErrChanged
	case apierrors.IsConflict(err):
		return l.lookAgain(ctx, existing)
	case err != nil:
		return fmt.Errorf("update LRP %s: patch StatefulSet %s: %w", existing.LRPIdentifier, existing.Name, apierror.Classify(err))
	}
	l.view.NoteStatefulSet(patched)
	return nil
}

// surgeFor is the surge that goes with a number of instances that an update asks for.
// It stays where that leaves the number as it is: a route that is mapped meanwhile must
// not take the app down. An LRP that is scaled down to one instance while it is moved
// begins to surge, since that one may be the next to be replaced. Else there is none.
func surgeFor(existing view.LRP, instances int) int {
	switch {
	case instances == existing.Instances:
		return existing.Surge
	case instances == 1 && existing.Instances > 1 && existing.Moving:
		return 1
	}
	return 0
}

// lookAgain corrects the view after a conflict, which means that the name has a new
// owner, that the object has changed, or that there were too many writers at once.
func (l *LRPs) lookAgain(ctx context.Context, existing view.LRP) error {
	present, err := l.statefulSets().Get(ctx, existing.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("update LRP %s: %w", existing.LRPIdentifier, apierror.Classify(err))
	}
	if apierrors.IsNotFound(err) || present.UID != existing.UID {
		l.view.NoteDeletedStatefulSet(existing.UID)
		return live.ErrChanged
	}
	l.view.NoteStatefulSet(present)
	return live.ErrChanged
}

// updatedAnnotations returns the annotations that updates replace, as they stand on an
// LRP's StatefulSet.
func updatedAnnotations(lrp view.LRP) map[string]string {
	annotations := map[string]string{
		keys.Routes:          lrp.Routes,
		keys.ApplicationURIs: lrp.Routes,
		keys.LastUpdated:     lrp.Annotation,
	}
	for key, text := range map[string]string{
		keys.InternalRoutes: lrp.InternalRoutes, keys.TCPRoutes: lrp.TCPRoutes,
		keys.OtherRoutes: lrp.OtherRoutes, keys.MetricTags: lrp.MetricTags(),
	} {
		if text != "" {
			annotations[key] = text
		}
	}
	return annotations
}
