package stager

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/opi"
)

// failure is why a build has failed.
type failure struct {
	// Reason is one word, for metrics and logs. A step's own reasons are those of
	// package steps.
	Reason string `json:"reason"`
	// ID is one of the domain's error ids, Message what the user reads.
	ID      string `json:"id"`
	Message string `json:"message"`
}

func failed(reason, id, format string, args ...any) *failure {
	return &failure{Reason: reason, ID: id, Message: fmt.Sprintf(format, args...)}
}

func canceled() failure { return *failed("canceled", opi.StagingError, "Staging was canceled") }

func deleted() *failure { return Settings{}.interruption(job.End{Cause: job.JobDeleted}) }

func timedOut(deadline time.Duration) *failure {
	return failed("timeout", opi.StagingTimeExpired, "Staging took longer than %s and was stopped", job.InWords(deadline))
}

func outOfMemory(limitMiB int64) *failure {
	return failed("memory", opi.StagingError, "Staging ran out of memory: limit %dM. Give the app more memory, or make its build need less", limitMiB)
}

// stuckAfterKill is for a step that succeeded although one of its processes was killed.
// kubelet takes the init container for failed all the same and starts no other, but it
// does not end the pod (isInitContainerFailed in pkg/kubelet/kuberuntime/helpers.go).
func stuckAfterKill(step string, limitMiB int64) *failure {
	return failed("memory", opi.StagingError, "A process was killed in step %s because the memory limit of %dM was exceeded, and staging can't go on after that. "+
		"Give the app more memory, or make its build need less", step, limitMiB)
}

func outOfDisk(limitMiB int64) *failure {
	return failed("disk", opi.StagingError, "Staging ran out of disk: limit %dM. Give the app more disk, or make its build leave less behind", limitMiB)
}

// outcome returns the failure as the outcome of a build.
func (f failure) outcome(guid string) *opi.Outcome {
	return opi.BuildFailed(guid, f.Reason, f.ID, f.Message)
}

// success returns the outcome of a build with a result, or the failure instead if the result
// is too large to be kept.
func success(guid string, result json.RawMessage, tooLarge *failure) (*opi.Outcome, error) {
	outcome, err := opi.BuildSucceeded(guid, result)
	if errors.Is(err, opi.ErrOutcomeTooLarge) {
		return tooLarge.outcome(guid), nil
	}
	return outcome, err
}
