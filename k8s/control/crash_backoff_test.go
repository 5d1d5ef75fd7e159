package control

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/k8s/view"
)

func TestBackoffGrowsToALimit(t *testing.T) {
	g := NewWithT(t)
	for count, want := range []time.Duration{0, 0, 0, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 5 * time.Minute} {
		g.Expect(backoffAfter(count)).To(Equal(want), "%d", count)
	}
	g.Expect(backoffAfter(1_000_000)).To(Equal(5 * time.Minute))
}

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// instance is a pod that began to run 20 s ago.
func instance(uid types.UID, edits ...func(*view.Pod)) view.Pod {
	pod := view.Pod{UID: uid, Owner: "set", Phase: corev1.PodRunning, Container: view.Container{Running: true, RunningSince: now.Add(-20 * time.Second)}}
	for _, edit := range edits {
		edit(&pod)
	}
	return pod
}

func heldBack(pod *view.Pod) { pod.HeldBack = true }

func deleted(pod *view.Pod) { pod.Deleting = &now }

func drained(pod *view.Pod) {
	pod.Disruption = &view.Condition{Verdict: view.Verdict{Status: corev1.ConditionTrue}, Reason: "EvictionByEvictionAPI"}
}

func at(index int) func(*view.Pod) { return func(pod *view.Pod) { pod.Index = index } }

// failed is a pod that kubelet has evicted after a run of 20 s.
func failed(message string) func(*view.Pod) {
	return func(pod *view.Pod) {
		pod.Phase, pod.Reason, pod.Message = corev1.PodFailed, "Evicted", message
		pod.Container = view.Container{Terminated: &view.Termination{ExitCode: 137, StartedAt: now.Add(-20 * time.Second), FinishedAt: now}}
	}
}

var (
	overDisk = failed(`Container opi exceeded its local ephemeral storage limit "256Mi". `)
	pressed  = failed("The node was low on resource: ephemeral-storage. ")
)

func ranFor(d time.Duration) func(*view.Pod) {
	return func(pod *view.Pod) {
		if ended := pod.Container.Terminated; ended != nil {
			ended.StartedAt = ended.FinishedAt.Add(-d)
			return
		}
		pod.Container.RunningSince = now.Add(-d)
	}
}

func TestEndsAreCountedOnce(t *testing.T) {
	one := `{"0":{"count":1,"at":"2026-03-01T11:59:00Z","pod":"a"}}`
	for name, c := range map[string]struct {
		record  string
		pods    []view.Pod
		lrp     view.LRP
		want    string
		counted int
	}{
		"nothing happened":      {pods: []view.Pod{instance("a")}},
		"the first":             {pods: []view.Pod{instance("a", overDisk)}, want: `{"0":{"count":1,"at":"2026-03-01T12:00:00Z","pod":"a"}}`, counted: 1},
		"the first, once more":  {record: one, pods: []view.Pod{instance("a", overDisk, deleted)}, want: one},
		"the second":            {record: one, pods: []view.Pod{instance("b", overDisk, deleted)}, want: `{"0":{"count":2,"at":"2026-03-01T12:00:00Z","pod":"b"}}`, counted: 1},
		"for the node's sake":   {record: one, pods: []view.Pod{instance("b", pressed)}, want: one},
		"stopped":               {record: one, pods: []view.Pod{instance("b", deleted)}, want: one},
		"between two pods":      {record: one, want: one},
		"runs for a short time": {record: one, pods: []view.Pod{instance("b")}, want: one},
		"has run for a while":   {record: one, pods: []view.Pod{instance("b", ranFor(5*time.Minute))}},
		"after a good while":    {record: one, pods: []view.Pod{instance("b", overDisk, ranFor(time.Hour))}, want: `{"0":{"count":1,"at":"2026-03-01T12:00:00Z","pod":"b"}}`, counted: 1},
		"another index":         {record: one, pods: []view.Pod{instance("b"), instance("c", at(1), overDisk)}, want: `{"0":{"count":1,"at":"2026-03-01T11:59:00Z","pod":"a"},"1":{"count":1,"at":"2026-03-01T12:00:00Z","pod":"c"}}`, counted: 1},
		"scaled down":           {record: one, pods: []view.Pod{instance("b", overDisk)}, lrp: view.LRP{UID: "set", Instances: 0}},
		"not desired":           {pods: []view.Pod{instance("a", at(2), overDisk), instance("b", at(view.NoIndex), overDisk)}},
		"too many instances":    {pods: []view.Pod{instance("a", at(500), overDisk)}, lrp: view.LRP{UID: "set", Instances: 1000}},
		"changed by hand":       {record: "?", pods: []view.Pod{instance("a", overDisk)}, want: `{"0":{"count":1,"at":"2026-03-01T12:00:00Z","pod":"a"}}`, counted: 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			if c.lrp.UID == "" {
				c.lrp = view.LRP{UID: "set", Instances: 2}
			}
			crashes := parseDiskCrashes(c.record)
			counted, changed := crashes.update(c.lrp, c.pods, now)
			text, err := crashes.encode()
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(text).To(Equal(c.want))
			g.Expect(counted).To(HaveLen(c.counted))
			g.Expect(changed).To(Equal(c.want != c.record))
			_, changed = crashes.update(c.lrp, c.pods, now)
			g.Expect(changed).To(BeFalse(), "twice")
		})
	}
}

