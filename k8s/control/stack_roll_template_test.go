package control

import (
	"encoding/json"
	"testing"

	"code.cloudfoundry.org/lager/v3/lagertest"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

const storedRecord = `{"version":1,"lrp":{"guid":"g","version":"v","droplet":{"guid":"d","checksum":{"algorithm":"sha1","value":"abc"}},` +
	`"processes":[{"command":["a \u003c b"]}],"later":true},"stack":"cflinuxfs4","stackRevision":"one","egressRulesInSecret":true,"alsoLater":[1]}`

func movedSet(record string) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "app", Annotations: map[string]string{keys.LRP: record}},
		Spec: appsv1.StatefulSetSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "proxy", Image: "proxy"}, {Name: keys.AppContainer, Image: "old"}},
		}}},
	}
}

func TestMovePatchTouchesImageAndRevisionOnly(t *testing.T) {
	g := NewWithT(t)
	patch, err := movePatch(movedSet(storedRecord), render.AppImage{Stack: "cflinuxfs4", Revision: "two"}, "registry/d:abc-two")
	g.Expect(err).NotTo(HaveOccurred())
	content, err := patch.Encode()
	g.Expect(err).NotTo(HaveOccurred())
	var decoded struct {
		Metadata struct{ Annotations map[string]string }
	}
	g.Expect(json.Unmarshal(content, &decoded)).To(Succeed())
	record := decoded.Metadata.Annotations[keys.LRP]
	g.Expect(record).To(MatchJSON(`{"version":1,"lrp":{"guid":"g","version":"v","droplet":{"guid":"d","checksum":{"algorithm":"sha1","value":"abc"}},` +
		`"processes":[{"command":["a < b"]}],"later":true},"stack":"cflinuxfs4","stackRevision":"two","egressRulesInSecret":true,"alsoLater":[1]}`))
	quoted, err := json.Marshal(record)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(content).To(MatchJSON(`{
		"metadata": {
			"labels": {"cloudfoundry.org/rootfs-version": "two"},
			"annotations": {"irene.cloudfoundry.org/lrp": ` + string(quoted) + `, "irene.cloudfoundry.org/stack": "cflinuxfs4"}
		},
		"spec": {"template": {
			"metadata": {"labels": {"cloudfoundry.org/rootfs-version": "two"}},
			"spec": {"containers": [{"name": "opi", "image": "registry/d:abc-two"}]}
		}}
	}`))
}

func TestMovePatchRefusesWhatItCanNotRead(t *testing.T) {
	g := NewWithT(t)
	for record, reason := range map[string]string{
		"":              "decode LRP record",
		"{":             "decode LRP record",
		`{"version":2}`: `version "2" is not known to this release`,
		`{"lrp":{}}`:    `version "" is not known`,
	} {
		_, err := movePatch(movedSet(record), render.AppImage{Revision: "two"}, "image")
		g.Expect(err).To(MatchError(ContainSubstring(reason)), record)
	}
	set := movedSet(storedRecord)
	set.Spec.Template.Spec.Containers = nil
	_, err := movePatch(set, render.AppImage{Revision: "two"}, "image")
	g.Expect(err).To(MatchError(ContainSubstring("no container opi")))
}

func TestRecordedLRPNeedsNoSecret(t *testing.T) {
	g := NewWithT(t)
	lrp, err := render.RecordedLRP(movedSet(storedRecord))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(lrp.LRPIdentifier).To(Equal(opi.LRPIdentifier{GUID: "g", Version: "v"}))
	g.Expect(lrp.Droplet).To(HaveValue(Equal(opi.Droplet{GUID: "d", Checksum: opi.Checksum{Algorithm: "sha1", Value: "abc"}})))
	_, err = render.RecordedLRP(movedSet(`{"version":1,"lrp":{"guid":"g","version":"v","rootFS":{"image":{"reference":"nginx"}}}}`))
	g.Expect(err).To(MatchError(render.ErrNoDroplet))
}

func TestSurgeIsNotDesired(t *testing.T) {
	g := NewWithT(t)
	appsView := view.New(view.Options{
		Client: kubernetes.NewForConfigOrDie(&rest.Config{}), Metadata: metadata.NewForConfigOrDie(&rest.Config{}),
		Namespace: "apps", Logger: lagertest.NewTestLogger("test"),
	})
	for text, desired := range map[string]int{"": 2, "1": 1, "2": 0, "5": 0, "-1": 2, "one": 2} {
		set := movedSet(storedRecord)
		set.Spec.Replicas = ptr.To(int32(2))
		set.Annotations[keys.Surge] = text
		lrp := appsView.FromLive(set)
		g.Expect(lrp.Instances).To(Equal(desired), text)
		g.Expect(lrp.Instances+lrp.Surge).To(Equal(2), text)
	}
}
