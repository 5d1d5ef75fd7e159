//go:build controlplane

package controlplane_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
)

var _ = Describe("Desiring an app", func() {
	It("runs as many instances as asked for, admitted under restricted Pod Security", func(ctx context.Context) {
		started := time.Now().Add(-2 * time.Second) // pod times are whole seconds
		d := controlplane.App("three").With("instances", 3)
		controlplane.RunApp(ctx, irene, d)

		set := common.StatefulSet(ctx, d.GUID())
		Expect(set.Labels).To(HaveKeyWithValue("cloudfoundry.org/guid", d.GUID()))
		Expect(set.Labels).To(HaveKeyWithValue("cloudfoundry.org/version", d.Version()))
		Expect(set.Spec.Replicas).To(HaveValue(BeEquivalentTo(3)))
		pods := common.Pods(ctx, d.GUID())
		Expect(pods).To(HaveLen(3))
		Expect(pods).To(HaveEach(HaveField("Status.Phase", corev1.PodRunning)))

		instances, err := irene.Instances(ctx, d.GUID(), d.Version())
		Expect(err).NotTo(HaveOccurred())
		for index, instance := range instances {
			Expect(instance.Index).To(Equal(index))
			Expect(instance.PlacementError).To(BeEmpty())
			Expect(instance.SinceTime()).To(BeTemporally(">=", started.Truncate(time.Second)))
			Expect(instance.SinceTime()).To(BeTemporally("<=", time.Now()))
		}
	}, patience)

	It("is known to GET with its instances, routes and annotation", func(ctx context.Context) {
		d := controlplane.App("known").With("instances", 2).Routes("known.example.com/path", 8080)
		controlplane.DesireApp(ctx, irene, d)
		answer, err := irene.Get(ctx, d.GUID(), d.Version())
		Expect(err).NotTo(HaveOccurred())
		Expect(answer).To(controlplane.Answered(200))
		Expect(answer.Body).To(MatchJSON(fmt.Sprintf(`{"desired_lrp":{"process_guid":%q,"instances":2,"annotation":"1584946309.0",
			"routes":{"cf-router":[{"hostname":"known.example.com/path","port":8080}]}}}`, d.ProcessGUID())))
	}, patience)

	It("keeps all its routes, whoever is to serve them, and changes them when it is desired again", func(ctx context.Context) {
		const routes = `{"cf-router":[
				{"hostname":"a.example.com","port":8080},
				{"hostname":"a.example.com","port":9090},
				{"hostname":"*.Example.com/path/","port":8080,"protocol":"http2","route_service_url":"https://service","isolation_segment":"other","options":{"loadbalancing":"round-robin"}}],
			"internal-router":[{"hostname":"a.apps.internal"}]}`
		d := controlplane.App("routed").With("placement_tags", []string{"segment"}).With("routes", json.RawMessage(routes))
		controlplane.DesireApp(ctx, irene, d)
		Expect(heldRoutes(ctx, d)).To(MatchJSON(routes))
		set := common.StatefulSet(ctx, d.GUID())
		Expect(set.Annotations).To(HaveKeyWithValue("irene.cloudfoundry.org/internal-routes", `[{"hostname":"a.apps.internal"}]`))
		Expect(set.Annotations).To(HaveKeyWithValue("irene.cloudfoundry.org/isolation-segment", "segment"))

		const fewer = `{"cf-router":[{"hostname":"a.example.com","port":8080}]}`
		controlplane.DesireApp(ctx, irene, d.Clone().With("routes", json.RawMessage(fewer)))
		Expect(heldRoutes(ctx, d)).To(MatchJSON(fewer))
		Expect(common.StatefulSet(ctx, d.GUID()).Annotations).NotTo(HaveKey("irene.cloudfoundry.org/internal-routes"))
		controlplane.DesireApp(ctx, irene, d)
		Expect(heldRoutes(ctx, d)).To(MatchJSON(routes))
		Expect(common.StatefulSet(ctx, d.GUID()).Spec).To(Equal(set.Spec))
	}, patience)

	It("answers 404 and an empty list of instances, without an error, for what was never desired", func(ctx context.Context) {
		guid, version := cloudcontroller.NewGUID(), cloudcontroller.NewGUID()
		Expect(irene.Get(ctx, guid, version)).To(controlplane.Answered(404))
		answer, err := irene.Call(ctx, "GET", "/apps/"+guid+"/"+version+"/instances", nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer).To(controlplane.Answered(200))
		Expect(answer.Body).To(MatchJSON(fmt.Sprintf(`{"process_guid":"%s-%s","instances":[]}`, guid, version)))
	}, patience)

	It("is seen by the very next GET, list and instances, and no longer after a stop", func(ctx context.Context) {
		for n := range 50 {
			d := controlplane.App(fmt.Sprintf("at-once-%d", n)).With("instances", 2).With("last_updated", fmt.Sprintf("%d.5", n))
			controlplane.DesireApp(ctx, irene, d)
			Expect(irene.Get(ctx, d.GUID(), d.Version())).To(controlplane.Answered(200))
			Expect(controlplane.Annotation(ctx, irene, d)).To(Equal(fmt.Sprintf("%d.5", n)))
			Expect(irene.Instances(ctx, d.GUID(), d.Version())).To(HaveLen(2))

			Expect(irene.Client.Stop(ctx, d.GUID(), d.Version())).To(controlplane.Answered(200))
			Expect(irene.List(ctx)).NotTo(HaveKey(d.ProcessGUID()))
			Expect(irene.Get(ctx, d.GUID(), d.Version())).To(controlplane.Answered(404))
			Expect(irene.Instances(ctx, d.GUID(), d.Version())).To(BeEmpty())
		}
	}, patience)

	DescribeTable("keeps the annotation byte for byte",
		func(ctx context.Context, text string) {
			d := controlplane.App("annotated").With("last_updated", text)
			controlplane.DesireApp(ctx, irene, d)
			Expect(controlplane.Annotation(ctx, irene, d)).To(Equal(text))
			Expect(common.StatefulSet(ctx, d.GUID()).Annotations).To(HaveKeyWithValue("cloudfoundry.org/last_updated", text))
			// As long as the first came by the watch too, not only from the write.
			Consistently(func() string { return controlplane.Annotation(ctx, irene, d) }, "200ms").Should(Equal(text))
		},
		Entry("a float", patience, "1529064800.9"),
		Entry("a float with many digits", patience, "1529064800.9000000000000001"),
		Entry("nothing", patience, ""),
		Entry("zero", patience, "0"),
		Entry("null", patience, "null"),
		Entry("blanks around", patience, "  1.0  "),
		Entry("several lines", patience, "one\ntwo\r\n\tthree"),
		Entry("quotes and markup", patience, `"quoted" \back\ </script> & 'single' $(PORT)`),
		Entry("other scripts", patience, "ünïcödé 漢字 🚀"),
		Entry("10 KiB", patience, strings.Repeat("0123456789abcdef", 640)),
	)

	It("runs a worker without ports and without a health check", func(ctx context.Context) {
		d := controlplane.App("worker").With("process_type", "worker").With("ports", []int{}).With("health_check_type", "process").
			With("routes", map[string]any{"cf-router": []any{}}).Env("PORT", "").Env("VCAP_APP_PORT", "")
		// A worker's process guid is not its app's.
		d["app_guid"] = cloudcontroller.NewGUID()
		controlplane.RunApp(ctx, irene, d)
		Expect(irene.List(ctx)).To(HaveKey(d.ProcessGUID()))
		opi := controlplane.Container(common.StatefulSet(ctx, d.GUID()))
		Expect(opi.Ports).To(BeEmpty())
		Expect(opi.StartupProbe).To(BeNil())
		Expect(opi.LivenessProbe).To(BeNil())
		Expect(opi.ReadinessProbe).To(BeNil())
		Expect(common.Environment(ctx, d.GUID())).To(HaveKeyWithValue("PORT", ""))
	}, patience)

	It("runs a worker whose health check type is still port", func(ctx context.Context) {
		d := controlplane.App("worker").With("process_type", "worker").With("ports", []int{}).With("health_check_type", "port")
		controlplane.RunApp(ctx, irene, d)
	}, patience)

	It("gives a cpu_weight of 100 one CPU, and memory and disk in MiB", func(ctx context.Context) {
		d := controlplane.App("heavy").With("cpu_weight", 100).With("memory_mb", 9000).With("disk_mb", 2048)
		controlplane.RunApp(ctx, irene, d)
		resources := controlplane.Container(common.StatefulSet(ctx, d.GUID())).Resources
		Expect(resources.Requests.Cpu().MilliValue()).To(BeEquivalentTo(1000))
		Expect(resources.Limits.Memory().Value()).To(BeEquivalentTo(9000 << 20))
		Expect(resources.Requests.Memory().Value()).To(BeEquivalentTo(9000 << 20))
		Expect(resources.Limits.StorageEphemeral().Value()).To(BeEquivalentTo(2048 << 20))
	}, patience)

	It("mounts the claims of its volume services", func(ctx context.Context) {
		d := controlplane.App("volumes").With("volume_mounts", []any{
			map[string]any{"volume_id": "claim-1", "mount_dir": "/data/one"},
			map[string]any{"volume_id": "claim-1", "mount_dir": "/data/again"},
		})
		controlplane.DesireApp(ctx, irene, d)
		set := common.StatefulSet(ctx, d.GUID())
		Expect(set.Spec.Template.Spec.Volumes).To(HaveLen(1))
		Expect(set.Spec.Template.Spec.Volumes[0].PersistentVolumeClaim.ClaimName).To(Equal("claim-1"))
		Expect(controlplane.Container(set).VolumeMounts).To(HaveLen(2))
		By("saying so while the claim does not exist")
		Eventually(func(g Gomega) {
			instances, err := irene.Instances(ctx, d.GUID(), d.Version())
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(instances).To(HaveLen(1))
			g.Expect(instances[0].State).To(Equal("UNCLAIMED"))
			g.Expect(instances[0].PlacementError).To(ContainSubstring(`persistentvolumeclaim "claim-1" not found`))
		}).Should(Succeed())
	}, patience)

	It("puts those of the app's own annotations onto its pods that the operator allows, and says which it leaves out", func(ctx context.Context) {
		d := controlplane.App("scraped").With("user_defined_annotations", map[string]any{
			"prometheus.io/scrape": "true", "k8s.v1.cni.cncf.io/networks": "other", "container.apparmor.security.beta.kubernetes.io/opi": "unconfined", "not a key": "x",
		})
		controlplane.RunApp(ctx, irene, d)
		Expect(common.Pods(ctx, d.GUID())).To(HaveEach(HaveField("Annotations", SatisfyAll(
			HaveKeyWithValue("prometheus.io/scrape", "true"),
			Not(HaveKey("k8s.v1.cni.cncf.io/networks")), Not(HaveKey("container.apparmor.security.beta.kubernetes.io/opi")), Not(HaveKey("not a key"))))))
		set := common.StatefulSet(ctx, d.GUID())
		Eventually(func(g Gomega) {
			events, err := api.CoreV1().Events(common.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=AnnotationsLeftOut"})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(events.Items).To(ContainElement(SatisfyAll(
				HaveField("InvolvedObject.UID", set.UID),
				HaveField("Message", ContainSubstring(`"container.apparmor.security.beta.kubernetes.io/opi", "k8s.v1.cni.cncf.io/networks", "not a key"`)))))
		}).Should(Succeed())

		By("taking the same request as one that changes nothing")
		controlplane.DesireApp(ctx, irene, d)
		again := common.StatefulSet(ctx, d.GUID())
		Expect(again.Generation).To(Equal(set.Generation))
		Expect(again.Annotations).To(Equal(set.Annotations))
	}, patience)

	It("keeps two versions of one app side by side", func(ctx context.Context) {
		old := controlplane.App("versions").With("last_updated", "1.0").Env("RELEASE", "old")
		fresh := old.Clone().With("last_updated", "2.0").Env("RELEASE", "new").Identify(old.GUID(), cloudcontroller.NewGUID())
		controlplane.RunApp(ctx, irene, old)
		controlplane.RunApp(ctx, irene, fresh.With("instances", 2))
		Expect(controlplane.Annotation(ctx, irene, old)).To(Equal("1.0"))
		Expect(controlplane.Annotation(ctx, irene, fresh)).To(Equal("2.0"))
		Expect(common.StatefulSets(ctx, old.GUID())).To(HaveLen(2))
		Expect(irene.Client.Stop(ctx, old.GUID(), old.Version())).To(controlplane.Answered(200))
		Expect(irene.List(ctx)).NotTo(HaveKey(old.ProcessGUID()))
		controlplane.AwaitRunning(ctx, irene, fresh, 2)
		left := common.StatefulSet(ctx, old.GUID())
		Expect(left.Labels).To(HaveKeyWithValue("cloudfoundry.org/version", fresh.Version()))
	}, patience)

	It("takes guids of any form that fits a label", func(ctx context.Context) {
		d := controlplane.App("short").Identify("a", "v_1.0")
		controlplane.RunApp(ctx, irene, d)
		Expect(irene.List(ctx)).To(HaveKey("a-v_1.0"))
		_, err := api.AppsV1().StatefulSets(common.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "cloudfoundry.org/guid=a"})
		Expect(err).NotTo(HaveOccurred())
		Expect(irene.Client.Stop(ctx, "a", "v_1.0")).To(controlplane.Answered(200))
	}, patience)
})
