//go:build controlplane

package controlplane_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
)

// silentNode is a node without kubelet: the spec says what the status of its pods
// is. Nothing reports that it lives, so Kubernetes takes it for lost after a while
// (see node-monitor-grace-period in the suite's set-up), unless the spec has it
// report.
type silentNode struct {
	name, segment string
}

// newSilentNode is one in a segment of its own.
func newSilentNode(ctx context.Context) *silentNode {
	GinkgoHelper()
	name := "silent-" + cloudcontroller.NewGUID()[:8]
	return newSilentNodeIn(ctx, name, name)
}

func newSilentNodeIn(ctx context.Context, segment, name string) *silentNode {
	GinkgoHelper()
	room := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("100"),
		corev1.ResourceMemory:           resource.MustParse("1Ti"),
		corev1.ResourceEphemeralStorage: resource.MustParse("1Ti"),
		corev1.ResourcePods:             resource.MustParse("100"),
	}
	_, err := api.CoreV1().Nodes().Create(ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelHostname: name, "cloudfoundry.org/isolation-segment": segment,
		}},
		Status: corev1.NodeStatus{
			Capacity: room, Allocatable: room,
			Conditions: []corev1.NodeCondition{{
				Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
				LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
			}},
		},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx context.Context) error {
		return api.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{})
	})
	return &silentNode{name: name, segment: segment}
}

// reports lets the node report that it is ready, now and until the spec ends.
func (n *silentNode) reports(ctx context.Context) {
	GinkgoHelper()
	Expect(n.report(ctx)).To(Succeed())
	life, end := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer GinkgoRecover()
		defer close(ended)
		ticker := time.NewTicker(5 * time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-life.Done():
				return
			case <-ticker.C:
			}
			if err := n.report(life); life.Err() == nil {
				Expect(err).NotTo(HaveOccurred())
			}
		}
	}()
	DeferCleanup(func() {
		end()
		<-ended
	})
}

func (n *silentNode) report(ctx context.Context) error {
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		node, err := api.CoreV1().Nodes().Get(ctx, n.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for i := range node.Status.Conditions {
			condition := &node.Status.Conditions[i]
			if condition.Type != corev1.NodeReady {
				continue
			}
			condition.LastHeartbeatTime = metav1.Now()
			if condition.Status != corev1.ConditionTrue {
				condition.Status, condition.LastTransitionTime = corev1.ConditionTrue, metav1.Now()
			}
		}
		_, err = api.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
		return err
	})
}

// readiness is what Kubernetes believes: Unknown once it noticed the silence.
func (n *silentNode) readiness(ctx context.Context) func() corev1.ConditionStatus {
	return func() corev1.ConditionStatus {
		node, err := api.CoreV1().Nodes().Get(ctx, n.name, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady {
				return condition.Status
			}
		}
		return ""
	}
}

// settle desires an app on the node and waits until its instances are claimed.
func (p *platform) settle(ctx context.Context, node *silentNode, d cloudcontroller.Desire) {
	GinkgoHelper()
	DeferCleanup(func(ctx context.Context) {
		Expect(irene.Client.Stop(ctx, d.GUID(), d.Version())).To(answered(200))
		Eventually(func(g Gomega) { // there is no kubelet to end the pods
			pods := p.pods(ctx, d.GUID())
			for _, pod := range pods {
				_ = api.CoreV1().Pods(p.namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))})
			}
			g.Expect(pods).To(BeEmpty())
			g.Expect(p.statefulSets(ctx, d.GUID())).To(BeEmpty())
		}).Should(Succeed())
	})
	desire(ctx, irene, d.With("placement_tags", []string{node.segment}))
	claimed := []string{}
	for range instancesOf(d) {
		claimed = append(claimed, "CLAIMED")
	}
	states(ctx, irene, d, claimed...)
}

// report writes the status of the instance's pod as a kubelet would.
func (p *platform) report(ctx context.Context, d cloudcontroller.Desire, index string, change func(*corev1.PodStatus)) {
	GinkgoHelper()
	name := p.statefulSet(ctx, d.GUID()).Name + "-" + index
	Expect(retry.RetryOnConflict(retry.DefaultRetry, func() error {
		pod, err := api.CoreV1().Pods(p.namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(&pod.Status)
		_, err = api.CoreV1().Pods(p.namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		return err
	})).To(Succeed())
}

// runs is the status of a pod whose container runs since then.
func runs(since time.Time, started, ready bool) func(*corev1.PodStatus) {
	return func(s *corev1.PodStatus) {
		s.Phase = corev1.PodRunning
		s.PodIP = "10.215.250.1"
		s.PodIPs = []corev1.PodIP{{IP: s.PodIP}}
		s.StartTime = ptr.To(metav1.NewTime(since))
		s.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "opi", Started: &started, Ready: ready,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(since)}},
		}}
		conditions(s, ready)
	}
}

// waits is the status of a pod whose container waits, after last if that is given.
func waits(reason, message string, last *corev1.ContainerStateTerminated) func(*corev1.PodStatus) {
	return func(s *corev1.PodStatus) {
		s.Phase = corev1.PodPending
		if last != nil {
			s.Phase = corev1.PodRunning
		}
		s.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "opi", Started: ptr.To(false),
			State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
			LastTerminationState: corev1.ContainerState{Terminated: last},
		}}
		conditions(s, false)
	}
}

// conditions are what a kubelet makes of a container's readiness.
func conditions(s *corev1.PodStatus, ready bool) {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	kept := []corev1.PodCondition{}
	for _, condition := range s.Conditions {
		if condition.Type != corev1.PodReady && condition.Type != corev1.ContainersReady {
			kept = append(kept, condition)
		}
	}
	now := metav1.Now()
	s.Conditions = append(kept,
		corev1.PodCondition{Type: corev1.ContainersReady, Status: status, LastTransitionTime: now},
		corev1.PodCondition{Type: corev1.PodReady, Status: status, LastTransitionTime: now})
}
