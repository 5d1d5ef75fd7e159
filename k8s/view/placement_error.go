package view

import (
	"cmp"
	"fmt"

	"github.com/irene-cf/irene/opi"
)

// Reasons as kubelets of the Kubernetes versions in support write them.
const (
	reasonCrashLoop      = "CrashLoopBackOff"
	reasonReadinessGates = "ReadinessGatesNotReady"
	reasonOOMKilled      = "OOMKilled"
	reasonStartError     = "StartError"
	reasonCannotRun      = "ContainerCannotRun"
	reasonStatusUnknown  = "ContainerStatusUnknown"
)

// starting is whether a waiting container is on its way. Every other reason to
// wait is a failure.
func starting(reason string) bool {
	return reason == "" || reason == "ContainerCreating" || reason == "PodInitializing"
}

// isPullFailure is whether a container waits because its image can't be had.
func isPullFailure(reason string) bool {
	switch reason {
	case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName",
		"ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed":
		return true
	}
	return false
}

// waitingEnd says in a user's words why a container can't be started.
func waitingEnd(waiting *Waiting) string {
	text := orReason(waiting.Message, waiting.Reason)
	if isPullFailure(waiting.Reason) {
		return "image pull failed: " + text
	}
	return "can't be started: " + text
}

// crash says in a user's words how a run ended, for placement errors and for reports
// of crashes alike. passed is whether the startup check is known to have been passed.
func (c *Container) crash(t *Termination, passed bool, seen failedChecks) string {
	switch t.Reason {
	case reasonOOMKilled, reasonStartError, reasonCannotRun, reasonStatusUnknown:
	default:
		probes := c.probes()
		if text := probes.failedCheck(t, passed, seen); text != "" {
			return text
		}
	}
	return terminationEnd(t, c.MemoryLimit)
}

// terminationEnd is crash as far as the container's runtime knows. limit is the memory
// limit in bytes, 0 for none.
func terminationEnd(t *Termination, limit int64) string {
	switch t.Reason {
	case reasonOOMKilled:
		return outOfMemory(limit)
	case reasonStartError, reasonCannotRun:
		return "can't be started: " + orReason(t.Message, t.Reason)
	case reasonStatusUnknown:
		return "was lost: " + orReason(t.Message, t.Reason)
	}
	switch {
	case t.Signal > 0:
		return fmt.Sprintf("killed by signal %d", t.Signal)
	// Container runtimes report a death by signal n as status 128+n, and so do
	// shells. A program may end with such a status by itself: so say both.
	case t.ExitCode > 128 && t.ExitCode <= 128+64:
		return fmt.Sprintf("exited with status %d (killed by signal %d)", t.ExitCode, t.ExitCode-128)
	}
	return fmt.Sprintf("exited with status %d", t.ExitCode)
}

// outOfMemory gives the limit in Cloud Foundry's M, which are MiB.
func outOfMemory(limit int64) string {
	if limit <= 0 {
		return "out of memory"
	}
	if limit%(1<<20) != 0 {
		return fmt.Sprintf("out of memory: limit %d bytes", limit)
	}
	return fmt.Sprintf("out of memory: limit %dM", limit>>20)
}

// podEnd says why a pod as a whole ended, for instance by eviction.
func podEnd(pod *Pod) string {
	switch {
	case pod.Reason != "" && pod.Message != "":
		return opi.PlainText(pod.Reason+": "+pod.Message, opi.MaxMessageBytes)
	case pod.Reason != "" || pod.Message != "":
		return orReason(pod.Message, pod.Reason)
	case pod.Container.Terminated != nil:
		return terminationEnd(pod.Container.Terminated, pod.Container.MemoryLimit)
	}
	return "ended: pod " + string(pod.Phase)
}

// orReason returns Kubernetes' message, or its reason where there is none. Messages quote
// what runtimes and registries say.
func orReason(message, reason string) string {
	return opi.PlainText(cmp.Or(message, reason), opi.MaxMessageBytes)
}
