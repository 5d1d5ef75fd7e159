package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/irene-cf/irene/k8s/view"
	"github.com/irene-cf/irene/opi"
)

// nodes is what cells reads of the view.
type nodes interface {
	Nodes() []view.Node
	NodesForbidden() bool
	Synced() bool
}

// cells lists the nodes of the cluster as the cells of the BBS door.
type cells struct {
	nodes  nodes
	stacks []string
}

// Cells returns the nodes that are ready by the reports of their kubelets, also those that are
// cordoned: their instances run on.
func (c cells) Cells(context.Context) ([]opi.Cell, error) {
	switch {
	case c.nodes.NodesForbidden():
		return nil, errors.New("list the nodes: irene's account lacks the permission")
	case !c.nodes.Synced():
		return nil, fmt.Errorf("list the nodes: they have not been read yet: %w", opi.ErrUnavailable)
	}
	all := []opi.Cell{}
	for _, node := range c.nodes.Nodes() {
		if !node.Ready.True() {
			continue
		}
		cell := opi.Cell{
			ID: node.Name, Zone: node.Zone, Stacks: c.stacks,
			MemoryMiB: node.MemoryMiB, DiskMiB: node.DiskMiB, Containers: node.Pods,
		}
		if node.Segment != "" {
			cell.PlacementTags = []string{node.Segment}
		}
		all = append(all, cell)
	}
	slices.SortFunc(all, func(a, b opi.Cell) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}
