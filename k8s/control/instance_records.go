package control

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// InstanceRecords says what has happened to instances, for whoever tells others, and
// keeps what was told on their pods.
type InstanceRecords struct{ options InstanceRecordsOptions }

// InstanceRecordsOptions are what InstanceRecords works with.
type InstanceRecordsOptions struct {
	// Namespace is the apps'.
	Namespace string
	View      InstanceRecordsView
	Pods      coreclient.PodsGetter
	// Clock is the real one when nil.
	Clock clock.PassiveClock
}

// InstanceRecordsView shows instances and what has happened to them.
type InstanceRecordsView interface {
	Synced() bool
	Subscribe(func(view.Change))
	Identities() []opi.LRPIdentifier
	LRP(opi.LRPIdentifier) (view.LRP, bool)
	Records(view.LRP) []opi.InstanceRecord
	FromLivePod(*corev1.Pod) view.Pod
}

// NewInstanceRecords reads from the view.
func NewInstanceRecords(options InstanceRecordsOptions) InstanceRecords {
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	return InstanceRecords{options}
}

// Subscribe has changed called after something changed that may change the records of an
// LRP. It must be called before the view runs; changed must return quickly.
func (r InstanceRecords) Subscribe(changed func(opi.LRPIdentifier)) {
	r.options.View.Subscribe(func(change view.Change) {
		if change.Resource == view.Pods || change.Resource == view.StatefulSets || change.Resource == view.Nodes {
			changed(change.LRP)
		}
	})
}

// Synced is whether the records are complete.
func (r InstanceRecords) Synced() bool { return r.options.View.Synced() }

// Identities are those of all LRPs.
func (r InstanceRecords) Identities() []opi.LRPIdentifier { return r.options.View.Identities() }

// Records are those of the LRP's desired instances; none if there is no such LRP.
func (r InstanceRecords) Records(id opi.LRPIdentifier) []opi.InstanceRecord {
	lrp, known := r.options.View.LRP(id)
	if !known {
		return nil
	}
	return r.options.View.Records(lrp)
}

// Told asks the API server what is written down as told of an instance. The error wraps
// opi.ErrNotFound when the instance is gone.
func (r InstanceRecords) Told(ctx context.Context, instance opi.InstanceRecord) (opi.InstanceTold, error) {
	pod, err := r.options.Pods.Pods(r.options.Namespace).Get(ctx, instance.Object, metav1.GetOptions{})
	if err != nil {
		return opi.InstanceTold{}, fmt.Errorf("read pod %s: %w", instance.Object, goneOr(err))
	}
	if string(pod.UID) != instance.GUID {
		return opi.InstanceTold{}, fmt.Errorf("read pod %s: it is another instance's: %w", instance.Object, opi.ErrNotFound)
	}
	return r.options.View.FromLivePod(pod).Told, nil
}

// Mark writes down what was told of an instance, by one small patch of its pod. The error
// wraps opi.ErrNotFound when the instance is gone.
func (r InstanceRecords) Mark(ctx context.Context, instance opi.InstanceRecord, told opi.InstanceTold) error {
	text, err := json.Marshal(told)
	if err != nil {
		return fmt.Errorf("encode what was told: %w", err)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": instance.GUID, "annotations": map[string]string{keys.Told: string(text)},
	}})
	if err != nil {
		return fmt.Errorf("encode a patch: %w", err)
	}
	_, err = r.options.Pods.Pods(r.options.Namespace).Patch(ctx, instance.Object, types.MergePatchType, patch, metav1.PatchOptions{})
	switch {
	case apierrors.IsConflict(err): // the name belongs to another pod now
		return fmt.Errorf("patch pod %s: %w: %w", instance.Object, opi.ErrNotFound, err)
	case err != nil:
		return fmt.Errorf("patch pod %s: %w", instance.Object, goneOr(err))
	}
	return nil
}

// goneOr classifies an error about a pod.
func goneOr(err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("%w: %w", opi.ErrNotFound, err)
	}
	return apierror.Classify(err)
}

// Lost is the record of an instance that is replaced because its node was lost; false for
// one that is not desired any more.
func (r InstanceRecords) Lost(instance LostInstance) (opi.InstanceRecord, bool) {
	lrp, known := r.options.View.LRP(instance.LRP)
	if !known || instance.Index < 0 || instance.Index >= lrp.Instances {
		return opi.InstanceRecord{}, false
	}
	for _, record := range r.options.View.Records(lrp) {
		if record.GUID == instance.GUID {
			silence := r.options.Clock.Since(instance.Since).Round(time.Second)
			record.Rescheduled = fmt.Sprintf("cell %s has not reported for %s", instance.Node, silence)
			return record, true
		}
	}
	return opi.InstanceRecord{}, false
}
