package view

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/sidecars"
)

// NoIndex is the Index of a pod that has none.
const NoIndex = -1

// Pod is what the view keeps of an LRP's pod.
type Pod struct {
	opi.LRPIdentifier
	Name            string
	UID             types.UID
	ResourceVersion string
	// Owner is the uid of the controller owner reference, which is the
	// StatefulSet's; empty for none.
	Owner types.UID
	// Index is the instance's index, or NoIndex.
	Index int
	// AppGUID is the app's guid in Cloud Controller; may be empty.
	AppGUID string
	// Node and IP are empty until they are known.
	Node, IP string

	Phase corev1.PodPhase
	// Reason and Message are the pod status's own, set for instance on eviction.
	Reason, Message string

	// Created is when the API server took the pod, Started when the kubelet did;
	// Started may be zero. Both in whole seconds.
	Created, Started time.Time
	// Deleting is when the deletion of the pod was asked for, nil where it was
	// not. That is not metadata.deletionTimestamp, which adds the grace period.
	Deleting *time.Time

	// Scheduled and Ready are the conditions PodScheduled and Ready; zero where a
	// condition is missing.
	Scheduled, Ready Condition
	// Disruption is the condition DisruptionTarget where it is true: Kubernetes takes the
	// pod off its node.
	Disruption *Condition
	// ContainersReady is the condition of that name. Its reason is Ready's.
	ContainersReady Verdict

	Container Container

	// HeldBack is whether the pod has the finalizer keys.CrashBackoffFinalizer.
	HeldBack bool
	// Told is what Cloud Controller was told of the instance.
	Told opi.InstanceTold
	// metadata is the digest of what the pod carries of LRP.PodMetadata.
	metadata metadataDigest
}

// Condition is a condition of a pod. Its zero value stands for none.
type Condition struct {
	Verdict
	Reason, Message string
}

// Verdict is what a condition of a pod or node says, without the reason.
type Verdict struct {
	// Status is empty where there is no such condition.
	Status corev1.ConditionStatus
	// Since is the condition's last transition.
	Since time.Time
}

// True is whether the condition is there and true.
func (v Verdict) True() bool { return v.Status == corev1.ConditionTrue }

// Container is the status of the app's container. At most one of Waiting,
// Terminated and a non-zero RunningSince is set; none before the kubelet has
// reported.
type Container struct {
	Waiting      *Waiting
	RunningSince time.Time
	Terminated   *Termination
	// LastTermination is how the previous run ended, nil when there was none.
	LastTermination *Termination
	// Running is whether the state is running, even without a start time.
	Running bool
	// Started is whether the startup check was passed in this run.
	Started bool
	// Ready is the container's readiness as the kubelet last reported it.
	Ready        bool
	RestartCount int32
	// Passed is whether the startup check is known to have been passed in this run,
	// which may have ended, and LastPassed whether it was in the run before. False is
	// not known: nobody looked at the time.
	Passed, LastPassed bool
	// hasSidecars is set for an instance of several processes. Its termination message names
	// the one that ended first.
	hasSidecars bool
	// checks are those that a kubelet ends the container for.
	checks unique.Handle[checks]
	// MemoryLimit and DiskLimit are the container's limits in bytes, 0 for none.
	MemoryLimit, DiskLimit int64
}

// Waiting says why a container does not run yet.
type Waiting struct {
	Reason, Message string
	// Image is the reference that a user gave, if that image can't be had; empty for an
	// image that the platform made.
	Image string
}

// Termination says how a run of a container ended.
type Termination struct {
	ExitCode, Signal int32
	Reason, Message  string
	// StartedAt and FinishedAt are zero when nobody knows, and in whole seconds.
	StartedAt, FinishedAt time.Time
}

func (p *Pod) uid() types.UID                { return p.UID }
func (p *Pod) name() string                  { return p.Name }
func (p *Pod) version() string               { return p.ResourceVersion }
func (p *Pod) identifier() opi.LRPIdentifier { return p.LRPIdentifier }

func (p *Pod) reuse(old *Pod) {
	p.LRPIdentifier = sameIdentifier(p.LRPIdentifier, old.LRPIdentifier)
	p.UID, p.Name = old.UID, same(p.Name, old.Name)
	p.Owner, p.AppGUID = same(p.Owner, old.Owner), same(p.AppGUID, old.AppGUID)
	p.IP = same(p.IP, old.IP)
	p.Container.carry(&old.Container)
}

// carry keeps what the status of a container that has ended no longer says.
func (c *Container) carry(old *Container) {
	switch c.RestartCount {
	case old.RestartCount:
		c.Passed, c.LastPassed = c.Passed || old.Passed, old.LastPassed
	case old.RestartCount + 1:
		c.LastPassed = old.Passed
	}
}

