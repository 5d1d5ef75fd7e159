package opi

import "time"

// InstanceRecord is what has happened to one instance, as far as anybody outside is
// told of it, and what was told already.
type InstanceRecord struct {
	LRPIdentifier
	// Door is the LRP's.
	Door  Door
	Index int
	// GUID is the instance's, Cell the name of its node, which may be empty.
	GUID, Cell string
	// Object is the name by which the back end finds the instance.
	Object string
	// Crashes is how often the instance's main process has died by itself, whatever its
	// exit status. It counts from 1 and begins anew with a new GUID.
	Crashes int
	// LastCrash is about the last of them, nil where there was none or nobody knows.
	LastCrash *Crash
	// Rescheduled says why the platform takes the instance off its cell to start
	// another one at its index; empty while it does not.
	Rescheduled string
	// Ready is whether the instance takes requests; nil while there is nothing to be
	// said of it, because it is starting or ending, or nobody hears of its cell.
	Ready *bool
	// Told is what is written down as told.
	Told InstanceTold
}

// Crash is how a run of an instance's main process ended.
type Crash struct {
	// ExitStatus is nil where it is not known.
	ExitStatus *int32
	// Description says it in the user's words.
	Description string
	// At is zero where it is not known.
	At time.Time
}

// InstanceTold is what Cloud Controller has answered of an instance. Its JSON is kept
// beside the instance.
type InstanceTold struct {
	// Crashes is the number of the last crash that was told; those before it were, too.
	Crashes     int  `json:"crashes,omitempty"`
	Rescheduled bool `json:"rescheduled,omitempty"`
	// Ready is what was told last; an instance begins with not being ready.
	Ready bool `json:"ready,omitempty"`
}
