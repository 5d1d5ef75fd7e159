//go:build controlplane

package controlplane_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/irene-cf/irene/fixtures/controlplane"
)

// documentedManifests is what the Helm chart renders with the values that documents show.
const documentedManifests = "../../../../deploy/helm/testdata/platforms/*.golden.yaml"

var _ = Describe("A platform with names of its own", func() {
	It("has them in the pods of apps", func(ctx context.Context) {
		p := newPlatform(ctx, direct(), map[string]any{"kubernetes": map[string]any{"pods": map[string]any{
			"host_aliases": []any{map[string]any{"ip": "192.0.2.10", "hostnames": []string{"credhub.service.cf.internal"}}},
			"dns":          map[string]any{"policy": "None", "nameservers": []string{"192.0.2.53"}, "options": []string{"ndots:2"}},
		}}})
		irene := p.Start(ctx)
		d := controlplane.App("named")
		controlplane.RunApp(ctx, irene, d)
		pods := p.Pods(ctx, d.GUID())
		Expect(pods).NotTo(BeEmpty())
		for _, pod := range pods {
			Expect(pod.Spec.HostAliases).To(Equal([]corev1.HostAlias{{IP: "192.0.2.10", Hostnames: []string{"credhub.service.cf.internal"}}}))
			Expect(pod.Spec.DNSPolicy).To(Equal(corev1.DNSNone))
			Expect(pod.Spec.DNSConfig.Nameservers).To(Equal([]string{"192.0.2.53"}))
			Expect(pod.Spec.DNSConfig.Options).To(ConsistOf(HaveField("Name", "ndots")))
		}
	}, patience)

	It("gets a chart of its documented values that the API server takes", func(ctx context.Context) {
		files, err := filepath.Glob(documentedManifests)
		Expect(err).NotTo(HaveOccurred())
		Expect(files).NotTo(BeEmpty())
		options := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}
		for _, file := range files {
			content, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			for document := range strings.SplitSeq(string(content), "\n---\n") {
				object, _, err := scheme.Codecs.UniversalDeserializer().Decode([]byte(document), nil, nil)
				Expect(err).NotTo(HaveOccurred(), document)
				// Namespaces of the documents are not here.
				object.(metav1.Object).SetNamespace(common.Namespace)
				switch object := object.(type) {
				case *corev1.Service:
					_, err = api.CoreV1().Services(common.Namespace).Create(ctx, object, options)
				case *corev1.ConfigMap:
					_, err = api.CoreV1().ConfigMaps(common.Namespace).Create(ctx, object, options)
				case *appsv1.Deployment:
					_, err = api.AppsV1().Deployments(common.Namespace).Create(ctx, object, options)
				case *networkingv1.NetworkPolicy:
					_, err = api.NetworkingV1().NetworkPolicies(common.Namespace).Create(ctx, object, options)
				default:
					Fail("an object of another kind: " + document)
				}
				Expect(err).NotTo(HaveOccurred(), "%s: %s", file, document)
			}
		}
	}, patience)
})
