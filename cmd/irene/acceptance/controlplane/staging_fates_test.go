//go:build controlplane

package controlplane_test

import (
	"context"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/stager/steps"
)

// fate is one end of a build, and what Cloud Controller must hear of it.
type fate struct {
	name string
	// wanted is what is particular in the request. A build with something in it never
	// gets onto the node.
	wanted standin.Build
	// play is nil where nothing needs to happen.
	play func(ctx context.Context, b *reported)
	// deleted is whether the Job is, so that no tombstone stays.
	deleted bool
	state   standin.State
	id      string
	message string
}

// deletedWith deletes the Job as somebody with kubectl may.
func deletedWith(propagation metav1.DeletionPropagation) func(ctx context.Context, b *reported) {
	return func(ctx context.Context, b *reported) {
		Expect(api.BatchV1().Jobs(b.home.Namespace).Delete(ctx, b.jobName(), metav1.DeleteOptions{PropagationPolicy: &propagation})).To(Succeed())
		// No kubelet says that the pod has ended, for which a deletion in the foreground waits.
		now := metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}
		Expect(api.CoreV1().Pods(b.home.Namespace).DeleteCollection(ctx, now, of(b.GUID))).To(Succeed())
	}
}

// fates are all kinds that can be played without kubelet.
var fates = []fate{
	{name: "staged", play: func(ctx context.Context, b *reported) { b.succeeds(ctx) }, state: standin.Staged},
	{name: "not detected", play: func(ctx context.Context, b *reported) { b.detectFails(ctx) },
		state: standin.Failed, id: "NoAppDetectedError", message: "no buildpack wants it"},
	{name: "out of memory", play: func(ctx context.Context, b *reported) {
		b.buildFails(ctx, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}})
	}, state: standin.Failed, id: "StagingError", message: "Staging ran out of memory: limit 5242880M"},
	{name: "out of disk", play: func(ctx context.Context, b *reported) {
		b.report(ctx, func(s *corev1.PodStatus) {
			s.Phase, s.Reason = corev1.PodFailed, "Evicted"
			s.Message = `Usage of EmptyDir volume "workspace" exceeds the limit "4Gi".`
		})
	}, state: standin.Failed, id: "StagingError", message: "Staging ran out of disk: limit 4096M"},
	{name: "too late", play: func(ctx context.Context, b *reported) {
		b.report(ctx, func(s *corev1.PodStatus) {
			s.Phase, s.Reason, s.Message = corev1.PodFailed, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"
		})
	}, state: standin.Failed, id: "StagingTimeExpired", message: "longer than 15 min"},
	{name: "not pulled", play: func(ctx context.Context, b *reported) {
		b.report(ctx, func(s *corev1.PodStatus) {
			began := metav1.NewTime(time.Now().Add(-time.Minute))
			s.Phase, s.StartTime = corev1.PodPending, &began
			s.InitContainerStatuses = []corev1.ContainerStatus{
				step(steps.FetchStep, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "manifest unknown"}}),
			}
		})
	}, state: standin.Failed, id: "StagerError", message: "pull the image for step fetch of staging: not found"},
	{name: "canceled", play: func(ctx context.Context, b *reported) {
		b.home.insists(ctx, http.MethodDelete, b.path(), nil, http.StatusNoContent)
	}, state: standin.Failed, id: "StagingError", message: "Staging was canceled"},
	{name: "deleted", deleted: true, play: deletedWith(metav1.DeletePropagationBackground),
		state: standin.Failed, id: "StagingError", message: "somebody deleted its Job"},
	{name: "deleted in the foreground", deleted: true, play: deletedWith(metav1.DeletePropagationForeground),
		state: standin.Failed, id: "StagingError", message: "somebody deleted its Job"},
	{name: "node lost", play: func(ctx context.Context, b *reported) {
		b.report(ctx, func(s *corev1.PodStatus) {
			s.Phase = corev1.PodRunning
			s.Conditions = append(s.Conditions, corev1.PodCondition{
				Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByTaintManager", LastTransitionTime: metav1.Now(),
			})
		})
		Expect(api.CoreV1().Pods(b.home.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, of(b.GUID))).To(Succeed())
	}, state: standin.Failed, id: "StagingError", message: "its node was lost"},
	{name: "no room", wanted: standin.Build{DiskMB: 200 << 20}, state: standin.Failed, id: "InsufficientResources", message: "Insufficient ephemeral-storage"},
	{name: "no image", wanted: standin.Build{Image: "127.0.0.1:1/nothing:1"}, state: standin.Failed, id: "StagingError", message: "The image can't be used"},
}

// begins asks for a build of this fate.
func (f fate) begins(ctx context.Context, place *reporting) *reported {
	GinkgoHelper()
	b := place.newBuild(f.wanted)
	place.insists(ctx, http.MethodPost, b.path(), b.build, http.StatusAccepted)
	if f.play != nil {
		place.placed(ctx, b.build)
	}
	return b
}

// comes to a build.
func (f fate) comes(ctx context.Context, b *reported) {
	GinkgoHelper()
	if f.play != nil {
		f.play(ctx, b)
	}
}

// met wants Cloud Controller to have heard of this fate and of no other.
func (f fate) met(ctx context.Context, b *reported) {
	GinkgoHelper()
	ended := b.ended(ctx)
	Expect(ended.State).To(Equal(f.state), "%s: %s", ended.ErrorID, ended.ErrorMessage)
	Expect(ended.ErrorID).To(Equal(f.id))
	Expect(ended.ErrorMessage).To(ContainSubstring(f.message))
	if f.state == standin.Staged {
		Expect(ended.ProcessTypes).To(Equal(map[string]string{"web": "./server"}))
	}
	for _, request := range b.received() {
		Expect(string(request.Body)).To(Equal(string(b.received()[0].Body)))
	}
}
