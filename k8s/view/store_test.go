package view

import (
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

func TestWatchEventsAreSeen(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	list(g, v.lrps, 10, statefulSet("a", "uid-a", 5), statefulSet("b", "uid-b", 6))
	g.Expect(v.lrps.Update(statefulSet("a", "uid-a", 11))).To(Succeed())
	g.Expect(v.lrps.Add(statefulSet("c", "uid-c", 12))).To(Succeed())
	g.Expect(v.lrps.Delete(statefulSet("b", "uid-b", 13))).To(Succeed())
	g.Expect(versions(v)).To(Equal(map[string]string{"uid-a": "11", "uid-c": "12"}))
}

func TestWrongTypesAreRefused(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	g.Expect(v.lrps.Add(secretMeta("s", "uid", 1))).To(MatchError(ContainSubstring("expected a StatefulSet")))
	g.Expect(v.pods.Replace([]any{statefulSet("a", "a", 1)}, "1")).To(MatchError(ContainSubstring("list of pods")))
	g.Expect(v.budgets.Delete(statefulSet("a", "a", 1))).To(MatchError(ContainSubstring("poddisruptionbudgets")))
	g.Expect(v.nodes.Add(statefulSet("a", "a", 1))).To(MatchError(ContainSubstring("expected a Node")))
}

func TestOwnWriteIsSeenAtOnceAndOutlastsOlderEvents(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	list(g, v.lrps, 10, statefulSet("a", "uid-a", 5))
	v.NoteStatefulSet(statefulSet("a", "uid-a", 14))
	g.Expect(versions(v)).To(HaveKeyWithValue("uid-a", "14"))
	g.Expect(v.lrps.Update(statefulSet("a", "uid-a", 12))).To(Succeed())
	g.Expect(versions(v)).To(HaveKeyWithValue("uid-a", "14"))
	g.Expect(v.lrps.Update(statefulSet("a", "uid-a", 14))).To(Succeed())
	g.Expect(v.lrps.Update(statefulSet("a", "uid-a", 15))).To(Succeed())
	g.Expect(versions(v)).To(HaveKeyWithValue("uid-a", "15"))
	g.Expect(v.lrps.own).To(BeEmpty())
}

func TestOwnWriteBeforeTheFirstList(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	v.NoteStatefulSet(statefulSet("new", "uid-new", 12))
	v.NoteStatefulSet(statefulSet("old", "uid-old", 8))
	g.Expect(versions(v)).To(HaveLen(2))
	list(g, v.lrps, 10)
	g.Expect(versions(v)).To(Equal(map[string]string{"uid-new": "12"}), "the list knows what happened to uid-old")
}

func TestNoteThatComesAfterTheWatchChangesNothing(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	list(g, v.lrps, 10)
	g.Expect(v.lrps.Add(statefulSet("a", "uid-a", 11))).To(Succeed())
	g.Expect(v.lrps.Delete(statefulSet("a", "uid-a", 12))).To(Succeed())
	v.NoteStatefulSet(statefulSet("a", "uid-a", 11))
	g.Expect(versions(v)).To(BeEmpty(), "another client deleted it before our answer was noted")
}

func TestNotingTwiceKeepsTheWriteOwn(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	list(g, v.lrps, 10)
	v.NoteStatefulSet(statefulSet("a", "uid-a", 12))
	v.NoteStatefulSet(statefulSet("a", "uid-a", 12))
	list(g, v.lrps, 11)
	g.Expect(versions(v)).To(HaveKey("uid-a"))
}

func TestOwnWriteThatTheWatchNeverDelivers(t *testing.T) {
	for name, pass := range map[string]func(*WithT, *View){
		"an event":   func(g *WithT, v *View) { g.Expect(v.lrps.Add(statefulSet("b", "uid-b", 13))).To(Succeed()) },
		"a bookmark": func(g *WithT, v *View) { g.Expect(v.lrps.Bookmark("12")).To(Succeed()) },
		"a relist":   func(g *WithT, v *View) { list(g, v.lrps, 12) },
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			v, _ := idleView(t)
			list(g, v.lrps, 10)
			v.NoteStatefulSet(statefulSet("a", "uid-a", 12))
			g.Expect(v.lrps.Bookmark("11")).To(Succeed())
			g.Expect(versions(v)).To(HaveKey("uid-a"))
			pass(g, v)
			g.Expect(versions(v)).NotTo(HaveKey("uid-a"))
			g.Expect(v.lrps.ownByAge).To(BeEmpty())
		})
	}
}

