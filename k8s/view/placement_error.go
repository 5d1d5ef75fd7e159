package view

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/irene-cf/irene/k8s/kubelet"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/sidecars"
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

// waitingEnd returns in a user's words why a container can't be started.
func waitingEnd(waiting *Waiting) string {
	if isPullFailure(waiting.Reason) {
		text := kubelet.PullFailure(waiting.Message, waiting.Image)
		if waiting.Image == "" {
			text += "; it tries again"
		}
		return text
	}
	return "can't be started: " + kubelet.StartFailure(waiting.Message)
}

// crash says in a user's words how a run ended, for placement errors and for reports
// of crashes alike. passed is whether the startup check is known to have been passed.
func (c *Container) crash(t *Termination, passed bool, seen failedChecks) string {
	switch t.Reason {
	case reasonStartError, reasonCannotRun, reasonStatusUnknown:
	default:
		probes := c.probes()
		if text := probes.failedCheck(t, passed, seen); text != "" {
			return text + toleratedKill(t, c.MemoryLimit)
		}
	}
	return c.member(t, terminationEnd(t, c.MemoryLimit))
}

// member puts before the text about an end which of several processes ended first, as Cloud
// Foundry does: APP/PROC/WEB/SIDECAR/LOGGER: Exited with status 3. An app's own termination
// message can reach only its own developers in this way.
func (c *Container) member(t *Termination, text string) string {
	if !c.hasSidecars {
		return text
	}
	source, ok := sidecars.ParseEnd(t.Message, int(t.ExitCode))
	if !ok {
		return text
	}
	return opi.PlainText(source, maxSource) + ": " + strings.ToUpper(text[:1]) + text[1:]
}

// maxSource bounds the name of a process in a text.
const maxSource = 300

// terminationEnd is crash as far as the container's runtime knows. limit is the memory
// limit in bytes, 0 for none.
func terminationEnd(t *Termination, limit int64) string {
	switch {
	case t.killedForMemory():
		return outOfMemory(limit)
	case t.Reason == reasonStartError, t.Reason == reasonCannotRun:
		return "can't be started: " + kubelet.StartFailure(t.Message)
	case t.Reason == reasonStatusUnknown:
		return "was lost: its node was restarted, or lost track of it"
	}
	return exitText(t) + toleratedKill(t, limit)
}

func exitText(t *Termination) string {
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

// killedForMemory reports whether the main process itself was killed at the memory limit.
// The reason OOMKilled alone does not say so: kubelet gives it to every container in which
// the kernel has killed any process at any time, also if the app lived on.
func (t *Termination) killedForMemory() bool {
	return t.Reason == reasonOOMKilled && (t.ExitCode == 128+9 || t.Signal == 9)
}

// toleratedKill mentions a process that was killed at the memory limit in a run that ended
// in another way; it returns an empty string if there was none.
func toleratedKill(t *Termination, limit int64) string {
	if t.Reason != reasonOOMKilled {
		return ""
	}
	return ", after a process ran " + outOfMemory(limit)
}

func outOfMemory(limit int64) string { return "out of memory" + limitText(limit) }

// limitText names a limit in Cloud Foundry's M, which are MiB; it is empty for no limit.
func limitText(bytes int64) string {
	switch {
	case bytes <= 0:
		return ""
	case bytes%(1<<20) != 0:
		return fmt.Sprintf(": limit %d bytes", bytes)
	}
	return fmt.Sprintf(": limit %dM", bytes>>20)
}

// podEnd says why a pod as a whole ended, for instance by eviction.
func podEnd(pod *Pod) string {
	switch {
	case pod.Reason != "" || pod.Message != "":
		return kubelet.PodEnd(pod.Reason, pod.Message)
	case pod.Container.Terminated != nil:
		return pod.Container.member(pod.Container.Terminated, terminationEnd(pod.Container.Terminated, pod.Container.MemoryLimit))
	}
	return "ended: pod " + string(pod.Phase)
}

// orReason returns a message of Kubernetes' scheduler or controllers, or the reason where
// there is none.
func orReason(message, reason string) string {
	return opi.PlainText(cmp.Or(message, reason), opi.MaxMessageBytes)
}
