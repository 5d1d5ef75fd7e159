package events

import (
	"testing"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/irene-cf/irene/k8s/keys"
)

func TestJobsAreCountedByState(t *testing.T) {
	g := NewWithT(t)
	labels := map[string]string{keys.SourceType: keys.SourceTypeStaging}
	job := func(name string, annotations map[string]string) *batchv1.Job {
		return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: name, UID: types.UID(name), Labels: labels, Annotations: annotations}}
	}
	pod := func(owner *batchv1.Job, phase corev1.PodPhase) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: owner.Name, Labels: labels,
				OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, batchv1.SchemeGroupVersion.WithKind("Job"))}},
			Status: corev1.PodStatus{Phase: phase},
		}
	}
	outcome := map[string]string{keys.Outcome: "{}"}
	waiting, running, ended := job("waiting", nil), job("running", nil), job("ended", outcome)
	client := fake.NewClientset(waiting, running, ended, job("not-started", nil),
		job("told", map[string]string{keys.Outcome: "{}", keys.OutcomeAnswer: "200 2026-01-01T00:00:00Z"}),
		pod(waiting, corev1.PodPending), pod(running, corev1.PodRunning), pod(ended, corev1.PodRunning))
	ignore := func(string) {}
	shown, err := watch(client, "apps", keys.SourceType, ignore, ignore)
	g.Expect(err).NotTo(HaveOccurred())

	counted := &jobsByState{kinds: []string{keys.SourceTypeStaging}}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(counted)
	counts := func() map[string]float64 {
		families, err := registry.Gather()
		g.Expect(err).NotTo(HaveOccurred())
		states := map[string]float64{}
		for _, family := range families {
			for _, metric := range family.Metric {
				states[metric.Label[0].GetValue()+" "+metric.Label[1].GetValue()] = metric.Gauge.GetValue()
			}
		}
		return states
	}
	g.Expect(counts()).To(BeEmpty(), "this replica does not lead")
	shown.factory.Start(t.Context().Done())
	shown.factory.WaitForCacheSync(t.Context().Done())
	counted.show(shown)
	g.Expect(counts()).To(Equal(map[string]float64{"STG waiting": 2, "STG running": 1, "STG ended": 1, "STG tombstone": 1}))
	counted.show(nil)
	g.Expect(counts()).To(BeEmpty())
}