func TestRelistKeepsLaterOwnWritesOnly(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	list(g, v.lrps, 10, statefulSet("gone", "uid-gone", 5), statefulSet("kept", "uid-kept", 6))
	v.NoteStatefulSet(statefulSet("early", "uid-early", 20))
	v.NoteStatefulSet(statefulSet("late", "uid-late", 40))
	v.NoteStatefulSet(statefulSet("kept", "uid-kept", 41))
	list(g, v.lrps, 30, statefulSet("kept", "uid-kept", 25))
	g.Expect(versions(v)).To(Equal(map[string]string{"uid-late": "40", "uid-kept": "41"}))
	g.Expect(v.lrps.Bookmark("50")).To(Succeed())
	g.Expect(versions(v)).To(BeEmpty(), "the watch never delivered them")
}

func TestOwnDeleteOutlastsLateEvents(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	list(g, v.lrps, 10, statefulSet("a", "uid-a", 5))
	v.NoteDeletedStatefulSet("uid-a")
	_, found := v.LRP(appID)
	g.Expect(found).To(BeFalse())
	g.Expect(v.lrps.Update(statefulSet("a", "uid-a", 11))).To(Succeed())
	g.Expect(versions(v)).To(BeEmpty())
	g.Expect(v.lrps.Delete(statefulSet("a", "uid-a", 12))).To(Succeed())
	g.Expect(v.lrps.tombstones.at).To(BeEmpty())
	g.Expect(v.lrps.byUID).To(BeEmpty())
}

func TestCreateAndDeleteOfOurOwnBothAheadOfTheWatch(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	list(g, v.lrps, 10)
	v.NoteStatefulSet(statefulSet("a", "uid-a", 12))
	v.NoteDeletedStatefulSet("uid-a")
	g.Expect(versions(v)).To(BeEmpty())
	g.Expect(v.lrps.Add(statefulSet("a", "uid-a", 12))).To(Succeed())
	g.Expect(versions(v)).To(BeEmpty())
	g.Expect(v.lrps.Delete(statefulSet("a", "uid-a", 13))).To(Succeed())
	g.Expect(v.lrps.byUID).To(BeEmpty())
}

func TestTombstonesAreBounded(t *testing.T) {
	g := NewWithT(t)
	v, now := idleView(t)
	var seen []Change
	v.Subscribe(func(c Change) { seen = append(seen, c) })
	list(g, v.lrps, 10, statefulSet("a", "uid-a", 5))
	v.NoteDeletedStatefulSet("uid-a")
	v.NoteDeletedStatefulSet("uid-never-seen")
	now.SetTime(start.Add(9 * time.Minute))
	g.Expect(v.lrps.Bookmark("11")).To(Succeed())
	g.Expect(versions(v)).To(BeEmpty())
	seen = nil
	now.SetTime(start.Add(10 * time.Minute))
	g.Expect(v.lrps.Bookmark("12")).To(Succeed())
	g.Expect(versions(v)).To(HaveKey("uid-a"), "the API server has not deleted it after all")
	g.Expect(seen).To(ConsistOf(Change{LRP: appID, Resource: StatefulSets}))
	g.Expect(v.lrps.tombstones.at).To(BeEmpty())
	g.Expect(v.lrps.tombstones.order).To(BeEmpty())
}

func TestAnotherObjectUnderTheSameName(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	list(g, v.lrps, 10, statefulSet("a", "uid-old", 5))
	v.NoteStatefulSet(statefulSet("a", "uid-new", 20))
	g.Expect(versions(v)).To(Equal(map[string]string{"uid-new": "20"}))
	g.Expect(v.lrps.Update(statefulSet("a", "uid-old", 11))).To(Succeed())
	g.Expect(v.lrps.Delete(statefulSet("a", "uid-old", 19))).To(Succeed())
	g.Expect(versions(v)).To(Equal(map[string]string{"uid-new": "20"}))
	g.Expect(v.lrps.Add(statefulSet("a", "uid-new", 20))).To(Succeed())
	g.Expect(v.lrps.Bookmark("30")).To(Succeed())
	g.Expect(versions(v)).To(Equal(map[string]string{"uid-new": "20"}))
}

func TestDeletionEventOlderThanAnOwnWrite(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	list(g, v.lrps, 10, statefulSet("a", "uid-a", 5))
	v.NoteStatefulSet(statefulSet("a", "uid-a", 13)) // puts the label back that somebody took at 12
	g.Expect(v.lrps.Delete(statefulSet("a", "uid-a", 12))).To(Succeed())
	g.Expect(versions(v)).To(HaveKeyWithValue("uid-a", "13"))
}

