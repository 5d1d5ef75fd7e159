package control

import (
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/view"
)

const (
	// immediateReplacements is how many ends in a row are followed by a new pod at once.
	immediateReplacements = 2
	// firstBackoff is the first delay after that; it doubles up to lastBackoff.
	firstBackoff = 10 * time.Second
	lastBackoff  = 5 * time.Minute
	// healthyAfter is how long an instance has to run until its earlier ends are forgotten.
	// It is Diego's.
	healthyAfter = 5 * time.Minute
	// maxBackedOff bounds the size of the annotation, which has about 100 bytes for an
	// index. Instances with this index or a higher one are always replaced at once.
	maxBackedOff = 500
)

// backoffAfter returns how long the replacement of an instance waits that was over its disk
// limit for the nth time.
func backoffAfter(count int) time.Duration {
	if count <= immediateReplacements {
		return 0
	}
	wait := firstBackoff
	for range count - immediateReplacements - 1 {
		if wait *= 2; wait >= lastBackoff {
			return lastBackoff
		}
	}
	return wait
}

// diskCrashes holds, for each index whose instances were over their disk limit lately, how
// often. It is the value of the annotation keys.DiskCrashes.
type diskCrashes map[int]diskCrash

type diskCrash struct {
	// Count is how many instances in a row were over the limit.
	Count int `json:"count"`
	// At is when the last one was noticed, by the leader's clock.
	At time.Time `json:"at"`
	// Pod is the uid of the last one. It is counted once.
	Pod types.UID `json:"pod"`
}

// parseDiskCrashes reads an annotation. One that somebody has made unreadable counts for
// none.
func parseDiskCrashes(text string) diskCrashes {
	var crashes diskCrashes
	if text == "" || json.Unmarshal([]byte(text), &crashes) != nil || crashes == nil {
		return diskCrashes{}
	}
	return crashes
}

// encode returns the annotation, which is empty for none.
func (c diskCrashes) encode() (string, error) {
	if len(c) == 0 {
		return "", nil
	}
	text, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encode annotation %s: %w", keys.DiskCrashes, err)
	}
	return string(text), nil
}

// update brings the record up to date with pods and returns those that it has counted.
func (c diskCrashes) update(lrp view.LRP, pods []view.Pod, now time.Time) (counted []view.Pod, changed bool) {
	for index := range c {
		if !backedOff(lrp, index) {
			delete(c, index)
			changed = true
		}
	}
	for _, pod := range pods {
		if !backedOff(lrp, pod.Index) {
			continue
		}
		last, recorded := c[pod.Index]
		switch {
		case recorded && last.Pod == pod.UID:
		case pod.OverDisk():
			count := last.Count + 1
			if hadRunWell(pod) {
				count = 1
			}
			c[pod.Index] = diskCrash{Count: count, At: now.UTC().Truncate(time.Second), Pod: pod.UID}
			counted, changed = append(counted, pod), true
		case recorded:
			if wait, runs := runsWellIn(pod, now); runs && wait <= 0 {
				delete(c, pod.Index)
				changed = true
			}
		}
	}
	return counted, changed
}

// backedOff reports whether instances of an index are subject to the back-off.
func backedOff(lrp view.LRP, index int) bool {
	return index >= 0 && index < min(lrp.Instances+lrp.Surge, maxBackedOff)
}

// hadRunWell reports whether an instance that has ended had run for a while.
func hadRunWell(pod view.Pod) bool {
	ended := pod.Container.Terminated
	return ended != nil && !ended.StartedAt.IsZero() && ended.FinishedAt.Sub(ended.StartedAt) >= healthyAfter
}

// runsWellIn returns after what time an instance that runs will have run for a while: 0 or
// less if it has.
func runsWellIn(pod view.Pod, now time.Time) (wait time.Duration, runs bool) {
	if !pod.Container.Running || pod.Container.RunningSince.IsZero() || pod.Deleting != nil || hasEnded(pod) {
		return 0, false
	}
	return healthyAfter - now.Sub(pod.Container.RunningSince), true
}

func hasEnded(pod view.Pod) bool {
	return pod.Phase == corev1.PodFailed || pod.Phase == corev1.PodSucceeded
}

// backoffPlan is what has to be done for one LRP.
type backoffPlan struct {
	// hold are the pods that need the finalizer, release those that have to lose it.
	hold, release []view.Pod
	// again is when time alone changes the plan; 0 for never.
	again time.Duration
}

func (p *backoffPlan) lookAgainIn(wait time.Duration) {
	if p.again == 0 || wait < p.again {
		p.again = wait
	}
}

// planBackoff decides which pods carry the finalizer. pods are those of the LRP, heldBack
// all of its identity that have the finalizer, whoever owns them. It is pure.
func planBackoff(lrp view.LRP, pods, heldBack []view.Pod, now time.Time) backoffPlan {
	var plan backoffPlan
	crashes := parseDiskCrashes(lrp.DiskCrashes)
	for _, pod := range pods {
		last, recorded := crashes[pod.Index]
		if !recorded || last.Pod == pod.UID {
			continue
		}
		if wait, runs := runsWellIn(pod, now); runs && wait > 0 {
			plan.lookAgainIn(wait)
		}
		if !pod.HeldBack && !lrp.Moving && pod.Deleting == nil && !hasEnded(pod) {
			plan.hold = append(plan.hold, pod)
		}
	}
	for _, pod := range heldBack {
		keep, again := keepsFinalizer(lrp, crashes, pod, now)
		if !keep {
			plan.release = append(plan.release, pod)
		} else if again > 0 {
			plan.lookAgainIn(again)
		}
	}
	return plan
}

// keepsFinalizer reports whether a pod has to keep its finalizer, and after what time that
// changes by itself; 0 for never.
func keepsFinalizer(lrp view.LRP, crashes diskCrashes, pod view.Pod, now time.Time) (keep bool, again time.Duration) {
	last, recorded := crashes[pod.Index]
	switch {
	case pod.Owner != lrp.UID, lrp.Moving, !backedOff(lrp, pod.Index):
		return false, 0
	case !pod.OverDisk():
		return recorded && pod.Deleting == nil && !hasEnded(pod), 0
	case pod.Disruption != nil: // its node is drained, say, which would wait for the pod
		return false, 0
	case last.Pod != pod.UID:
		return true, 0 // until it is counted
	}
	// A clock that was set back must not make the wait longer than it ever is.
	wait := min(backoffAfter(last.Count), last.At.Add(backoffAfter(last.Count)).Sub(now))
	return wait > 0, wait
}
