package keys

// A Job whose end is reported to Cloud Controller.
const (
	// ReportFinalizer keeps the Job until its outcome was answered, and as a tombstone
	// for a while after that.
	ReportFinalizer = "irene.cloudfoundry.org/report"
	// Request is an annotation: the opi.Task.Request or opi.Build.Request that the Job was made
	// for; absent for requests without identity.
	Request = "irene.cloudfoundry.org/request"
	// WorkRecord is an annotation: the stored form of what Irene keeps of the task or build and
	// does not act on, with its version. Absent when there is nothing.
	WorkRecord = "irene.cloudfoundry.org/work-record"
	// Outcome is an annotation: a JSON object with the opi.Outcome, which package events
	// writes and reads. It is written once, before the outcome is sent.
	Outcome = "irene.cloudfoundry.org/outcome"
	// OutcomeAnswer is an annotation: the status code of Cloud Controller's definite
	// answer to the outcome and when it came (RFC 3339), with a space between.
	OutcomeAnswer = "irene.cloudfoundry.org/outcome-answer"
	// ResumedAt is an annotation of a Job that was accepted before its image was in the
	// registry: when the Job was resumed (RFC 3339). Its pod is due from then on.
	ResumedAt = "irene.cloudfoundry.org/resumed-at"
	// CallbackKey is the key in the Secret of the Job's name that holds the URL to
	// report to, which may carry a password.
	CallbackKey = "callback"
)

// An instance that is over its disk limit.
const (
	// CrashBackoffFinalizer is on the pod of an instance whose predecessor was ended because
	// it was over its disk limit. When the pod ends in the same way, the finalizer keeps
	// its name taken, and so keeps Kubernetes from starting another one, for a while.
	CrashBackoffFinalizer = "irene.cloudfoundry.org/crash-backoff"
	// DiskCrashes is an annotation of a StatefulSet: a JSON object that holds, for each index
	// whose instances were over their disk limit lately, how many were and when the last one
	// was: {"0":{"count":3,"at":"2026-03-01T12:00:00Z","pod":"<uid>"}}. Absent for none.
	DiskCrashes = "irene.cloudfoundry.org/disk-crashes"
)

// Told is an annotation of an instance's pod: the JSON of opi.InstanceTold. It is written
// after Cloud Controller has answered.
const Told = "irene.cloudfoundry.org/told"
