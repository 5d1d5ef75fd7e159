package main

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/render"
)

func TestNamesThatPodsResolve(t *testing.T) {
	g := NewWithT(t)
	config, err := parseConfiguration([]byte(required))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(renderSettings(config).Names).To(Equal(render.NameResolution{}), "pods stay as they are by default")

	config, err = parseConfiguration([]byte(strings.Replace(required, "namespace: apps", `namespace: apps, pods: {
  host_aliases: [{ip: 192.0.2.10, hostnames: [credhub.service.cf.internal]}],
  dns: {policy: None, nameservers: [192.0.2.53], searches: [cf.internal], options: ["ndots:2", edns0]}}`, 1)))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(renderSettings(config).Names).To(Equal(render.NameResolution{
		HostAliases: []corev1.HostAlias{{IP: "192.0.2.10", Hostnames: []string{"credhub.service.cf.internal"}}},
		Policy:      corev1.DNSNone,
		Config: &corev1.PodDNSConfig{
			Nameservers: []string{"192.0.2.53"}, Searches: []string{"cf.internal"},
			Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: new("2")}, {Name: "edns0"}},
		},
	}))
	staging, err := stagingSettings(config, renderSettings(config))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(staging.Names).To(Equal(renderSettings(config).Names), "builds as apps")
}
