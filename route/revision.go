package route

// Revision states how recent a replica's data about an LRP is: the highest resource
// versions at which it has seen a change of the LRP itself, and of one of its instances,
// deletions included. They are two numbers because they are two histories: a
// replica may receive one while it is cut off from the other. Zero is unknown.
type Revision struct {
	LRP, Instances uint64
}

// Covers reports whether a replica at r has seen everything that one at other has.
func (r Revision) Covers(other Revision) bool {
	return r.LRP >= other.LRP && r.Instances >= other.Instances
}

// Union returns the revision of replicas at r and other taken together.
func (r Revision) Union(other Revision) Revision {
	return Revision{LRP: max(r.LRP, other.LRP), Instances: max(r.Instances, other.Instances)}
}

// Progress describes how far a replica has followed the watches of LRPs and instances.
type Progress struct {
	// Seen holds the resource versions up to which the watches have delivered
	// everything.
	Seen Revision
	// Changed holds the resource versions of the last changes among them. Unlike
	// Seen it is the same for all replicas that are up to date, whenever each of
	// them listed or got its last bookmark.
	Changed Revision
	// Fresh reports whether the view is complete and up to date.
	Fresh bool
}
