package view

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

func TestRevision(t *testing.T) {
	g := NewWithT(t)
	v, now := idleView(t)
	is := func(lrp, instances uint64) {
		t.Helper()
		g.Expect(v.Revision(appID)).To(Equal(Revision{LRP: lrp, Instances: instances}))
	}
	is(0, 0)
	list(g, v.lrps, 10, statefulSet("a", "uid-a", 5))
	is(5, 0)
	list(g, v.pods, 20, ownedPod("uid-a", "p0", 0, 8), ownedPod("uid-a", "p1", 1, 7), ownedPod("uid-b", "other", 0, 15))
	is(5, 8)
	g.Expect(v.pods.Bookmark("30")).To(Succeed())
	g.Expect(v.lrps.Update(statefulSet("a", "uid-a", 40))).To(Succeed())
	is(40, 8) // hearing of the one says nothing of the other
	v.NoteStatefulSet(statefulSet("a", "uid-a", 45))
	is(45, 8)

	v.NoteDeletedPod("p1")
	is(45, 8) // after 7, which is what is known of it
	v.NoteDeletedPod("p0")
	is(45, 9)
	g.Expect(v.pods.Delete(ownedPod("uid-a", "p0", 0, 31))).To(Succeed())
	is(45, 31)
	list(g, v.pods, 35)
	is(45, 35) // p1 is gone, at the latest as of the list

	g.Expect(v.lrps.Update(statefulSet("a", "uid-a", 50, func(s *appsv1.StatefulSet) { s.Labels[keys.Version] = "v2" }))).To(Succeed())
	is(50, 35)
	g.Expect(v.Revision(opi.LRPIdentifier{GUID: "app", Version: "v2"})).To(Equal(Revision{LRP: 50}))
	v.NoteStatefulSet(statefulSet("b", "uid-b", 60))
	g.Expect(v.lrps.Bookmark("61")).To(Succeed())
	is(61, 35) // created and deleted before the watch told

	now.SetTime(start.Add(passedAge - time.Second))
	is(61, 35)
	for range 2 {
		now.SetTime(now.Now().Add(passedAge))
		g.Expect(v.lrps.Add(statefulSet("c", "uid-c", 70))).To(Succeed())
		g.Expect(v.lrps.Delete(statefulSet("c", "uid-c", 71))).To(Succeed())
	}
	is(71, 35)
	list(g, v.lrps, 30)
	is(0, 35) // etcd was restored from a backup
}

func TestPassedIsBounded(t *testing.T) {
	g := NewWithT(t)
	var p passed
	now := start
	for n := range 100 {
		now = now.Add(passedAge / 10)
		p.note(opi.LRPIdentifier{GUID: string(rune('a' + n))}, uint64(n), now)
	}
	g.Expect(len(p.young) + len(p.old)).To(BeNumerically("<=", 20))
}

func TestProgress(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	is := func(seen, changed Revision) {
		t.Helper()
		g.Expect(v.Progress()).To(Equal(Progress{Seen: seen, Changed: changed}))
	}
	is(Revision{}, Revision{})
	list(g, v.lrps, 10, statefulSet("a", "uid-a", 5))
	list(g, v.pods, 20, ownedPod("uid-a", "p0", 0, 8), ownedPod("uid-a", "p1", 1, 7))
	is(Revision{10, 20}, Revision{5, 8})
	g.Expect(v.pods.Bookmark("30")).To(Succeed())
	is(Revision{10, 30}, Revision{5, 8})
	v.NoteStatefulSet(statefulSet("a", "uid-a", 45))
	is(Revision{10, 30}, Revision{5, 8}) // a write of our own says nothing of the watch
	g.Expect(v.lrps.Update(statefulSet("a", "uid-a", 45))).To(Succeed())
	g.Expect(v.pods.Delete(ownedPod("uid-a", "p0", 0, 46))).To(Succeed())
	is(Revision{45, 46}, Revision{45, 46})
	list(g, v.pods, 50, ownedPod("uid-a", "p1", 1, 7))
	is(Revision{45, 50}, Revision{45, 46})
	list(g, v.pods, 60)
	is(Revision{45, 60}, Revision{45, 60}) // p1 went at some time until then
	list(g, v.lrps, 30)
	is(Revision{30, 60}, Revision{0, 60}) // etcd was restored from a backup
	list(g, v.lrps, 31, statefulSet("a", "uid-a", 12))
	is(Revision{31, 60}, Revision{12, 60})
}

// Subscribers know of all that Progress claims.
func TestProgressFollowsSubscribers(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	v.Subscribe(func(Change) { g.Expect(v.Progress().Seen.LRP).To(BeZero()) })
	list(g, v.lrps, 10, statefulSet("a", "uid-a", 5))
	g.Expect(v.Progress().Seen.LRP).To(BeEquivalentTo(10))
}
