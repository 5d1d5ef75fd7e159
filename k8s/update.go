package k8s

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// Update changes instances, routes and annotation in one call and restarts nothing.
func (l *LRPs) Update(ctx context.Context, id opi.LRPIdentifier, update opi.LRPUpdate) error {
	for range changeAttempts {
		existing, err := l.find(ctx, id)
		if err != nil {
			return fmt.Errorf("update LRP %s: %w", id, err)
		}
		if err := l.patch(ctx, existing, update); !errors.Is(err, errChanged) {
			return err
		}
	}
	return fmt.Errorf("update LRP %s: %w, and again after each of %d attempts: %w", id, errChanged, changeAttempts, opi.ErrUnavailable)
}

// patch writes an update without regard to other writers of the same fields: the
// last one wins. The uid in the patch makes sure that it meets the object that was
// found and no later one of the same name. One instance is asked for with the version
// that was found: how many replicas that takes depends on whether a roll is under way.
func (l *LRPs) patch(ctx context.Context, existing view.LRP, update opi.LRPUpdate) error {
	annotations, err := changesFor(update.Routes, update.Annotation)
	if err != nil {
		return fmt.Errorf("update LRP %s: %w", existing.LRPIdentifier, err)
	}
	if err := annotations.apply(updatedAnnotations(existing)); err != nil {
		return fmt.Errorf("update LRP %s: %w", existing.LRPIdentifier, err)
	}
	change := objectPatch{Metadata: metadataPatch{UID: existing.UID, Annotations: annotations}}
	if update.Instances != nil {
		change.setReplicas(*update.Instances, surgeFor(existing, *update.Instances))
		if *update.Instances == 1 {
			change.Metadata.ResourceVersion = existing.ResourceVersion
		}
	}
	patch, err := mergePatch(change)
	if err != nil {
		return err
	}
	patched, err := l.statefulSets().Patch(ctx, existing.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	switch {
	case apierrors.IsNotFound(err):
		l.View.NoteDeletedStatefulSet(existing.UID)
		return errChanged
	case apierrors.IsConflict(err):
		return l.lookAgain(ctx, existing)
	case err != nil:
		return fmt.Errorf("update LRP %s: patch StatefulSet %s: %w", existing.LRPIdentifier, existing.Name, classify(err))
	}
	l.View.NoteStatefulSet(patched)
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
		return fmt.Errorf("update LRP %s: %w", existing.LRPIdentifier, classify(err))
	}
	if apierrors.IsNotFound(err) || present.UID != existing.UID {
		l.View.NoteDeletedStatefulSet(existing.UID)
		return errChanged
	}
	l.View.NoteStatefulSet(present)
	return errChanged
}

// objectPatch is a JSON merge patch for the few fields that Irene ever changes.
type objectPatch struct {
	Metadata metadataPatch `json:"metadata,omitzero"`
	Spec     specPatch     `json:"spec,omitzero"`
}

// setReplicas asks for a number of desired instances and some beyond those.
func (p *objectPatch) setReplicas(instances, surge int) {
	if p.Metadata.Annotations == nil {
		p.Metadata.Annotations = annotationChanges{}
	}
	p.Spec.Replicas, p.Metadata.Annotations[keys.Surge] = ptr.To(instances+surge), nil
	if surge > 0 {
		p.Metadata.Annotations[keys.Surge] = ptr.To(strconv.Itoa(surge))
	}
}

type metadataPatch struct {
	UID             types.UID               `json:"uid,omitempty"`
	ResourceVersion string                  `json:"resourceVersion,omitempty"`
	Labels          map[string]string       `json:"labels,omitempty"`
	Annotations     annotationChanges       `json:"annotations,omitempty"`
	OwnerReferences []metav1.OwnerReference `json:"ownerReferences,omitempty"`
}

type specPatch struct {
	Replicas *int          `json:"replicas,omitempty"`
	Template templatePatch `json:"template,omitzero"`
}

// templatePatch needs a strategic merge patch, which tells containers by their names.
type templatePatch struct {
	Metadata metadataPatch   `json:"metadata,omitzero"`
	Spec     containersPatch `json:"spec,omitzero"`
}

type containersPatch struct {
	Containers []containerPatch `json:"containers,omitempty"`
}

type containerPatch struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

func mergePatch(patch objectPatch) ([]byte, error) {
	content, err := json.Marshal(patch)
	if err != nil {
		return nil, fmt.Errorf("encode patch: %w", err)
	}
	return content, nil
}
