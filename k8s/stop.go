package k8s

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/opi"
)

// Stop removes the LRP and all that was made for it. Stopping an LRP that does not
// exist is no error.
func (l *LRPs) Stop(ctx context.Context, id opi.LRPIdentifier) error {
	held := l.view.Twins(id)
	if len(held) == 0 {
		var err error
		if held, err = l.sets.Find(ctx, id); err != nil {
			return fmt.Errorf("stop LRP %s: %w", id, err)
		}
	}
	var errs []error
	for _, lrp := range held {
		if err := l.sets.Delete(ctx, lrp); err != nil {
			errs = append(errs, fmt.Errorf("stop LRP %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
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
	pod, known := l.view.PodAt(found.UID, index)
	if known {
		options.Preconditions = live.OwnUID(pod.UID)
	}
	err = l.client.CoreV1().Pods(found.Namespace).Delete(ctx, name, options)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("stop instance %d of LRP %s: delete pod %s: %w", index, id, name, apierror.Classify(err))
	}
	if known {
		l.view.NoteDeletedPod(pod.UID)
	}
	if known && pod.HeldBack {
		// After the delete, since then no leader can put the finalizer back.
		if err := live.ReleasePod(ctx, l.client.CoreV1().Pods(l.settings.Namespace), pod.Name, pod.UID); err != nil {
			return fmt.Errorf("stop instance %d of LRP %s: %w", index, id, err)
		}
	}
	return nil
}
