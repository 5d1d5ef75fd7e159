package k8s

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/k8s/live"
	"github.com/irene-cf/irene/k8s/view"
)

func TestSurgeAfterAnUpdateOfInstances(t *testing.T) {
	g := NewWithT(t)
	for _, c := range []struct {
		existing  view.LRP
		instances int
		patch     string
	}{
		{view.LRP{Instances: 1}, 1, `{"metadata":{"annotations":{"irene.cloudfoundry.org/surge":null}},"spec":{"replicas":1}}`},
		{view.LRP{Instances: 1, Surge: 1}, 1, `{"metadata":{"annotations":{"irene.cloudfoundry.org/surge":"1"}},"spec":{"replicas":2}}`},
		{view.LRP{Instances: 1, Surge: 1}, 2, `{"metadata":{"annotations":{"irene.cloudfoundry.org/surge":null}},"spec":{"replicas":2}}`},
		{view.LRP{Instances: 1, Surge: 1}, 0, `{"metadata":{"annotations":{"irene.cloudfoundry.org/surge":null}},"spec":{"replicas":0}}`},
		{view.LRP{Instances: 3}, 1, `{"metadata":{"annotations":{"irene.cloudfoundry.org/surge":null}},"spec":{"replicas":1}}`},
		{view.LRP{Instances: 3, Moving: true}, 1, `{"metadata":{"annotations":{"irene.cloudfoundry.org/surge":"1"}},"spec":{"replicas":2}}`},
		{view.LRP{Instances: 3, Moving: true}, 2, `{"metadata":{"annotations":{"irene.cloudfoundry.org/surge":null}},"spec":{"replicas":2}}`},
		{view.LRP{Instances: 1, Moving: true}, 1, `{"metadata":{"annotations":{"irene.cloudfoundry.org/surge":null}},"spec":{"replicas":1}}`},
	} {
		var patch live.Patch
		patch.SetReplicas(c.instances, surgeFor(c.existing, c.instances))
		g.Expect(patch.Encode()).To(MatchJSON(c.patch))
	}
}
