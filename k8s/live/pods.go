package live

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/keys"
)

// finalizerPatch is a strategic merge patch, which adds to the finalizers of a pod, or
// removes some, whatever others it has.
type finalizerPatch struct {
	Metadata struct {
		UID    types.UID `json:"uid"`
		Add    []string  `json:"finalizers,omitempty"`
		Remove []string  `json:"$deleteFromPrimitiveList/finalizers,omitempty"`
	} `json:"metadata"`
}

// HoldPod puts the finalizer of the crash back-off on a pod. That the pod is gone, or being
// deleted, is no error.
func HoldPod(ctx context.Context, pods coreclient.PodInterface, name string, uid types.UID) error {
	var patch finalizerPatch
	patch.Metadata.UID, patch.Metadata.Add = uid, []string{keys.CrashBackoffFinalizer}
	err := patchFinalizers(ctx, pods, name, patch)
	if apierrors.IsInvalid(err) {
		return nil // no finalizer can be added to an object that is being deleted
	}
	if err != nil {
		return fmt.Errorf("hold back pod %s: %w", name, apierror.Classify(err))
	}
	return nil
}

// ReleasePod removes the finalizer of the crash back-off from a pod. That the pod is gone
// is no error.
func ReleasePod(ctx context.Context, pods coreclient.PodInterface, name string, uid types.UID) error {
	var patch finalizerPatch
	patch.Metadata.UID, patch.Metadata.Remove = uid, []string{keys.CrashBackoffFinalizer}
	if err := patchFinalizers(ctx, pods, name, patch); err != nil {
		return fmt.Errorf("let go of pod %s: %w", name, apierror.Classify(err))
	}
	return nil
}

func patchFinalizers(ctx context.Context, pods coreclient.PodInterface, name string, patch finalizerPatch) error {
	content, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	_, err = pods.Patch(ctx, name, types.StrategicMergePatchType, content, metav1.PatchOptions{})
	// A conflict means that the name belongs to another pod now.
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
