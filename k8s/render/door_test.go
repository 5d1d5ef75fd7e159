package render_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

// Objects of the OPI door look as they did when there was no other: they are taken over by
// this release, and back by the one before.
func TestOnlyOtherDoorsAreNoted(t *testing.T) {
	g := NewWithT(t)
	lrp := goldenLRP(t)
	g.Expect(lrp.Door).To(Equal(opi.DoorOPI))
	_, opiSet := objects(t, lrp)
	g.Expect(opiSet.Annotations).NotTo(HaveKey("irene.cloudfoundry.org/door"))

	lrp.Door = "other"
	_, otherSet := objects(t, lrp)
	g.Expect(otherSet.Annotations).To(HaveKeyWithValue("irene.cloudfoundry.org/door", "other"))
	delete(otherSet.Annotations, "irene.cloudfoundry.org/door")
	g.Expect(otherSet).To(Equal(opiSet), "request digest, record and template do not depend on the door")
}
