package view

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/opi"
)

// Records say what has happened to the instances of lrp that are desired at present,
// in the order of their indexes.
func (v *View) Records(lrp LRP) []opi.InstanceRecord {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var all []opi.InstanceRecord
	for _, pod := range v.podsOf(lrp.UID) {
		if pod.Index >= 0 && pod.Index < lrp.Instances {
			record := instanceRecord(&pod, v.silenceOf(&pod).silent, v.checkEvents.of(pod.UID))
			record.Door = lrp.Door
			all = append(all, record)
		}
	}
	return all
}

func instanceRecord(pod *Pod, silent bool, seen failedChecks) opi.InstanceRecord {
	record := opi.InstanceRecord{
		LRPIdentifier: pod.LRPIdentifier, Index: pod.Index, GUID: string(pod.UID), Cell: pod.Node, Object: pod.Name,
		Rescheduled: rescheduled(pod), Told: pod.Told,
	}
	record.Crashes, record.LastCrash = crashes(pod, seen)
	if pod.Deleting == nil && pod.Phase != corev1.PodFailed && !silent && pod.Container.Running && pod.Container.Started && pod.Ready.Status != "" {
		ready := pod.Ready.True()
		record.Ready = &ready
	}
	return record
}

// crashes counts how often the app's container has died by itself, and says how the last
// time; nil if nobody knows. A container that ends because its pod is to end has not
// crashed.
func crashes(pod *Pod, seen failedChecks) (count int, last *opi.Crash) {
	if pod.OverDisk() {
		return overDiskCrash(pod)
	}
	c := &pod.Container
	count, ended, passed := c.ends()
	if count > int(c.RestartCount) && endedInOrder(pod, ended) {
		count--
		if c.Terminated == nil {
			return count, nil
		}
		ended, passed = c.LastTermination, c.LastPassed
	}
	if count == 0 || ended == nil {
		return count, nil
	}
	return count, &opi.Crash{ExitStatus: &ended.ExitCode, Description: c.crash(ended, passed, seen), At: ended.FinishedAt}
}

// orderSlack is how much earlier than an order to end a run must have ended not to have
// ended because of it: nodes and the API server have clocks of their own, and times
// are in whole seconds. A crash that is seen before the order counts in any case.
const orderSlack = 5 * time.Second

// endedInOrder is whether the run that ended last ended because its pod is to end, or
// may have: if it has not, the container is started again, and that is seen.
func endedInOrder(pod *Pod, t *Termination) bool {
	before := func(order time.Time) bool {
		return !t.FinishedAt.IsZero() && t.FinishedAt.Before(order.Add(-orderSlack))
	}
	switch {
	case pod.Disruption != nil && !before(pod.Disruption.Since):
		return true
	case pod.Deleting != nil:
		return !before(*pod.Deleting)
	}
	return pod.Disruption == nil && (pod.Phase == corev1.PodFailed || pod.Phase == corev1.PodSucceeded)
}

// Reasons of the condition DisruptionTarget that have no constant in the API.
const (
	reasonEviction     = "EvictionByEvictionAPI"
	reasonTaintManager = "DeletionByTaintManager"
	reasonPodGC        = "DeletionByPodGC"
)

// rescheduled says in a user's words why Kubernetes takes a pod off its node, and
// nothing where a person or Cloud Controller wanted its end. A deleted pod gets phase
// Failed or Succeeded, too, once its containers have ended.
func rescheduled(pod *Pod) string {
	failed := pod.Phase == corev1.PodFailed
	switch {
	case pod.OverDisk():
		return "" // that is a crash
	case pod.Deleting == nil && !failed, pod.Disruption == nil && pod.Deleting != nil && (!failed || pod.Reason == ""):
		return ""
	case pod.Disruption == nil:
		return podEnd(pod)
	}
	switch reason := pod.Disruption.Reason; reason {
	case reasonEviction:
		return fmt.Sprintf("evicted: cell %s is being emptied", pod.Node)
	case reasonTaintManager:
		return fmt.Sprintf("cell %s must not run it any longer (%s)", pod.Node, orReason(pod.Disruption.Message, reason))
	case reasonPodGC:
		return fmt.Sprintf("cell %s is gone", pod.Node)
	case corev1.PodReasonPreemptionByScheduler:
		return fmt.Sprintf("preempted on cell %s by what is more important", pod.Node)
	}
	if pod.Reason != "" || pod.Message != "" {
		return podEnd(pod)
	}
	return orReason(pod.Disruption.Message, pod.Disruption.Reason)
}
