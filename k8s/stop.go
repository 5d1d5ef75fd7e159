package k8s

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// Stop removes the LRP and all that was made for it. Stopping an LRP that does not
// exist is no error.
func (l *LRPs) Stop(ctx context.Context, id opi.LRPIdentifier) error {
	held := l.View.Twins(id)
	if len(held) == 0 {
		var err error
		if held, err = l.list(ctx, id); err != nil {
			return fmt.Errorf("stop LRP %s: %w", id, err)
		}
	}
	var errs []error
	for _, lrp := range held {
		if err := l.delete(ctx, lrp); err != nil {
			errs = append(errs, fmt.Errorf("stop LRP %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

// delete removes one StatefulSet; pods and companions follow it by their owner
// references.
func (l *LRPs) delete(ctx context.Context, lrp view.LRP) error {
	err := l.statefulSets().Delete(ctx, lrp.Name, metav1.DeleteOptions{
		PropagationPolicy: ptr.To(metav1.DeletePropagationBackground),
		Preconditions:     ownUID(lrp.UID),
	})
	// A conflict means that the name now belongs to another object: ours is gone.
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete StatefulSet %s: %w", lrp.Name, classify(err))
	}
	l.View.NoteDeletedStatefulSet(lrp.UID)
	return nil
}

// StopInstance ends the instance at one index, which is then started anew, without regard
// to a back-off that has not ended. An LRP
// or instance that does not exist is no error; an index that is not desired is.
func (l *LRPs) StopInstance(ctx context.Context, id opi.LRPIdentifier, index int) error {
	found, err := l.find(ctx, id)
	if errors.Is(err, opi.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop instance %d of LRP %s: %w", index, id, err)
	}
	if index < 0 || index >= found.Instances {
		return fmt.Errorf("stop instance of LRP %s: %w", id,
			opi.Invalid("index", "is %d, but the LRP has %d instances, counted from 0", index, found.Instances))
	}
	name := fmt.Sprintf("%s-%d", found.Name, index)
	options := metav1.DeleteOptions{}
	pod, known := l.View.PodAt(found.UID, index)
	if known {
		options.Preconditions = ownUID(pod.UID)
	}
	err = l.Client.CoreV1().Pods(found.Namespace).Delete(ctx, name, options)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("stop instance %d of LRP %s: delete pod %s: %w", index, id, name, classify(err))
	}
	if known {
		l.View.NoteDeletedPod(pod.UID)
	}
	if known && pod.HeldBack {
		// After the delete, since then no leader can put the finalizer back.
		if err := l.releasePod(ctx, pod); err != nil {
			return fmt.Errorf("stop instance %d of LRP %s: %w", index, id, err)
		}
	}
	return nil
}
