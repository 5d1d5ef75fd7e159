package control

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"code.cloudfoundry.org/lager/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/view"
)

// podsOn asks the API server for the pods of apps, tasks and builds on a node of
// which something is to be done or said, in the order of their names.
func (l *LostNodes) podsOn(ctx context.Context, node view.Node) ([]corev1.Pod, error) {
	found, err := l.options.Pods.Pods(l.options.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: keys.SourceType,
		FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node.Name).String(),
	})
	if err != nil {
		return nil, fmt.Errorf("find pods on node %s: %w", node.Name, apierror.Classify(err))
	}
	pods := slices.DeleteFunc(found.Items, func(pod corev1.Pod) bool {
		return !removable(&pod) || l.isKept(node, &pod)
	})
	slices.SortFunc(pods, func(a, b corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	return pods, nil
}

// removable is whether it makes a difference to delete a pod by force. One that was
// deleted so before waits for somebody's finalizer.
func removable(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil {
		return pod.DeletionGracePeriodSeconds == nil || *pod.DeletionGracePeriodSeconds > 0
	}
	return pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// isInstance is whether a pod is an instance of an app, and not a task or build.
func isInstance(pod *corev1.Pod) bool { return pod.Labels[keys.SourceType] == keys.SourceTypeApp }

// stays is whether a pod mounts volumes that outlive it, and that is a reason to
// leave it. The claims of ephemeral volumes go with their pod.
func (l *LostNodes) stays(pod *corev1.Pod) bool {
	return !l.options.PodsWithClaims && slices.ContainsFunc(pod.Spec.Volumes, func(volume corev1.Volume) bool {
		return volume.PersistentVolumeClaim != nil
	})
}

// remove deletes a pod by force: the API server forgets it at once, whatever its
// kubelet says. Should the node come back, its kubelet ends what it finds running
// and not in the API.
func (l *LostNodes) remove(ctx context.Context, node view.Node, pod *corev1.Pod) error {
	if err := l.reschedule(ctx, node, pod); err != nil {
		return err
	}
	err := l.options.Pods.Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: ptr.To(int64(0)),
		Preconditions:      live.OwnUID(pod.UID),
	})
	// A conflict means that the name now belongs to another pod: this one is gone.
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete by force: %w", apierror.Classify(err))
	}
	l.options.View.NoteDeletedPod(pod.UID)
	if err != nil {
		return nil
	}
	l.metrics.deleted.Inc()
	outcome := "its pod was deleted by force, so that it can be replaced"
	if pod.DeletionTimestamp != nil {
		outcome = "its pod, whose end nobody could confirm, was deleted by force"
	}
	l.tell(node, pod, corev1.EventTypeNormal, "DeletedFromLostNode", outcome)
	return nil
}

func (l *LostNodes) reschedule(ctx context.Context, node view.Node, pod *corev1.Pod) error {
	if l.options.Rescheduled == nil || !isInstance(pod) || pod.DeletionTimestamp != nil {
		return nil
	}
	instance := l.options.View.FromLivePod(pod)
	err := l.options.Rescheduled(ctx, LostInstance{
		LRP: instance.LRPIdentifier, Index: instance.Index, GUID: string(pod.UID), Node: node.Name, Since: node.Ready.Since,
	})
	if err != nil {
		return fmt.Errorf("report that it is rescheduled: %w", err)
	}
	return nil
}

// keep says that a pod with claims stays, once for each time that its node is lost.
func (l *LostNodes) keep(node view.Node, pod *corev1.Pod) {
	l.mutex.Lock()
	if l.kept[node.Name] == nil {
		l.kept[node.Name] = map[types.UID]struct{}{}
	}
	l.kept[node.Name][pod.UID] = struct{}{}
	l.mutex.Unlock()
	l.tell(node, pod, corev1.EventTypeWarning, "KeptOnLostNode", "its pod stays, because it has volumes to which it may still write")
}

func (l *LostNodes) isKept(node view.Node, pod *corev1.Pod) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	_, kept := l.kept[node.Name][pod.UID]
	return kept
}

func (l *LostNodes) forgetKept(node string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	delete(l.kept, node)
}

// tell writes to the log, and as an Event to the pod's owner, what became of a pod.
func (l *LostNodes) tell(node view.Node, pod *corev1.Pod, kind, reason, outcome string) {
	about := &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}
	if owner := metav1.GetControllerOfNoCopy(pod); owner != nil {
		about = &corev1.ObjectReference{APIVersion: owner.APIVersion, Kind: owner.Kind, Namespace: pod.Namespace, Name: owner.Name, UID: owner.UID}
	}
	who := "pod " + pod.Name
	if isInstance(pod) {
		who = fmt.Sprintf("instance %d", l.options.View.FromLivePod(pod).Index)
	}
	silence := l.options.Clock.Since(node.Ready.Since).Round(time.Second)
	l.options.Events.Eventf(about, kind, reason, "%s was on node %s, which has not reported for %s: %s", who, node.Name, silence, outcome)
	l.logger.Info("pod-on-lost-node", lager.Data{
		"pod": pod.Name, "uid": pod.UID, "process_guid": pod.Annotations[keys.ProcessGUID], "source_type": pod.Labels[keys.SourceType],
		"node": node.Name, "silent_for": silence.String(), "outcome": outcome,
	})
}
