package stager

import (
	"fmt"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
)

// killed is the exit status of a process that got SIGKILL.
const killed = 128 + 9

// StepEnd is how a step of a build ended.
type StepEnd struct {
	Step     string
	ExitCode int
	// Message is the termination message, which user code may have written.
	Message string
	// OutOfMemory reports whether any process of the step was killed at its memory limit of
	// MemoryMiB.
	OutOfMemory bool
	MemoryMiB   int64
	// GoesOn reports whether the next step was started, or there is none.
	GoesOn bool
	// Deleting reports whether the step's pod is being deleted, and DeletedBefore whether
	// that had been requested when the step ended.
	Deleting, DeletedBefore bool
}

// Pushed returns the droplet if the push step has succeeded. A push that ended well without
// a record of what it stored is a failure.
func (e StepEnd) Pushed() (*steps.OutcomeDroplet, *Failure) {
	if e.Step != steps.PushStep || e.ExitCode != 0 {
		return nil, nil
	}
	if parsed, ok := e.outcome(); ok && parsed.Droplet != nil {
		return parsed.Droplet, nil
	}
	return nil, Failed("internal", opi.StagerError, "Staging ended without telling its result")
}

// Failure explains why the step failed: first by its memory limit, if it was killed there,
// then by its own message, then by its exit status. A process that was killed in a step
// that went on is mentioned in addition. It is nil if the step has succeeded, or if the
// deletion of its pod explains its end.
func (e StepEnd) Failure() *Failure {
	switch {
	case e.ExitCode == 0 && e.OutOfMemory && !e.GoesOn:
		return stuckAfterKill(e.Step, e.MemoryMiB)
	case e.ExitCode == 0:
		return nil
	case !e.OutOfMemory:
		return e.ownFailure()
	case e.ExitCode == killed && !e.DeletedBefore:
		return outOfMemory(e.MemoryMiB)
	}
	failure := e.ownFailure()
	if failure != nil && failure.Reason != string(steps.OutOfMemory) {
		failure.Message += fmt.Sprintf(". Before that, a process was killed because the memory limit of %dM was exceeded", e.MemoryMiB)
	}
	return failure
}

// ownFailure explains why the step failed without regard to memory.
func (e StepEnd) ownFailure() *Failure {
	parsed, ok := e.outcome()
	reason, known := steps.ReasonOfExit(e.ExitCode)
	if ok && parsed.Failure != nil {
		reason, known = parsed.Failure.Reason, true
	}
	switch {
	case e.Deleting && (reason == steps.Canceled || e.ExitCode == killed):
		return nil
	case ok && parsed.Failure != nil && parsed.Failure.Message != "":
		return Failed(string(reason), reason.ErrorID(), "%s", parsed.Failure.Message)
	case known:
		return Failed(string(reason), reason.ErrorID(), "Staging failed in step %s: %s", e.Step, reason)
	case e.ExitCode == killed:
		return Failed("killed", opi.StagingError, "Staging was killed in step %s, mostly a sign that there was not enough memory: limit %dM", e.Step, e.MemoryMiB)
	default:
		return Failed("internal", opi.StagerError, "Staging ended unexpectedly in step %s with status %d", e.Step, e.ExitCode)
	}
}

// Seconds returns how long the step took by its own account; false if it left none.
func (e StepEnd) Seconds() (float64, bool) {
	parsed, ok := e.outcome()
	return parsed.Seconds, ok && parsed.Seconds >= 0
}

// outcome parses the termination message; false if it can't be read.
func (e StepEnd) outcome() (steps.Outcome, bool) {
	parsed, err := steps.ParseOutcome(e.Step, []byte(e.Message))
	return parsed, err == nil
}