func TestRewrittenHistory(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	list(g, v.lrps, 100, statefulSet("a", "uid-a", 90), statefulSet("b", "uid-b", 80))
	v.NoteStatefulSet(statefulSet("c", "uid-c", 110))
	v.NoteDeletedStatefulSet("uid-b")
	list(g, v.lrps, 50, statefulSet("a", "uid-a", 40), statefulSet("b", "uid-b", 41))
	g.Expect(versions(v)).To(Equal(map[string]string{"uid-a": "40", "uid-b": "41"}))
	g.Expect(v.lrps.Update(statefulSet("a", "uid-a", 51))).To(Succeed())
	g.Expect(versions(v)).To(HaveKeyWithValue("uid-a", "51"))
}

func TestNotesThatTheWatchWouldNotFollow(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	list(g, v.lrps, 10)
	v.NoteStatefulSet(statefulSet("a", "uid-a", 12, func(s *appsv1.StatefulSet) { s.Namespace = "other" }))
	v.NoteStatefulSet(statefulSet("b", "uid-b", 12, func(s *appsv1.StatefulSet) { s.Labels[keys.SourceType] = "TASK" }))
	v.NoteStatefulSet(statefulSet("c", "uid-c", 12, func(s *appsv1.StatefulSet) { s.ResourceVersion = "" }))
	g.Expect(versions(v)).To(BeEmpty())
}

func TestSubscribersHearOfChangesOnly(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	var seen []Change
	v.Subscribe(func(c Change) {
		seen = append(seen, c)
		v.LRPs() // outside the lock
	})
	change := Change{LRP: appID, Resource: StatefulSets}
	step := func(f func()) []Change { seen = nil; f(); return seen }

	g.Expect(step(func() { list(g, v.lrps, 10, statefulSet("a", "uid-a", 5)) })).To(Equal([]Change{change}))
	g.Expect(step(func() { list(g, v.lrps, 11, statefulSet("a", "uid-a", 5)) })).To(BeEmpty())
	g.Expect(step(func() { v.NoteStatefulSet(statefulSet("a", "uid-a", 12)) })).To(Equal([]Change{change}))
	g.Expect(step(func() { _ = v.lrps.Update(statefulSet("a", "uid-a", 12)) })).To(BeEmpty())
	g.Expect(step(func() { _ = v.lrps.Bookmark("13") })).To(BeEmpty())
	g.Expect(step(func() { _ = v.secrets.Replace([]any{secretMeta("s", "uid-s", 3)}, "10") })).To(
		Equal([]Change{{LRP: appID, Resource: Secrets}}))
	g.Expect(step(func() {
		_ = v.lrps.Update(statefulSet("a", "uid-a", 14, func(s *appsv1.StatefulSet) { s.Labels[keys.Version] = "v2" }))
	})).To(HaveLen(2), "both identities are concerned")
	g.Expect(step(func() { _ = v.lrps.Delete(statefulSet("a", "uid-a", 15)) })).To(HaveLen(1))
}

func TestFresh(t *testing.T) {
	g := NewWithT(t)
	v, now := idleView(t)
	g.Expect(v.Synced()).To(BeFalse())
	g.Expect(v.Fresh()).To(MatchError(ContainSubstring("statefulsets have not been listed yet")))
	list(g, v.lrps, 10)
	list(g, v.pods, 10)
	list(g, v.secrets, 10)
	g.Expect(v.Synced()).To(BeFalse())
	list(g, v.budgets, 10)
	g.Expect(v.Fresh()).To(Succeed(), "GET /apps says nothing of nodes")
	g.Expect(v.Synced()).To(BeFalse())
	list(g, v.nodes, 10)
	g.Expect(v.Synced()).To(BeTrue())

	advance := map[string]func(int) error{
		"statefulsets": func(n int) error { return v.lrps.Bookmark(strconv.Itoa(n)) },
		"pods":         func(n int) error { return v.pods.Add(ownedPod("o", "p"+strconv.Itoa(n), n, n)) },
		"secrets":      func(n int) error { return v.secrets.Replace(nil, strconv.Itoa(n)) },
		"budgets":      func(int) error { v.budgets.reopened(); return nil },
	}
	for n := range 3 {
		now.SetTime(now.Now().Add(DefaultStaleAfter))
		g.Expect(v.Fresh()).To(Succeed())
		for _, f := range advance {
			g.Expect(f(20 + n)).To(Succeed())
		}
	}
	now.SetTime(now.Now().Add(DefaultStaleAfter))
	for name, f := range advance {
		if name != "pods" {
			g.Expect(f(30)).To(Succeed())
		}
	}
	now.SetTime(now.Now().Add(time.Second))
	g.Expect(v.Fresh()).To(MatchError(And(ContainSubstring("pods"), ContainSubstring("unavailable at present"))))
	g.Expect(v.Synced()).To(BeTrue())
}

