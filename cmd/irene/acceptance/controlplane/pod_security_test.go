//go:build controlplane

package controlplane_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/controlplane"
)

var _ = Describe("Restricted Pod Security", func() {
	It("is enforced where the specs run", func(ctx context.Context) {
		_, err := api.CoreV1().Pods(common.Namespace).Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "careless"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "127.0.0.1:1/c"}}},
		}, metav1.CreateOptions{})
		Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
		Expect(err).To(MatchError(ContainSubstring("PodSecurity")))
	}, patience)

	It("admits buildpack apps, which run as vcap without any right that they don't need", func(ctx context.Context) {
		d := controlplane.App("secure")
		controlplane.RunApp(ctx, irene, d)
		pods := common.Pods(ctx, d.GUID())
		Expect(pods).To(HaveLen(1))
		spec := pods[0].Spec
		Expect(spec.SecurityContext.RunAsNonRoot).To(HaveValue(BeTrue()))
		Expect(spec.SecurityContext.RunAsUser).To(HaveValue(BeEquivalentTo(2000)))
		Expect(spec.SecurityContext.RunAsGroup).To(HaveValue(BeEquivalentTo(2000)))
		Expect(spec.SecurityContext.FSGroup).To(HaveValue(BeEquivalentTo(2000)))
		Expect(spec.SecurityContext.SeccompProfile.Type).To(Equal(corev1.SeccompProfileTypeRuntimeDefault))
		Expect(spec.AutomountServiceAccountToken).To(HaveValue(BeFalse()))
		Expect(spec.EnableServiceLinks).To(HaveValue(BeFalse()))
		Expect(spec.Volumes).To(BeEmpty(), "no token either")
		own := spec.Containers[0].SecurityContext
		Expect(own.AllowPrivilegeEscalation).To(HaveValue(BeFalse()))
		Expect(own.Capabilities.Drop).To(ConsistOf(corev1.Capability("ALL")))
		Expect(own.Capabilities.Add).To(BeEmpty())
	}, patience)
})