func TestWhoIsHeldBack(t *testing.T) {
	third := `{"0":{"count":3,"at":"2026-03-01T11:59:57Z","pod":"a"}}`
	second := `{"0":{"count":2,"at":"2026-03-01T11:59:57Z","pod":"a"}}`
	const hold, release, keep, nothing = "hold", "release", "keep", ""
	for name, c := range map[string]struct {
		record string
		pod    view.Pod
		lrp    func(*view.LRP)
		want   string
		again  time.Duration
	}{
		"never over its disk":           {pod: instance("b"), want: nothing},
		"after the first":               {record: second, pod: instance("b"), want: hold, again: 5*time.Minute - 20*time.Second},
		"after the first, does not run": {record: second, pod: instance("b", func(p *view.Pod) { p.Container = view.Container{} }), want: hold},
		"held already":                  {record: second, pod: instance("b", heldBack), want: keep, again: 5*time.Minute - 20*time.Second},
		"the one that was over":         {record: second, pod: instance("a", overDisk), want: nothing},
		"two in a row":                  {record: second, pod: instance("a", overDisk, deleted, heldBack), want: release},
		"three in a row":                {record: third, pod: instance("a", overDisk, deleted, heldBack), want: keep, again: 7 * time.Second},
		"the back-off is over":          {record: `{"0":{"count":3,"at":"2026-03-01T11:59:50Z","pod":"a"}}`, pod: instance("a", overDisk, deleted, heldBack), want: release},
		"a clock was set back":          {record: `{"0":{"count":3,"at":"2026-03-02T11:59:50Z","pod":"a"}}`, pod: instance("a", overDisk, deleted, heldBack), want: keep, again: 10 * time.Second},
		"not counted yet":               {record: second, pod: instance("b", overDisk, heldBack), want: keep},
		"drained while it waits":        {record: third, pod: instance("a", overDisk, deleted, heldBack, drained), want: release},
		"stopped, drained or lost":      {record: third, pod: instance("b", heldBack, deleted), want: release},
		"stopped, and not held":         {record: third, pod: instance("b", deleted), want: nothing},
		"pressed off by its node":       {record: third, pod: instance("b", heldBack, pressed), want: release},
		"forgotten, since it runs well": {pod: instance("b", heldBack), want: release},
		"scaled down":                   {record: third, pod: instance("a", overDisk, deleted, heldBack, at(1)), want: release},
		"another owner's":               {record: third, pod: instance("a", overDisk, deleted, heldBack, func(p *view.Pod) { p.Owner = "old" }), want: release},
		"moved to another stack":        {record: third, pod: instance("a", overDisk, deleted, heldBack), lrp: func(lrp *view.LRP) { lrp.Moving = true }, want: release},
		"about to be moved":             {record: third, pod: instance("b"), lrp: func(lrp *view.LRP) { lrp.Moving = true }, want: nothing, again: 5*time.Minute - 20*time.Second},
		"a surge's":                     {record: `{"1":{"count":3,"at":"2026-03-01T11:59:57Z","pod":"a"}}`, pod: instance("b", at(1)), lrp: func(lrp *view.LRP) { lrp.Surge = 1 }, want: hold, again: 5*time.Minute - 20*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			lrp := view.LRP{UID: "set", Instances: 1, DiskCrashes: c.record}
			if c.lrp != nil {
				c.lrp(&lrp)
			}
			var pods, held []view.Pod
			if c.pod.Owner == lrp.UID {
				pods = append(pods, c.pod)
			}
			if c.pod.HeldBack {
				held = append(held, c.pod)
			}
			plan := planBackoff(lrp, pods, held, now)
			got := nothing
			switch {
			case len(plan.hold) > 0:
				got = hold
			case len(plan.release) > 0:
				got = release
			case c.pod.HeldBack:
				got = keep
			}
			g.Expect(got).To(Equal(c.want))
			g.Expect(plan.again).To(Equal(c.again))
		})
	}
}

func TestCountsInWords(t *testing.T) {
	g := NewWithT(t)
	for n, want := range map[int]string{1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 13: "13th", 21: "21st", 111: "111th", 102: "102nd"} {
		g.Expect(ordinal(n)).To(Equal(want))
	}
}
