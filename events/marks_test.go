package events

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/k8s/keys"
)

func TestMarks(t *testing.T) {
	g := NewWithT(t)
	at := time.Date(2026, 11, 23, 13, 0, 0, 0, time.FixedZone("", 3600))
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{}}}
	g.Expect(answered(job)).To(BeFalse())
	for _, mark := range []string{statusMark(Answer{Status: 204}, at), answerMark(noCallback, at)} {
		job.Annotations[keys.OutcomeAnswer] = mark
		g.Expect(answered(job)).To(BeTrue())
		g.Expect(answeredAt(job)).To(BeTemporally("==", at))
	}
	g.Expect(statusMark(Answer{Status: 204}, at)).To(Equal("204 2026-11-23T12:00:00Z"))
	job.Annotations[keys.OutcomeAnswer] = "by hand"
	g.Expect(answeredAt(job)).To(BeZero())
	job.Annotations[keys.Outcome] = "by hand"
	_, err := readOutcome(job)
	g.Expect(err).To(MatchError(ContainSubstring("somebody must have changed")))
}

func TestSlim(t *testing.T) {
	g := NewWithT(t)
	limits := corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}}
	container := corev1.Container{Name: "build", Image: "image", Resources: limits, Command: []string{"c"}, Env: []corev1.EnvVar{{Name: "A", Value: "secret"}}}
	spec := corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{container}, InitContainers: []corev1.Container{container}, Volumes: []corev1.Volume{{Name: "v"}}}
	kept := corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: "build", Image: "image", Resources: limits}}}
	kept.InitContainers = kept.Containers
	meta := metav1.ObjectMeta{Name: "n", ManagedFields: []metav1.ManagedFieldsEntry{{}}, Annotations: map[string]string{keys.Outcome: "{}", corev1.LastAppliedConfigAnnotation: "x"}}

	pod, err := slim(&corev1.Pod{ObjectMeta: *meta.DeepCopy(), Spec: *spec.DeepCopy()})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(pod.(*corev1.Pod).Spec).To(Equal(kept))
	g.Expect(pod.(*corev1.Pod).ManagedFields).To(BeNil())

	job := &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: spec}}}
	_, err = slim(job)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(job.Spec.Template.Spec).To(Equal(kept))
	g.Expect(job.Annotations).To(Equal(map[string]string{keys.Outcome: "{}"}))
	job.Annotations[keys.OutcomeAnswer] = "200 2026-11-23T12:00:00Z"
	_, err = slim(job)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(job.Spec.Template).To(Equal(corev1.PodTemplateSpec{}))
	g.Expect(job.Annotations).NotTo(HaveKey(keys.Outcome))
}