func (v *View) slimPod(obj any) (*Pod, error) {
	if slim, ok := obj.(*Pod); ok {
		return slim, nil
	}
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return nil, fmt.Errorf("expected a Pod, got %T", obj)
	}
	slim := &Pod{
		LRPIdentifier:   identifierOf(pod.Labels),
		Name:            pod.Name,
		UID:             pod.UID,
		ResourceVersion: pod.ResourceVersion,
		Index:           indexOf(pod),
		AppGUID:         pod.Labels[keys.AppGUID],
		Node:            v.words.word(pod.Spec.NodeName),
		IP:              pod.Status.PodIP,
		Phase:           corev1.PodPhase(v.words.word(string(pod.Status.Phase))),
		Reason:          v.words.word(pod.Status.Reason),
		Message:         v.words.word(pod.Status.Message),
		Created:         pod.CreationTimestamp.Time,
		Deleting:        deletionAsked(pod),
		HeldBack:        slices.Contains(pod.Finalizers, keys.CrashBackoffFinalizer),
		metadata:        v.metadataOn(pod),
	}
	if controller := metav1.GetControllerOfNoCopy(pod); controller != nil {
		slim.Owner = controller.UID
	}
	if pod.Status.StartTime != nil {
		slim.Started = pod.Status.StartTime.Time
	}
	for i := range pod.Status.Conditions {
		condition := &pod.Status.Conditions[i]
		switch condition.Type {
		case corev1.PodScheduled:
			slim.Scheduled = v.slimCondition(condition)
		case corev1.ContainersReady:
			slim.ContainersReady = v.verdict(condition.Status, condition.LastTransitionTime)
		case corev1.PodReady:
			slim.Ready = v.slimCondition(condition)
		case corev1.DisruptionTarget:
			if disruption := v.slimCondition(condition); disruption.True() {
				slim.Disruption = &disruption
			}
		}
	}
	if told := pod.Annotations[keys.Told]; told != "" && json.Unmarshal([]byte(told), &slim.Told) != nil {
		slim.Told = opi.InstanceTold{} // somebody changed it: rather tell twice than not at all
	}
	v.slimContainer(pod, &slim.Container)
	return slim, nil
}

func (v *View) slimCondition(condition *corev1.PodCondition) Condition {
	return Condition{
		Verdict: v.verdict(condition.Status, condition.LastTransitionTime),
		Reason:  v.words.word(condition.Reason),
		Message: v.words.word(condition.Message),
	}
}

func (v *View) verdict(status corev1.ConditionStatus, since metav1.Time) Verdict {
	return Verdict{Status: corev1.ConditionStatus(v.words.word(string(status))), Since: since.Time}
}

func (v *View) slimContainer(pod *corev1.Pod, slim *Container) {
	for i := range pod.Spec.Containers {
		if container := &pod.Spec.Containers[i]; container.Name == keys.AppContainer {
			slim.MemoryLimit = container.Resources.Limits.Memory().Value()
			slim.DiskLimit = container.Resources.Limits.StorageEphemeral().Value()
			slim.checks = checksOf(container)
			slim.hasSidecars = sidecars.Described(container.Args)
		}
	}
	for i := range pod.Status.ContainerStatuses {
		status := &pod.Status.ContainerStatuses[i]
		if status.Name != keys.AppContainer {
			continue
		}
		slim.Ready = status.Ready
		// A container without startup check that is ready has started, whether
		// the one who wrote the status said so or not.
		slim.Started = status.Started != nil && *status.Started || status.Ready
		slim.Passed = slim.Started
		slim.RestartCount = status.RestartCount
		slim.LastTermination = v.slimTermination(status.LastTerminationState.Terminated)
		switch {
		case status.State.Running != nil:
			slim.Running = true
			slim.RunningSince = status.State.Running.StartedAt.Time
		case status.State.Terminated != nil:
			slim.Terminated = v.slimTermination(status.State.Terminated)
		case status.State.Waiting != nil:
			slim.Waiting = &Waiting{
				Reason:  v.words.word(status.State.Waiting.Reason),
				Message: v.words.word(status.State.Waiting.Message),
			}
			if isPullFailure(slim.Waiting.Reason) {
				slim.Waiting.Image = v.words.word(usersImage(pod))
			}
		}
	}
}

// usersImage returns the reference of the image that a docker app consists of; it is empty
// for a buildpack app.
func usersImage(pod *corev1.Pod) string {
	if pod.Labels[keys.RootFSVersion] != "" {
		return ""
	}
	for i := range pod.Spec.Containers {
		if container := &pod.Spec.Containers[i]; container.Name == keys.AppContainer {
			return container.Image
		}
	}
	return ""
}

func (v *View) slimTermination(terminated *corev1.ContainerStateTerminated) *Termination {
	if terminated == nil {
		return nil
	}
	return &Termination{
		ExitCode:   terminated.ExitCode,
		Signal:     terminated.Signal,
		Reason:     v.words.word(terminated.Reason),
		Message:    v.words.word(terminated.Message),
		StartedAt:  terminated.StartedAt.Time,
		FinishedAt: terminated.FinishedAt.Time,
	}
}

// indexOf takes the label, which Kubernetes sets since 1.28, or the ordinal at
// the end of the name.
func indexOf(pod *corev1.Pod) int {
	text, labelled := pod.Labels[keys.PodIndex]
	if !labelled {
		text = pod.Name[strings.LastIndexByte(pod.Name, '-')+1:]
	}
	index, err := strconv.Atoi(text)
	if err != nil || index < 0 {
		return NoIndex
	}
	return index
}

func deletionAsked(pod *corev1.Pod) *time.Time {
	if pod.DeletionTimestamp == nil {
		return nil
	}
	at := pod.DeletionTimestamp.Time
	if grace := pod.DeletionGracePeriodSeconds; grace != nil {
		at = at.Add(-time.Duration(*grace) * time.Second)
	}
	return &at
}
