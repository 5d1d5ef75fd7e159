//go:build chart

package helm_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// withBBS switches the BBS door on.
const withBBS = "bbs.enabled=true,bbs.clientNames={cloud-controller},bbs.tls.clientCA.secret=ca,bbs.tls.clientCA.key=ca.crt"

// rendered returns the objects of the chart with the values minimal and further arguments, by
// kind, namespace and name.
func rendered(t *testing.T, args ...string) map[string]string {
	t.Helper()
	g := NewWithT(t)
	printed, complaints, err := template(append([]string{"--values", values("minimal")}, args...)...)
	g.Expect(err).NotTo(HaveOccurred(), complaints)
	objects := map[string]string{}
	for document := range strings.SplitSeq(printed, "\n---\n") {
		var object metav1.PartialObjectMetadata
		g.Expect(yaml.Unmarshal([]byte(document), &object)).To(Succeed())
		objects[object.Kind+" "+object.Namespace+"/"+object.Name] = document
	}
	return objects
}

func decoded[T any](t *testing.T, objects map[string]string, name string) T {
	t.Helper()
	g := NewWithT(t)
	g.Expect(objects).To(HaveKey(name))
	var object T
	g.Expect(yaml.UnmarshalStrict([]byte(objects[name]), &object)).To(Succeed())
	return object
}

func TestServicesUnderFurtherNames(t *testing.T) {
	g := NewWithT(t)
	objects := rendered(t, "--set", withBBS+",service.name=opi,service.clusterDomain=cluster.example,"+
		"tls.certManager.enabled=true,tls.certManager.issuerRef.name=i",
		"--set-json", `service.aliases=[{"name":"irene-8484","opiPort":8484},{"name":"bbs","namespace":"cf-system"}]`)

	main := decoded[corev1.Service](t, objects, "Service irene/opi")
	own := decoded[corev1.Service](t, objects, "Service irene/irene-8484")
	g.Expect(own.Spec.Selector).To(Equal(main.Spec.Selector))
	g.Expect(own.Spec.Ports).To(ConsistOf(
		corev1.ServicePort{Name: "api", Port: 8484, TargetPort: intstr.FromString("api")},
		corev1.ServicePort{Name: "bbs", Port: 8889, TargetPort: intstr.FromString("bbs")}))

	elsewhere := decoded[corev1.Service](t, objects, "Service cf-system/bbs")
	g.Expect(elsewhere.Spec).To(Equal(corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "opi.irene.svc.cluster.example"}))

	certificate := decoded[struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
		Spec              map[string]any `json:"spec"`
	}](t, objects, "Certificate irene/irene")
	g.Expect(certificate.Spec["dnsNames"]).To(ConsistOf("opi.irene.svc", "opi.irene.svc.cluster.example",
		"irene-8484.irene", "irene-8484.irene.svc", "irene-8484.irene.svc.cluster.example",
		"bbs.cf-system", "bbs.cf-system.svc", "bbs.cf-system.svc.cluster.example"))
}

func TestServiceForCallersOutsideOfTheCluster(t *testing.T) {
	g := NewWithT(t)
	objects := rendered(t, "--set", withBBS+",service.type=LoadBalancer,service.nodePorts.opi=30085,service.nodePorts.bbs=30889,"+
		"service.externalTrafficPolicy=Local,service.loadBalancerClass=example.org/internal,service.loadBalancerSourceRanges={192.0.2.0/24}")
	spec := decoded[corev1.Service](t, objects, "Service irene/irene").Spec
	g.Expect(spec.Ports).To(HaveExactElements(HaveField("NodePort", BeEquivalentTo(30085)), HaveField("NodePort", BeEquivalentTo(30889))))
	g.Expect(spec.ExternalTrafficPolicy).To(Equal(corev1.ServiceExternalTrafficPolicyLocal))
	g.Expect(spec.LoadBalancerClass).To(HaveValue(Equal("example.org/internal")))
	g.Expect(spec.LoadBalancerSourceRanges).To(Equal([]string{"192.0.2.0/24"}))
}

func TestNamesThatIreneResolves(t *testing.T) {
	g := NewWithT(t)
	objects := rendered(t, "--set", "dnsPolicy=None,dnsConfig.nameservers={192.0.2.53},dnsConfig.searches={cf.internal}", "--set-json", `hostAliases=[{"ip":"192.0.2.10","hostnames":["uaa.service.cf.internal"]}]`,
		"--set-json", `dnsConfig.options=[{"name":"ndots","value":"2"}]`)
	pod := decoded[appsv1.Deployment](t, objects, "Deployment irene/irene").Spec.Template.Spec
	g.Expect(pod.DNSPolicy).To(Equal(corev1.DNSNone))
	g.Expect(pod.DNSConfig).To(HaveValue(Equal(corev1.PodDNSConfig{
		Nameservers: []string{"192.0.2.53"}, Searches: []string{"cf.internal"}, Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: new("2")}},
	})))
	g.Expect(pod.HostAliases).To(Equal([]corev1.HostAlias{{IP: "192.0.2.10", Hostnames: []string{"uaa.service.cf.internal"}}}))
}

// keysOf returns which key of which Secret each file of irene's configuration is.
func keysOf(t *testing.T, objects map[string]string) map[string]string {
	t.Helper()
	keys := map[string]string{}
	for _, volume := range decoded[appsv1.Deployment](t, objects, "Deployment irene/irene").Spec.Template.Spec.Volumes {
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			for _, item := range source.Secret.Items {
				keys[item.Path] = source.Secret.Name + "/" + item.Key
			}
		}
	}
	return keys
}

func TestKeysOfCertificates(t *testing.T) {
	g := NewWithT(t)
	quarks := "tls.secretKeys.certificate=certificate,tls.secretKeys.privateKey=private_key,"
	g.Expect(keysOf(t, rendered(t, "--set", quarks+withBBS))).To(And(
		HaveKeyWithValue("listen.tls.certificate_file", "irene-tls/certificate"),
		HaveKeyWithValue("listen.tls.key_file", "irene-tls/private_key"),
		HaveKeyWithValue("bbs.listen.tls.certificate_file", "irene-tls/certificate"),
		HaveKeyWithValue("bbs.listen.tls.key_file", "irene-tls/private_key")), "the BBS door has the first one's Secret")
	g.Expect(keysOf(t, rendered(t, "--set", quarks+withBBS+",bbs.tls.secretName=bbs"))).To(And(
		HaveKeyWithValue("bbs.listen.tls.certificate_file", "bbs/tls.crt"),
		HaveKeyWithValue("bbs.listen.tls.key_file", "bbs/tls.key")), "a Secret of its own has keys of its own")
	g.Expect(keysOf(t, rendered(t, "--set", withBBS+",bbs.tls.secretName=bbs,bbs.tls.secretKeys.certificate=c,bbs.tls.secretKeys.privateKey=k"))).To(And(
		HaveKeyWithValue("bbs.listen.tls.certificate_file", "bbs/c"),
		HaveKeyWithValue("bbs.listen.tls.key_file", "bbs/k")))
}
