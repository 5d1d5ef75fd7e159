package view

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

func TestTheViewHasWhatListsReturn(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	set := statefulSet("app", "uid-a", 1234, annotated(keys.MetricTags, `{"app_name":"dora"}`),
		annotated(keys.TCPRoutes, `[{"external_port":61001}]`), annotated(keys.OtherRoutes, `{"x":1}`), annotated(keys.LRP, `{"version":1,"lrp":{"limits":{"pids":1024}}}`))
	set.Labels[keys.Domain] = "cf-apps"
	set.Spec.Template.Spec.Containers = []corev1.Container{{
		Image: "org/app", Ports: []corev1.ContainerPort{{ContainerPort: 8080}, {ContainerPort: 9090}},
		Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{
			corev1.ResourceMemory: resource.MustParse("64Mi"), corev1.ResourceEphemeralStorage: resource.MustParse("1Gi"),
		}, Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("120m")}},
	}}
	list(g, v.lrps, 2000, set)
	lrp, known := v.LRP(appID)
	g.Expect(known).To(BeTrue())
	g.Expect(lrp.Domain).To(Equal("cf-apps"))
	g.Expect(lrp.MetricTags()).To(Equal(`{"app_name":"dora"}`))
	g.Expect(lrp.TCPRoutes).To(Equal(`[{"external_port":61001}]`))
	g.Expect(lrp.OtherRoutes).To(Equal(`{"x":1}`))
	g.Expect(lrp.PortList()).To(Equal([]int32{8080, 9090}))
	g.Expect(lrp.Image).To(Equal("org/app"))
	g.Expect(lrp.MemoryMiB).To(BeEquivalentTo(64))
	g.Expect(lrp.DiskMiB).To(BeEquivalentTo(1024))
	g.Expect(lrp.MilliCPU).To(BeEquivalentTo(120))
	g.Expect(lrp.PIDs).To(BeEquivalentTo(1024))
	g.Expect(lrp.Modification()).To(Equal(opi.ModificationTag{Epoch: "uid-a", Index: 1234}))
}
