package opi

// Cell is a machine on which instances run.
type Cell struct {
	// ID is the cell's name, as in [Instance.Cell].
	ID string
	// Zone is the availability zone; empty if it has none.
	Zone string
	// MemoryMiB, DiskMiB and Containers are how much there is for instances in all.
	MemoryMiB, DiskMiB, Containers int64
	// Stacks are the names of the stacks that instances may have there.
	Stacks []string
	// PlacementTags are the isolation segments that the cell serves.
	PlacementTags []string
}
