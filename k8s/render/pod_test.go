package render_test

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/render"
)

func TestNameResolutionOfInstances(t *testing.T) {
	g := NewWithT(t)
	lrp := goldenLRP(t)
	_, before := objects(t, lrp)
	g.Expect(before.Spec.Template.Spec.DNSPolicy).To(BeEmpty(), "Kubernetes' default")

	settings := goldenSettings()
	settings.Names = render.NameResolution{
		HostAliases: []corev1.HostAlias{{IP: "192.0.2.10", Hostnames: []string{"credhub.service.cf.internal"}}},
		Policy:      corev1.DNSNone,
		Config:      &corev1.PodDNSConfig{Nameservers: []string{"192.0.2.53"}},
	}
	_, set, err := settings.LRP(lrp, render.ResolvedImage{}, "", testKey)
	g.Expect(err).NotTo(HaveOccurred())
	spec := set.Spec.Template.Spec
	g.Expect(spec.HostAliases).To(Equal(settings.Names.HostAliases))
	g.Expect(spec.DNSPolicy).To(Equal(corev1.DNSNone))
	g.Expect(spec.DNSConfig).To(Equal(settings.Names.Config))
	g.Expect(set.Annotations).To(HaveKeyWithValue("irene.cloudfoundry.org/request-digest", before.Annotations["irene.cloudfoundry.org/request-digest"]),
		"the same request")
}