func TestLRPIsTheOldestTwin(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	list(g, v.lrps, 10,
		statefulSet("b", "uid-b", 5, createdAt(start.Add(time.Second))),
		statefulSet("z", "uid-z", 7),
		statefulSet("a", "uid-a", 6),
		statefulSet("d", "uid-d", 8, createdAt(start.Add(-time.Second)), func(s *appsv1.StatefulSet) {
			s.DeletionTimestamp = &metav1.Time{Time: start}
		}),
	)
	names := func() (all []string) {
		for _, twin := range v.Twins(appID) {
			all = append(all, twin.Name)
		}
		return all
	}
	g.Expect(names()).To(Equal([]string{"a", "z", "b"}))
	g.Expect(v.LRPs()).To(HaveLen(1))
	lrp, _ := v.LRP(appID)
	g.Expect(lrp.Name).To(Equal("a"))
	v.NoteDeletedStatefulSet("uid-a")
	lrp, _ = v.LRP(appID)
	g.Expect(lrp.Name).To(Equal("z"))
	g.Expect(names()).To(Equal([]string{"z", "b"}))
}

func TestLRPsWithoutTheirSecretAreLeftOut(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	list(g, v.lrps, 10, statefulSet("a", "uid-a", 5, annotated(keys.Secret, "s")))
	list(g, v.secrets, 10)
	lrp, found := v.LRP(appID)
	g.Expect(found).To(BeTrue())
	g.Expect(v.SecretMissing(lrp)).To(BeTrue())
	g.Expect(v.LRPs()).To(BeEmpty())
	g.Expect(v.secrets.Add(secretMeta("s", "uid-s", 11))).To(Succeed())
	g.Expect(v.SecretMissing(lrp)).To(BeFalse())
	g.Expect(v.LRPs()).To(HaveLen(1))
	v.NoteDeletedSecret("uid-s")
	g.Expect(v.LRPs()).To(BeEmpty())
	g.Expect(v.Secrets(appID)).To(HaveLen(1))
	g.Expect(v.Secrets(appID)[0].Deleting).To(BeTrue())
	g.Expect(v.secrets.Delete(secretMeta("s", "uid-s", 12))).To(Succeed())
	g.Expect(v.Secrets(appID)).To(BeEmpty())
}

func TestOwnDeleteOfAPod(t *testing.T) {
	g := NewWithT(t)
	v, now := idleView(t)
	list(g, v.pods, 10, ownedPod("uid-a", "p0", 0, 5), ownedPod("uid-a", "p1", 1, 6))
	now.SetTime(start.Add(time.Minute))
	v.NoteDeletedPod("p1")
	g.Expect(v.pods.Update(ownedPod("uid-a", "p1", 1, 11))).To(Succeed())
	pods := v.Pods("uid-a")
	g.Expect(pods).To(HaveLen(2))
	g.Expect(pods[0].Deleting).To(BeNil())
	g.Expect(pods[1].Deleting).To(HaveValue(Equal(start.Add(time.Minute))))
	g.Expect(v.pods.Delete(ownedPod("uid-a", "p1", 1, 12))).To(Succeed())
	_, found := v.PodAt("uid-a", 1)
	g.Expect(found).To(BeFalse())
	pod, found := v.PodAt("uid-a", 0)
	g.Expect(found).To(BeTrue())
	g.Expect(string(pod.UID)).To(Equal("p0"))
}

func TestIdentitiesAndLiveObjects(t *testing.T) {
	g := NewWithT(t)
	v, _ := idleView(t)
	list(g, v.lrps, 10, statefulSet("a", "uid-a", 5))
	orphan := secretMeta("s", "uid-s", 6)
	orphan.Labels[keys.Version] = "v0"
	list(g, v.secrets, 10, orphan, secretMeta("t", "uid-t", 7))
	g.Expect(v.Identities()).To(ConsistOf(appID, opi.LRPIdentifier{GUID: "app", Version: "v0"}))
	live := v.FromLive(statefulSet("b", "uid-b", 20, createdAt(start.Add(time.Second))))
	held, _ := v.LRP(appID)
	g.Expect(held.OlderThan(live)).To(BeTrue())
	g.Expect(live.OlderThan(held)).To(BeFalse())
	g.Expect(versions(v)).To(HaveLen(1), "a live object is not kept")
}
