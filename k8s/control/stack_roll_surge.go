package control

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/view"
)

// moves looks at how far LRPs are that are moved to another revision of their stack, and ends
// moves. StackRoll and Companions have one each.
type moves struct {
	view interface {
		FromLive(*appsv1.StatefulSet) view.LRP
	}
	pods coreclient.PodsGetter
	sets interface {
		Patch(context.Context, *appsv1.StatefulSet, *live.Patch) error
	}
}

// unsettled is whether an instance that is desired is not ready yet on what the
// template says.
func (m moves) unsettled(ctx context.Context, set *appsv1.StatefulSet) (bool, error) {
	held, status := m.view.FromLive(set), set.Status
	switch {
	case held.Instances == 0:
		return false, nil
	case status.ObservedGeneration < set.Generation:
		return true, nil
	case held.Surge == 0:
		return status.Replicas != *set.Spec.Replicas || status.UpdatedReplicas != status.Replicas || status.ReadyReplicas != status.Replicas, nil
	}
	// The status counts what is beyond the desired instances, too.
	for index := range held.Instances {
		pod, err := m.podOf(ctx, set, index)
		if err != nil {
			return false, err
		}
		if pod == nil || !podReady(pod) || pod.Labels[appsv1.StatefulSetRevisionLabel] != status.UpdateRevision {
			return true, nil
		}
	}
	return false, nil
}

// podOf asks the API server for the pod at an index, nil where there is none.
func (m moves) podOf(ctx context.Context, set *appsv1.StatefulSet, index int) (*corev1.Pod, error) {
	name := fmt.Sprintf("%s-%d", set.Name, index)
	pod, err := m.pods.Pods(set.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at pod %s: %w", name, apierror.Classify(err))
	}
	if !metav1.IsControlledBy(pod, set) {
		return nil, nil
	}
	return pod, nil
}

// podReady is whether a pod serves and is to stay.
func podReady(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil {
		return false
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// endRoll takes back what is there only while an LRP is moved.
func (m moves) endRoll(ctx context.Context, set *appsv1.StatefulSet) error {
	if !underWay(set) {
		return nil
	}
	patch := &live.Patch{Metadata: live.Metadata{Annotations: map[string]*string{keys.StackRoll: nil}}}
	held := m.view.FromLive(set)
	patch.SetReplicas(held.Instances, 0)
	return m.sets.Patch(ctx, set, patch)
}
