package opi

// ReportKind is what a report about an instance is about.
type ReportKind string

// Kinds of reports, named as Cloud Controller's endpoints are.
const (
	ReportCrashed          ReportKind = "crashed"
	ReportRescheduling     ReportKind = "rescheduling"
	ReportReadinessChanged ReportKind = "readiness_changed"
)

// InstanceReport is an event in the life of an instance that is reported to Cloud Controller.
// The door of the LRP encodes it.
type InstanceReport struct {
	LRPIdentifier
	Kind  ReportKind
	Index int
	// GUID is the instance's, Cell the name of its node, which may be empty.
	GUID, Cell string

	// CrashCount is the number of the crash within the instance, counted from 1, and Crash
	// is how its run ended. Both are for ReportCrashed.
	CrashCount int
	Crash      Crash
	// Reason explains a ReportRescheduling in the user's words.
	Reason string
	// Ready is the present state, for ReportReadinessChanged.
	Ready bool
}
