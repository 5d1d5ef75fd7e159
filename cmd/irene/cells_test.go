package main

import (
	"context"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// cluster has the nodes of a test.
type cluster struct {
	nodes     []view.Node
	forbidden bool
	unread    bool
}

func (c cluster) Nodes() []view.Node   { return c.nodes }
func (c cluster) NodesForbidden() bool { return c.forbidden }
func (c cluster) Synced() bool         { return !c.unread }

func TestCellsAreTheReadyNodes(t *testing.T) {
	g := NewWithT(t)
	ready := view.Verdict{Status: corev1.ConditionTrue}
	found, err := cells{stacks: []string{"cflinuxfs4"}, nodes: cluster{nodes: []view.Node{
		{Name: "node-2", Ready: ready, MemoryMiB: 1, DiskMiB: 2, Pods: 3},
		{Name: "node-1", Ready: ready, Zone: "z1", Segment: "segment-one", MemoryMiB: 8192, DiskMiB: 100_000, Pods: 110},
		{Name: "lost", Ready: view.Verdict{Status: corev1.ConditionUnknown}},
		{Name: "new"},
	}}}.Cells(context.Background())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(found).To(Equal([]opi.Cell{
		{ID: "node-1", Zone: "z1", PlacementTags: []string{"segment-one"}, Stacks: []string{"cflinuxfs4"}, MemoryMiB: 8192, DiskMiB: 100_000, Containers: 110},
		{ID: "node-2", Stacks: []string{"cflinuxfs4"}, MemoryMiB: 1, DiskMiB: 2, Containers: 3},
	}))
}

func TestCellsAreNoneRatherThanSome(t *testing.T) {
	g := NewWithT(t)
	_, err := cells{nodes: cluster{unread: true}}.Cells(context.Background())
	g.Expect(err).To(MatchError(opi.ErrUnavailable))
	_, err = cells{nodes: cluster{forbidden: true}}.Cells(context.Background())
	g.Expect(err).To(MatchError(ContainSubstring("permission")))
}
