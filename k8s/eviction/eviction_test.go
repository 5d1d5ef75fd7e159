package eviction_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/k8s/eviction"
)

func TestWhoseFaultAnEvictionIs(t *testing.T) {
	for name, c := range map[string]struct {
		reason, message  string
		ownDisk, forNode bool
	}{
		"container over its limit": {"Evicted", `Container opi exceeded its local ephemeral storage limit "256Mi". `, true, false},
		"pod over its limit":       {"Evicted", `Pod ephemeral local storage usage exceeds the total limit of containers 256Mi. `, true, false},
		"volume over its limit":    {"Evicted", `Usage of EmptyDir volume "workspace" exceeds the limit "2Gi". `, true, false},
		"node out of memory":       {"Evicted", "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. ", false, true},
		"node out of disk": {"Evicted", "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 900Mi. " +
			"Container opi was using 300Mi, request is 0, has larger consumption of ephemeral-storage. ", false, true},
		"node in trouble": {"Evicted", "The node had condition: [DiskPressure]. ", false, true},
		"unknown":         {"Evicted", "", false, false},
		"not evicted":     {"OutOfephemeral-storage", `Container opi exceeded its local ephemeral storage limit "256Mi". `, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(eviction.ForOwnDisk(c.reason, c.message)).To(Equal(c.ownDisk))
			g.Expect(eviction.ForNode(c.reason, c.message)).To(Equal(c.forNode))
		})
	}
}
