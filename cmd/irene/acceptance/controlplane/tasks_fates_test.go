//go:build controlplane

package controlplane_test

import (
	"context"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// taskFate is one end of a task, and what Cloud Controller must hear of it.
type taskFate struct {
	name string
	// unplaced tasks never get onto a node.
	unplaced bool
	// play is nil where nothing needs to happen.
	play func(ctx context.Context, t *task)
	// deleted is whether the Job is, so that no tombstone stays.
	deleted bool
	failed  bool
	reason  string
}

// removed takes the pod away at once, as no kubelet does here.
func (t *task) removed(ctx context.Context) {
	GinkgoHelper()
	now := metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}
	Expect(api.CoreV1().Pods(t.home.Namespace).DeleteCollection(ctx, now, of(t.guid))).To(Succeed())
}

func taskDeletedWith(propagation metav1.DeletionPropagation) func(ctx context.Context, t *task) {
	return func(ctx context.Context, t *task) {
		Expect(api.BatchV1().Jobs(t.home.Namespace).Delete(ctx, t.jobName(), metav1.DeleteOptions{PropagationPolicy: &propagation})).To(Succeed())
		t.removed(ctx)
	}
}

// taskFates are all kinds that can be played without kubelet.
var taskFates = []taskFate{
	{name: "well", play: func(ctx context.Context, t *task) { t.exits(ctx, 0, "Completed") }},
	{name: "with a status", play: func(ctx context.Context, t *task) { t.exits(ctx, 3, "Error") }, failed: true, reason: "Exited with status 3"},
	{name: "out of memory", play: func(ctx context.Context, t *task) { t.exits(ctx, 137, "OOMKilled") }, failed: true, reason: "(out of memory: limit 5242880M)"},
	{name: "out of disk", play: func(ctx context.Context, t *task) {
		t.fails(ctx, "Evicted", `Container opi-task exceeded its local ephemeral storage limit "64Mi". `)
	}, failed: true, reason: "The task ran out of disk: limit 64M"},
	{name: "evicted", play: func(ctx context.Context, t *task) {
		t.fails(ctx, "Evicted", "The node was low on resource: memory. ")
	}, failed: true, reason: "its node ran out of memory or disk"},
	{name: "too late", play: func(ctx context.Context, t *task) {
		t.fails(ctx, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
	}, failed: true, reason: "The task took longer than 60 min and was stopped"},
	{name: "not pulled", play: func(ctx context.Context, t *task) { t.waits(ctx, "ImagePullBackOff", "manifest unknown") },
		failed: true, reason: "the platform can't fetch the app's image at present (not found)"},
	{name: "not started", play: func(ctx context.Context, t *task) {
		t.waits(ctx, "CreateContainerConfigError", "image will run as root")
	}, failed: true, reason: "the image runs as root"},
	{name: "canceled", play: func(ctx context.Context, t *task) {
		t.home.insists(ctx, http.MethodDelete, t.path(), nil, http.StatusNoContent)
	}, failed: true, reason: "task was cancelled"},
	{name: "pod deleted", play: func(ctx context.Context, t *task) {
		Expect(api.CoreV1().Pods(t.home.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, of(t.guid))).To(Succeed())
		t.exits(ctx, 143, "Error")
	}, failed: true, reason: "somebody deleted its pod"},
	{name: "deleted", deleted: true, play: taskDeletedWith(metav1.DeletePropagationBackground), failed: true, reason: "somebody deleted its Job"},
	{name: "deleted in the foreground", deleted: true, play: taskDeletedWith(metav1.DeletePropagationForeground), failed: true, reason: "somebody deleted its Job"},
	{name: "node lost", play: func(ctx context.Context, t *task) {
		t.report(ctx, func(s *corev1.PodStatus) {
			s.Phase = corev1.PodRunning
			s.Conditions = append(s.Conditions, corev1.PodCondition{
				Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByTaintManager", LastTransitionTime: metav1.Now(),
			})
		})
		Expect(api.CoreV1().Pods(t.home.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, of(t.guid))).To(Succeed())
	}, failed: true, reason: "its node was lost"},
	{name: "no room", unplaced: true, failed: true, reason: "There was no room to run the task within 4 s"},
}

// begins asks for a task of this fate.
func (f taskFate) begins(ctx context.Context, place *tasking) *task {
	GinkgoHelper()
	t := place.newTask(buildpackTask)
	if f.unplaced {
		t.variable("VCAP_APPLICATION", `{"limits":{"disk":209715200}}`)
	}
	place.insists(ctx, http.MethodPost, t.path(), t.request, http.StatusAccepted)
	if !f.unplaced {
		t.placed(ctx)
	}
	return t
}

// comes to a task.
func (f taskFate) comes(ctx context.Context, t *task) {
	GinkgoHelper()
	if f.play != nil {
		f.play(ctx, t)
	}
}

// met wants Cloud Controller to have heard of this fate and of no other.
func (f taskFate) met(t *task) {
	GinkgoHelper()
	ended := t.ended()
	Expect(ended.Failed).To(Equal(f.failed), ended.FailureReason)
	if f.reason == "" {
		Expect(ended.FailureReason).To(BeEmpty())
	}
	Expect(ended.FailureReason).To(ContainSubstring(f.reason))
	for _, request := range t.received() {
		Expect(string(request.Body)).To(Equal(string(t.received()[0].Body)))
	}
}
