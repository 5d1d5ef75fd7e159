package render_test

import (
	"encoding/json"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// What Diego's API has beyond OPI: the domain is a label, metric tags are an annotation, and
// keys for SSH are in the Secret alone.
func TestWhatOnlyOtherDoorsSend(t *testing.T) {
	g := NewWithT(t)
	lrp := goldenLRP(t)
	_, without := objects(t, lrp)
	lrp.Domain = "cf-apps"
	lrp.MetricTags = map[string]opi.MetricTag{"instance_id": {Dynamic: opi.TagIndex}}
	lrp.SSHRoute = json.RawMessage(`{"container_port":2222,"private_key":"hidden"}`)
	secret, set := objects(t, lrp)
	g.Expect(set.Labels).To(HaveKeyWithValue("irene.cloudfoundry.org/domain", "cf-apps"))
	g.Expect(set.Spec.Template.Labels).To(HaveKeyWithValue("irene.cloudfoundry.org/domain", "cf-apps"))
	g.Expect(set.Annotations).To(HaveKeyWithValue("irene.cloudfoundry.org/metric-tags", `{"instance_id":{"dynamic":"index"}}`))
	g.Expect(set.Spec.Template.Annotations).To(HaveKeyWithValue("irene.cloudfoundry.org/metric-tags", `{"instance_id":{"dynamic":"index"}}`))
	delete(set.Spec.Template.Annotations, "irene.cloudfoundry.org/metric-tags")
	g.Expect(set.Spec.Template.Annotations).To(Equal(without.Spec.Template.Annotations))
	g.Expect(secret.Data).To(HaveKeyWithValue("ssh-route", []byte(lrp.SSHRoute)))
	g.Expect(json.Marshal(set)).NotTo(ContainSubstring("hidden"))

	// Each request brings new keys. That must neither change the Secret's name nor make the
	// request count as one with other settings.
	again := lrp
	again.SSHRoute = json.RawMessage(`{"container_port":2222,"private_key":"another"}`)
	secretAgain, _ := objects(t, again)
	g.Expect(secretAgain.Name).To(Equal(secret.Name))
	g.Expect(testKey.SameRequest(set.Annotations["irene.cloudfoundry.org/request-digest"], again)).To(BeTrue())

	// An LRP may have no version, and then no secret but its keys.
	alone := opi.LRP{LRPIdentifier: opi.LRPIdentifier{GUID: "vizzini-1"}, SSHRoute: lrp.SSHRoute,
		RootFS: opi.RootFS{Image: &opi.Image{Reference: "org/app"}}}
	secret, set, err := goldenSettings().LRP(alone, render.ResolvedImage{}, "", testKey)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(secret.Data).To(HaveLen(1))
	g.Expect(set.Spec.Selector.MatchLabels).To(HaveKeyWithValue("cloudfoundry.org/version", ""))
	g.Expect(set.Annotations).To(HaveKeyWithValue("cloudfoundry.org/process_guid", "vizzini-1"))
}
