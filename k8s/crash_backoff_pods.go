package k8s

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"

	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/view"
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

// holdPod puts the finalizer of the crash back-off on a pod. That the pod is gone, or on
// its way, is no error.
func (l *LRPs) holdPod(ctx context.Context, pod view.Pod) error {
	var patch finalizerPatch
	patch.Metadata.UID, patch.Metadata.Add = pod.UID, []string{keys.CrashBackoffFinalizer}
	err := patchFinalizers(ctx, l.Client, l.Translation.Namespace, pod.Name, patch)
	if apierrors.IsInvalid(err) {
		return nil // no finalizer can be added to an object that is being deleted
	}
	if err != nil {
		return fmt.Errorf("hold back pod %s: %w", pod.Name, classify(err))
	}
	return nil
}

// releasePod removes the finalizer of the crash back-off from a pod. That the pod is gone
// is no error.
func (l *LRPs) releasePod(ctx context.Context, pod view.Pod) error {
	if err := releasePod(ctx, l.Client, l.Translation.Namespace, pod.Name, pod.UID); err != nil {
		return fmt.Errorf("let go of pod %s: %w", pod.Name, classify(err))
	}
	return nil
}

func releasePod(ctx context.Context, client kubernetes.Interface, namespace, name string, uid types.UID) error {
	var patch finalizerPatch
	patch.Metadata.UID, patch.Metadata.Remove = uid, []string{keys.CrashBackoffFinalizer}
	return patchFinalizers(ctx, client, namespace, name, patch)
}

func patchFinalizers(ctx context.Context, client kubernetes.Interface, namespace, name string, patch finalizerPatch) error {
	content, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	_, err = client.CoreV1().Pods(namespace).Patch(ctx, name, types.StrategicMergePatchType, content, metav1.PatchOptions{})
	// A conflict means that the name belongs to another pod now.
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// ReleasePods removes the finalizer of the crash back-off from all pods of a namespace, so
// that they and the namespace can be deleted when no Irene runs any more. It returns how
// many there were. It may be run again.
func ReleasePods(ctx context.Context, client kubernetes.Interface, meta metadata.Interface, namespace string) (released int, err error) {
	pods := meta.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(namespace)
	options := metav1.ListOptions{Limit: releasePage}
	var failures []error
	for {
		page, err := pods.List(ctx, options)
		if err != nil {
			return released, errors.Join(append(failures, fmt.Errorf("list pods in %s: %w", namespace, err))...)
		}
		for _, pod := range page.Items {
			if !slices.Contains(pod.Finalizers, keys.CrashBackoffFinalizer) {
				continue
			}
			if err := releasePod(ctx, client, namespace, pod.Name, pod.UID); err != nil {
				failures = append(failures, fmt.Errorf("let go of pod %s: %w", pod.Name, err))
				continue
			}
			released++
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return released, errors.Join(failures...)
		}
	}
}
