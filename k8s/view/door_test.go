package view

import (
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/irene-cf/irene/opi"
)

func TestLRPsKnowTheirDoor(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	set := &appsv1.StatefulSet{}
	g.Expect(v.FromLive(set).Door).To(Equal(opi.DoorOPI))
	set.Annotations = map[string]string{"irene.cloudfoundry.org/door": "other"}
	g.Expect(v.FromLive(set).Door).To(Equal(opi.Door("other")))
}
