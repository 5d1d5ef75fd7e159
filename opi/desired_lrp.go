package opi

// DesiredLRP is what the platform holds of an LRP that is desired: what updates change, and
// what callers look up.
type DesiredLRP struct {
	LRPIdentifier
	// Door is the front door by which the LRP was desired, Domain its domain.
	Door   Door
	Domain string

	Instances  int
	Routes     Routes
	Annotation string
	MetricTags map[string]MetricTag

	App           Owner
	PlacementTags []string
	Ports         []int32
	// RootFS has no credentials.
	RootFS RootFS
	// Limits are those of memory, disk, CPU and processes.
	Limits Limits
	// Modification orders the versions of the LRP.
	Modification ModificationTag
}

// ModificationTag orders versions of one thing: of two with the same Epoch, the one with the
// greater Index is newer. Another Epoch is another thing of the same name.
type ModificationTag struct {
	Epoch string
	Index uint32
}
