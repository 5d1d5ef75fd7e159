package opi

import "time"

// InstanceState is how far an instance is, in the words that Cloud Controller
// knows (contract: "instances").
type InstanceState string

const (
	// InstanceUnclaimed has no cell yet; with a placement error it can't get one at
	// present.
	InstanceUnclaimed InstanceState = "UNCLAIMED"
	// InstanceClaimed has a cell and is starting.
	InstanceClaimed InstanceState = "CLAIMED"
	// InstanceRunning has passed its startup check.
	InstanceRunning InstanceState = "RUNNING"
	// InstanceCrashed has ended, or can't be started on its cell, and is tried again;
	// or it was refused for good. An instance that ends again and again before it has
	// been ready for the first time stays in this state.
	InstanceCrashed InstanceState = "CRASHED"
	// InstanceUnknown runs on a cell that has not been heard of for a while.
	InstanceUnknown InstanceState = "UNKNOWN"
)

// Instance is the present state of one desired index of an LRP.
type Instance struct {
	// Index counts from 0 to the LRP's instances less one.
	Index int
	// GUID differs for each new instance at the same index; empty when there is
	// none at present.
	GUID  string
	State InstanceState
	// Since is when the present state began, never zero.
	Since time.Time
	// PlacementError says in the user's words why the instance does not run; may
	// be set in the states UNCLAIMED and CRASHED.
	PlacementError string
	// Routable is whether the instance gets requests, apart from its state.
	Routable bool
	// Cell is the name of the node; empty while there is none.
	Cell string
	// Zone is the node's availability zone; empty if it has none.
	Zone string
	// Address is the IP address at which the instance is reached; empty while it has none.
	Address string
	// Crashes is how often the instance's main process has died by itself.
	Crashes int
	// CrashReason describes the last of these ends in the user's words; empty if it is not
	// known.
	CrashReason string
	// Modification orders what was read of the instance.
	Modification ModificationTag
}
