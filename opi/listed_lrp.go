package opi

import "sync/atomic"

// ListedLRP is what a list has of an LRP that is desired. It is made for lists of many
// thousands: nothing in it has to be decoded.
type ListedLRP struct {
	LRPIdentifier
	// Door is the front door by which the LRP was desired, Domain its domain.
	Door   Door
	Domain string

	Instances  int
	Annotation string
	Routes     RouteTexts

	AppGUID string
	// PlacementTag is the name of the isolation segment; empty for none.
	PlacementTag string
	// Stack is the name of the stack that a buildpack app runs on, Image the reference of a
	// docker app's image; one of them is empty.
	Stack, Image       string
	MemoryMiB, DiskMiB int32
	// PIDs is the bound of processes; 0 for none.
	PIDs         int32
	Modification ModificationTag
	// Encoding is that of this version of the LRP; nil if nothing is kept. With an encoding that
	// is not empty, only LRPIdentifier, Door, Domain and AppGUID are set.
	Encoding *Encoding
}

// Encoding keeps what a front door wrote of an LRP into a list, for the next list. It belongs to
// one version of an LRP, so that it never has to be changed. A nil Encoding keeps nothing. It is
// safe for concurrent use.
type Encoding struct{ text atomic.Pointer[string] }

// Load returns what was stored; empty if there is nothing.
func (e *Encoding) Load() string {
	if e == nil {
		return ""
	}
	if text := e.text.Load(); text != nil {
		return *text
	}
	return ""
}

// Store keeps a copy of the text.
func (e *Encoding) Store(text []byte) {
	if e != nil {
		kept := string(text)
		e.text.Store(&kept)
	}
}

// RouteTexts are an LRP's routes as JSON, by kind, in the form in which they are kept. An empty
// text is no routes of the kind. Texts that people edited may have any content.
type RouteTexts struct {
	// HTTP is a list of objects with hostname, port and perhaps protocol, route_service_url,
	// isolation_segment and options.
	HTTP string
	// Internal is a list of objects with hostname.
	Internal string
	// TCP is a list of objects with router_group_guid, external_port and port.
	TCP string
	// Other is an object with [Routes.Other].
	Other string
}
