package stager

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/irene-cf/irene/opi"
)

// Failure is why a build has failed. As JSON it is written on the Job of a build that was
// canceled.
type Failure struct {
	// Reason is one word, for metrics and logs. A step's own reasons are those of
	// package steps.
	Reason string `json:"reason"`
	// ID is one of the domain's error ids, Message what the user reads.
	ID      string `json:"id"`
	Message string `json:"message"`
}

// Failed returns a Failure with a formatted message.
func Failed(reason, id, format string, args ...any) *Failure {
	return &Failure{Reason: reason, ID: id, Message: fmt.Sprintf(format, args...)}
}

// Canceled returns the failure of a build that was canceled.
func Canceled() Failure { return *Failed("canceled", opi.StagingError, "Staging was canceled") }

func outOfMemory(limitMiB int64) *Failure {
	return Failed("memory", opi.StagingError, "Staging ran out of memory: limit %dM. Give the app more memory, or make its build need less", limitMiB)
}

// stuckAfterKill is for a step that succeeded although one of its processes was killed.
// kubelet takes the init container for failed all the same and starts no other, but it
// does not end the pod (isInitContainerFailed in pkg/kubelet/kuberuntime/helpers.go).
func stuckAfterKill(step string, limitMiB int64) *Failure {
	return Failed("memory", opi.StagingError, "A process was killed in step %s because the memory limit of %dM was exceeded, and staging can't go on after that. "+
		"Give the app more memory, or make its build need less", step, limitMiB)
}

// Outcome returns the failure as the outcome of a build.
func (f Failure) Outcome(guid string) *opi.Outcome {
	return opi.BuildFailed(guid, f.Reason, f.ID, f.Message)
}

// success returns the outcome of a build with a result, or the failure instead if the result
// is too large to be kept.
func success(guid string, result json.RawMessage, tooLarge *Failure) (*opi.Outcome, error) {
	outcome, err := opi.BuildSucceeded(guid, result)
	if errors.Is(err, opi.ErrOutcomeTooLarge) {
		return tooLarge.Outcome(guid), nil
	}
	return outcome, err
}
