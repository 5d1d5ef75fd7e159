package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"code.cloudfoundry.org/lager/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/k8s/apierror"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/view"
)

// rollMinAge is how long the pods of an LRP that is being moved must be there before
// anyone but the roll ends the move: a roll that lives does so within seconds.
const rollMinAge = 5 * time.Minute

// unsettled is whether an instance that is desired is not ready yet on what the
// template says.
func (o Options) unsettled(ctx context.Context, set *appsv1.StatefulSet) (bool, error) {
	held, status := o.View.FromLive(set), set.Status
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
		pod, err := o.podOf(ctx, set, index)
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
func (o Options) podOf(ctx context.Context, set *appsv1.StatefulSet, index int) (*corev1.Pod, error) {
	name := fmt.Sprintf("%s-%d", set.Name, index)
	pod, err := o.Client.CoreV1().Pods(set.Namespace).Get(ctx, name, metav1.GetOptions{})
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
func (o Options) endRoll(ctx context.Context, set *appsv1.StatefulSet) error {
	if !underWay(set) {
		return nil
	}
	patch := &live.Patch{Metadata: live.Metadata{Annotations: map[string]*string{keys.StackRoll: nil}}}
	held := o.View.FromLive(set)
	patch.SetReplicas(held.Instances, 0)
	return o.StatefulSets.Patch(ctx, set, patch)
}

// endAbandonedRoll takes back what a roll has left behind with an LRP that does not
// need it. Where the desired instances are not well on what the template says, it
// stays: to take a surge away might be what takes the app down, and the next roll has
// to know the way back.
func (c *Companions) endAbandonedRoll(ctx context.Context, lrp view.LRP) error {
	if lrp.Surge == 0 && !lrp.Moving {
		return nil
	}
	for _, pod := range c.options.View.Pods(lrp.UID) {
		if wait := rollMinAge - c.options.Clock.Since(pod.Created); wait > 0 {
			c.loop.enqueue(lrp.LRPIdentifier, wait)
			return nil
		}
	}
	set, err := c.options.StatefulSets.Get(ctx, lrp.Name, lrp.UID)
	if errors.Is(err, live.ErrStopped) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("end abandoned roll: %w", err)
	}
	unsettled, err := c.options.unsettled(ctx, set)
	if err != nil {
		return fmt.Errorf("end abandoned roll: %w", err)
	}
	if unsettled {
		c.loop.enqueue(lrp.LRPIdentifier, rollMinAge)
		return nil
	}
	err = c.options.endRoll(ctx, set)
	if errors.Is(err, live.ErrChanged) {
		return nil // its event brings us back
	}
	if err != nil {
		return fmt.Errorf("end abandoned roll: %w", err)
	}
	c.logger.Info("abandoned-roll-ended", lager.Data{"process_guid": lrp.ProcessGUID(), "statefulset": lrp.Name})
	return nil
}
