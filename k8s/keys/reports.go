package keys

// A Job whose end is reported to Cloud Controller.
const (
	// ReportFinalizer keeps the Job until its outcome was answered, and as a tombstone
	// for a while after that.
	ReportFinalizer = "irene.cloudfoundry.org/report"
	// Outcome is an annotation: the JSON of opi.Outcome, written once, before it is
	// sent.
	Outcome = "irene.cloudfoundry.org/outcome"
	// OutcomeAnswer is an annotation: the status code of Cloud Controller's definite
	// answer to the outcome and when it came (RFC 3339), with a space between.
	OutcomeAnswer = "irene.cloudfoundry.org/outcome-answer"
	// CallbackKey is the key in the Secret of the Job's name that holds the URL to
	// report to, which may carry a password.
	CallbackKey = "callback"
)

// Told is an annotation of an instance's pod: the JSON of opi.InstanceTold. It is written
// after Cloud Controller has answered.
const Told = "irene.cloudfoundry.org/told"
