package job

import (
	"fmt"
	"time"
)

// Cause is what Kubernetes has made of a Job or its pod.
type Cause string

// Causes. What is in brackets is End's Detail.
const (
	// DeadlinePassed: it ran, or waited, for longer than it may.
	DeadlinePassed Cause = "deadline passed"
	// OutOfDisk: its containers or volumes used more disk than their limits allow.
	OutOfDisk Cause = "out of disk"
	// NodePressure: its node ran out of memory or disk.
	NodePressure Cause = "node pressure"
	// Evicted for another reason [kubelet's words].
	Evicted Cause = "evicted"
	// NodeRefused: kubelet refuses the pod [kubelet's words]; NodeFull: it has no room
	// for it, although the scheduler thought so [kubelet's words].
	NodeRefused Cause = "node refused"
	NodeFull    Cause = "node full"
	// NodeShutDown, or needed for something else; NodeLost: it fell silent or is gone.
	NodeShutDown Cause = "node shut down"
	NodeLost     Cause = "node lost"
	// Preempted for something more important; Drained with its node; Disrupted for
	// another reason [Kubernetes' word for it].
	Preempted Cause = "preempted"
	Drained   Cause = "drained"
	Disrupted Cause = "disrupted"
	// PodDeleted, JobDeleted and JobSuspended by somebody; PodGone: nobody has seen how.
	PodDeleted   Cause = "pod deleted"
	PodGone      Cause = "pod gone"
	JobDeleted   Cause = "job deleted"
	JobSuspended Cause = "job suspended"
	// NoRoom on any node, and NoNode on which it may run, within the patience [the
	// scheduler's words].
	NoRoom Cause = "no room"
	NoNode Cause = "no node"
	// NoPod was made within the patience.
	NoPod Cause = "no pod"
	// NotPulled: the image of Container [kubelet's words]; NotStarted: Container for
	// another reason [kubelet's words].
	NotPulled  Cause = "not pulled"
	NotStarted Cause = "not started"
)

// End is an end that the work did not come to by itself.
type End struct {
	Cause  Cause
	Detail string
	// Container is the one that can't start.
	Container string
	// DiskMiB is the limit of the container with user code in a pod that kubelet failed.
	DiskMiB int64
}

// Reason is one word for metrics and logs.
func (e End) Reason() string {
	switch e.Cause {
	case DeadlinePassed:
		return "timeout"
	case OutOfDisk:
		return "disk"
	case NodeRefused:
		return "internal"
	case NodeFull, NoRoom, NoNode, NoPod:
		return "unschedulable"
	case NodeLost:
		return "node-lost"
	case JobDeleted:
		return "deleted"
	case NotPulled:
		return "image-pull"
	case NotStarted:
		return "container"
	}
	return "interrupted"
}

// Interruption is what a user reads after "was interrupted" and a colon, for the causes
// that end what was under way; empty for all others.
func (e End) Interruption() string {
	switch e.Cause {
	case NodePressure:
		return "its node ran out of memory or disk"
	case Evicted:
		return "it was evicted from its node"
	case NodeShutDown:
		return "its node was needed for something else or shut down"
	case NodeLost:
		return "its node was lost"
	case Preempted:
		return "something more important needed its place"
	case Drained:
		return "its node is being emptied for maintenance"
	case Disrupted:
		return fmt.Sprintf("Kubernetes took its pod away (%s)", e.Detail)
	case PodDeleted:
		return "somebody deleted its pod in Kubernetes"
	case PodGone:
		return "its pod is gone"
	case JobDeleted:
		return "somebody deleted its Job in Kubernetes"
	case JobSuspended:
		return "somebody suspended its Job in Kubernetes"
	}
	return ""
}

// InWords is a duration as users read it: 15 min, 90 s.
func InWords(d time.Duration) string {
	if d >= time.Minute && d%time.Minute == 0 {
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}
