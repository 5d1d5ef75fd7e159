package opi

// PresentLRP is an LRP as it is desired, and what has become of it.
type PresentLRP struct {
	DesiredLRP
	// States are those of all desired indexes, in order.
	States []Instance
}
