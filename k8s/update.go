package k8s

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// Update changes instances, routes and annotation in one call and restarts nothing.
func (l *LRPs) Update(ctx context.Context, id opi.LRPIdentifier, update opi.LRPUpdate) error {
	for range attempts {
		existing, err := l.find(ctx, id)
		if err != nil {
			return fmt.Errorf("update LRP %s: %w", id, err)
		}
		if err := l.patch(ctx, existing, update); !errors.Is(err, errChanged) {
			return err
		}
	}
	return fmt.Errorf("update LRP %s: %w, and again after each of %d attempts: %w", id, errChanged, attempts, opi.ErrUnavailable)
}

// patch writes an update without regard to other writers of the same fields: the
// last one wins. The uid in the patch makes sure that it meets the object that was
// found and no later one of the same name.
func (l *LRPs) patch(ctx context.Context, existing view.LRP, update opi.LRPUpdate) error {
	annotations, err := updateAnnotations(update.Routes, update.Annotation)
	if err != nil {
		return err
	}
	if size := annotationBytes(annotations); size > maxAnnotationBytes {
		return fmt.Errorf("update LRP %s: %w", existing.LRPIdentifier,
			opi.Invalid("routes", "routes and annotation have %d bytes, more than %d", size, maxAnnotationBytes))
	}
	patch, err := mergePatch(objectPatch{
		Metadata: metadataPatch{UID: existing.UID, Annotations: annotations},
		Spec:     specPatch{Replicas: update.Instances},
	})
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

// lookAgain corrects the view after a conflict, which means either that the name
// has a new owner or that there were too many writers at once.
func (l *LRPs) lookAgain(ctx context.Context, existing view.LRP) error {
	present, err := l.statefulSets().Get(ctx, existing.Name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("update LRP %s: %w", existing.LRPIdentifier, classify(err))
	}
	if apierrors.IsNotFound(err) || present.UID != existing.UID {
		l.View.NoteDeletedStatefulSet(existing.UID)
	}
	return errChanged
}

// objectPatch is a JSON merge patch for the few fields that Irene ever changes.
type objectPatch struct {
	Metadata metadataPatch `json:"metadata,omitzero"`
	Spec     specPatch     `json:"spec,omitzero"`
}

type metadataPatch struct {
	UID             types.UID               `json:"uid,omitempty"`
	Labels          map[string]string       `json:"labels,omitempty"`
	Annotations     map[string]string       `json:"annotations,omitempty"`
	OwnerReferences []metav1.OwnerReference `json:"ownerReferences,omitempty"`
}

type specPatch struct {
	Replicas *int `json:"replicas,omitempty"`
}

func mergePatch(patch objectPatch) ([]byte, error) {
	content, err := json.Marshal(patch)
	if err != nil {
		return nil, fmt.Errorf("encode patch: %w", err)
	}
	return content, nil
}
