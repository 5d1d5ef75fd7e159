package stager

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/opi"
)

// Error ids that Cloud Controller keeps as they are (contract 2.4).
const (
	stagerError           = "StagerError"
	stagingError          = "StagingError"
	stagingTimeExpired    = "StagingTimeExpired"
	insufficientResources = "InsufficientResources"
	noCompatibleCell      = "NoCompatibleCell"
)

// failure is why a build has failed.
type failure struct {
	// Reason is one word, for metrics and logs. A step's own reasons are those of
	// package steps.
	Reason string `json:"reason"`
	// ID is Cloud Controller's, Message what the user reads; outcome makes it plain text.
	ID      string `json:"id"`
	Message string `json:"message"`
}

func failed(reason, id, format string, args ...any) *failure {
	return &failure{Reason: reason, ID: id, Message: fmt.Sprintf(format, args...)}
}

func canceled() failure { return *failed("canceled", stagingError, "Staging was canceled") }

func deleted() *failure { return Settings{}.interruption(job.End{Cause: job.JobDeleted}, job.Pod{}) }

func timedOut(deadline time.Duration) *failure {
	return failed("timeout", stagingTimeExpired, "Staging took longer than %s and was stopped", job.InWords(deadline))
}

func outOfMemory(limitMiB int64) *failure {
	return failed("memory", stagingError, "Staging ran out of memory: limit %dM. Give the app more memory, or make its build need less", limitMiB)
}

// stuckAfterKill is for a step that succeeded although one of its processes was killed.
// kubelet takes the init container for failed all the same and starts no other, but it
// does not end the pod (isInitContainerFailed in pkg/kubelet/kuberuntime/helpers.go).
func stuckAfterKill(step string, limitMiB int64) *failure {
	return failed("memory", stagingError, "A process was killed in step %s because the memory limit of %dM was exceeded, and staging can't go on after that. "+
		"Give the app more memory, or make its build need less", step, limitMiB)
}

func outOfDisk(limitMiB int64) *failure {
	return failed("disk", stagingError, "Staging ran out of disk: limit %dM. Give the app more disk, or make its build leave less behind", limitMiB)
}

// outcome is the failure in the direct form of the callback (contract 2.3).
func (f failure) outcome() (*opi.Outcome, error) {
	type callbackError struct {
		ID      string `json:"id"`
		Message string `json:"message"`
	}
	return opi.NewOutcome(f.Reason, map[string]callbackError{
		"error": {ID: f.ID, Message: opi.PlainText(f.Message, opi.MaxMessageBytes)},
	})
}

// succeeded is the reason of outcomes that are no failure.
const succeeded = "succeeded"

// success returns the result in the direct form of the callback, or the failure instead if
// the result is too large to be kept.
func success(result json.RawMessage, tooLarge *failure) (*opi.Outcome, error) {
	outcome, err := opi.NewOutcome(succeeded, map[string]json.RawMessage{"result": result})
	if errors.Is(err, opi.ErrOutcomeTooLarge) {
		return tooLarge.outcome()
	}
	return outcome, err
}
