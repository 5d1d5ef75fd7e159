package events

import (
	"testing"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestEndsByItself(t *testing.T) {
	ended := func(status int32) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: status}}
	}
	runs := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	waits := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}
	pod := func(init corev1.ContainerState, main ...corev1.ContainerState) *corev1.Pod {
		p := &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: make([]corev1.Container, len(main))}}
		p.Status.Phase = corev1.PodRunning
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{{State: init}}
		for _, state := range main {
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{State: state})
		}
		return p
	}
	changed := func(p *corev1.Pod, change func(*corev1.Pod)) *corev1.Pod {
		change(p)
		return p
	}
	for name, c := range map[string]struct {
		pods []*corev1.Pod
		want bool
	}{
		"no pod":            {nil, false},
		"done":              {[]*corev1.Pod{pod(ended(0), ended(0))}, true},
		"failed at the end": {[]*corev1.Pod{pod(ended(0), ended(7))}, true},
		"failed before":     {[]*corev1.Pod{pod(ended(7), waits)}, true},
		"a sidecar failed before": {[]*corev1.Pod{changed(pod(ended(7), waits), func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)}}
		})}, false},
		"in the middle":            {[]*corev1.Pod{pod(ended(0), waits)}, false},
		"one of two runs":          {[]*corev1.Pod{pod(ended(0), ended(0), runs)}, false},
		"one of two pods runs":     {[]*corev1.Pod{pod(ended(0), ended(0)), pod(runs, waits)}, false},
		"a status is not there":    {[]*corev1.Pod{changed(pod(ended(0), ended(0)), func(p *corev1.Pod) { p.Spec.Containers = make([]corev1.Container, 2) })}, false},
		"nothing is there yet":     {[]*corev1.Pod{{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: make([]corev1.Container, 1)}}}, false},
		"the pod is evicted":       {[]*corev1.Pod{changed(pod(ended(0), runs), func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed })}, true},
		"the container comes back": {[]*corev1.Pod{changed(pod(ended(0), ended(7)), func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure })}, false},
		"the pod is deleted":       {[]*corev1.Pod{changed(pod(ended(0), ended(0)), func(p *corev1.Pod) { p.DeletionTimestamp = ptr.To(metav1.Now()) })}, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			job := &batchv1.Job{Spec: batchv1.JobSpec{BackoffLimit: ptr.To(int32(0))}}
			g.Expect(endsByItself(job, c.pods)).To(Equal(c.want))
			job.Spec.BackoffLimit = ptr.To(int32(1))
			g.Expect(endsByItself(job, c.pods)).To(BeFalse(), "another pod may be made")
		})
	}
}
