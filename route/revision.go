package route

// Revision says how much a replica knows of an LRP: the highest resource versions
// at which the LRP itself, and one of its instances, is known to have changed,
// deletions included. They are two numbers because they are two histories: a
// replica may hear of the one while the other is cut off. Zero is unknown.
type Revision struct {
	LRP       uint64 `json:"lrp,omitempty"`
	Instances uint64 `json:"instances,omitempty"`
}

// covers is whether who is at r has seen everything that who is at other has.
func (r Revision) covers(other Revision) bool {
	return r.LRP >= other.LRP && r.Instances >= other.Instances
}

// and is what both know together.
func (r Revision) and(other Revision) Revision {
	return Revision{LRP: max(r.LRP, other.LRP), Instances: max(r.Instances, other.Instances)}
}
