package nats

import (
	"encoding/json"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/routing"
	"github.com/irene-cf/irene/route"
)

// replicas connects the announcements of recordings, which share one clock.
type replicas []*recording

// pass lets time go by for all replicas that run, in steps of their announcements.
func (all replicas) pass(d time.Duration) {
	step := announceEvery / 5
	for end := all[0].now.Add(d); all[0].now.Before(end); {
		for _, r := range all {
			sent := len(r.announcements)
			r.due(r.now)
			for _, text := range r.announcements[sent:] {
				for _, other := range all {
					if a, err := parseAnnouncement([]byte(text), other.id); err == nil && a != nil && other.connected {
						other.announcement(*a, other.now)
					}
				}
			}
		}
		for _, r := range all {
			r.now = r.now.Add(step)
		}
	}
}

func (all replicas) registrars() (ids []string) {
	for _, r := range all {
		if r.registrar {
			ids = append(ids, r.id)
		}
	}
	return ids
}

// newReplicas returns replicas with the same knowledge, and one instance.
func newReplicas(ids ...string) replicas {
	var all replicas
	for _, id := range ids {
		r := newRecording(id)
		r.changed(routing.WithInstance(routing.LRP("dora", "a.example.com"), 0, "10.0.0.1"))
		r.progressed(at(1, 1))
		all = append(all, r)
	}
	return all
}

// at returns what a replica with an up-to-date view knows.
func at(lrp, instances uint64) route.Progress {
	r := route.Revision{LRP: lrp, Instances: instances}
	return route.Progress{Seen: r, Changed: r, Fresh: true}
}

func TestOneReplicaRegisters(t *testing.T) {
	g := NewWithT(t)
	all := newReplicas("a", "b", "c")
	all.pass(5 * time.Second)
	g.Expect(all.registrars()).To(HaveLen(1))
	before := all.registrars()
	all.pass(5 * time.Minute)
	g.Expect(all.registrars()).To(Equal(before))
	for _, r := range all {
		r.takeSubjects()
	}
	all.pass(5 * time.Minute)
	registers := 0
	for _, r := range all {
		registers += r.takeSubjects()["router.register"]
	}
	g.Expect(registers).To(BeNumerically("~", 15, 1))
}

func TestWithoutAViewNobodyRegisters(t *testing.T) {
	g := NewWithT(t)
	r := newRecording("a")
	r.changed(routing.WithInstance(routing.LRP("dora", "a.example.com"), 0, "10.0.0.1"))
	r.pass(time.Minute)
	g.Expect(r.takeSubjects()).To(BeEmpty())
}

func TestTakesOverFromARegistrarThatFellSilent(t *testing.T) {
	for name, fault := range map[string]func(all replicas) replicas{
		"it is gone":   func(all replicas) replicas { return all[1:] },
		"it lost NATS": func(all replicas) replicas { all[0].setConnected(false, all[0].now); return all },
		"it lost NATS first, and nobody noticed": func(all replicas) replicas {
			all[0].failure = errAway
			return all
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			all := newReplicas("z", "b", "c")
			all[0].elect()
			for _, r := range all[1:] {
				r.now = all[0].now
				r.listen(r.now)
			}
			all.pass(time.Second)
			g.Expect(all.registrars()).To(Equal([]string{"z"}))
			left := fault(all)
			left.pass(silenceAllowed + announceEvery)
			g.Expect(replicas(left[len(left)-2:]).registrars()).To(HaveLen(1))
		})
	}
}

func TestAReplicaThatEndsHandsOver(t *testing.T) {
	g := NewWithT(t)
	all := newReplicas("z", "b")
	all[0].elect()
	all[1].now = all[0].now
	all[1].listen(all[1].now)
	all.pass(time.Second)
	all[0].resign(all[0].now)
	resigned, err := parseAnnouncement([]byte(all[0].announcements[len(all[0].announcements)-1]), "b")
	g.Expect(err).NotTo(HaveOccurred())
	all[1].announcement(*resigned, all[1].now)
	all[1].due(all[1].now)
	g.Expect(all.registrars()).To(Equal([]string{"b"}))
}

// newPair returns two replicas, of which "a" is the registrar.
func newPair(t *testing.T) replicas {
	t.Helper()
	all := newReplicas("a", "b")
	all[1].setConnected(false, all[1].now)
	all.pass(time.Second)
	all[1].setConnected(true, all[1].now)
	all.pass(time.Minute)
	NewWithT(t).Expect(all.registrars()).To(Equal([]string{"a"}))
	return all
}

func TestTakesOverFromARegistrarThatIsBehind(t *testing.T) {
	g := NewWithT(t)
	all := newPair(t)

	// A moment's lead is usual: the same event reaches replicas one after the other.
	for n := range uint64(100) {
		all[1].progressed(at(2+n, 2+n))
		all.pass(announceEvery)
		all[0].progressed(at(2+n, 2+n))
	}
	g.Expect(all.registrars()).To(Equal([]string{"a"}))
	// Neither knows all that the other does.
	all[0].progressed(at(200, 300))
	all[1].progressed(at(300, 200))
	all.pass(time.Minute)
	g.Expect(all.registrars()).To(Equal([]string{"a"}))

	all[1].progressed(at(300, 301))
	all.pass(lagAllowed + 2*announceEvery)
	g.Expect(all.registrars()).To(Equal([]string{"b"}))

	// Two slow replicas don't take turns every second.
	changes := 0
	for n := range uint64(60) {
		faster := all[n%2]
		faster.progressed(at(400+n, 400+n))
		before := all.registrars()
		all.pass(lagAllowed + 2*announceEvery)
		if all.registrars()[0] != before[0] {
			changes++
		}
	}
	g.Expect(changes).To(BeNumerically("<", 15))
}

func TestARegistrarGoesOnWithWhatItKnows(t *testing.T) {
	g := NewWithT(t)
	all := newReplicas("a")
	all.pass(time.Second)
	all[0].progressed(route.Progress{Seen: route.Revision{LRP: 1, Instances: 1}, Changed: route.Revision{LRP: 1, Instances: 1}})
	all[0].takeSubjects()
	all.pass(5 * time.Minute)
	g.Expect(all[0].takeSubjects()).To(HaveKeyWithValue("router.register", BeNumerically("~", 15, 1)), "its view is stale, but no other replica has a better one")

	// Its connection was away: another one may have taken over unheard.
	all[0].setConnected(false, all[0].now)
	all.pass(time.Minute)
	all[0].setConnected(true, all[0].now)
	all.pass(listenFirst + staleExtra - time.Second)
	g.Expect(all[0].takeSubjects()).To(BeEmpty())
	all.pass(2 * time.Second)
	g.Expect(all[0].takeSubjects()).To(HaveKey("router.register"))

	// One with a fresh view does not wait that long.
	other := newReplicas("b")[0]
	other.now = all[0].now
	other.listen(other.now)
	all[0].setConnected(false, all[0].now)
	all[0].setConnected(true, all[0].now)
	both := append(all, other)
	both.pass(listenFirst + announceEvery)
	g.Expect(both.registrars()).To(Equal([]string{"b"}))
}

// A stale replica does not register again what a fresher one has taken away, also when
// it becomes registrar later.
func TestAStaleSuccessorBelievesEarlierUnregisters(t *testing.T) {
	g := NewWithT(t)
	r := newRecording("stale")
	s := routing.WithInstance(routing.LRP("dora", "a.example.com", "b.example.com"), 0, "10.0.0.1")
	s.Revision = route.Revision{LRP: 3, Instances: 10}
	r.changed(s)
	r.progressed(at(3, 10))
	r.announcement(announcement{Emitter: "other", Term: 7, Changed: revision{LRP: 3, Instances: 10}}, r.now)
	u, err := parseUnregister(route.HTTP, (&unregistration{host: "10.0.0.1", port: 8080, uris: []string{"a.example.com"},
		revision: route.Revision{LRP: 3, Instances: 11}, instance: s.Instances[0].GUID}).marshal("other"), "stale")
	g.Expect(err).NotTo(HaveOccurred())
	r.unregistered(u, r.now)
	r.pass(2 * silenceAllowed)
	g.Expect(r.registrar).To(BeTrue())
	r.pass(2 * time.Minute)
	g.Expect(r.router.endpoints()).To(HaveLen(1))
	// Its watches have passed the point that the other one knew of, without a change.
	r.progressed(at(3, 11))
	r.pass(time.Second)
	g.Expect(r.router.endpoints()).To(HaveLen(2))
}

func TestAReplicaThatHungListensFirst(t *testing.T) {
	g := NewWithT(t)
	all := newPair(t)
	awake := replicas{all[1]}
	awake.pass(30 * time.Second)
	g.Expect(awake.registrars()).To(Equal([]string{"b"}))
	all[0].takeSubjects()
	all[0].now = all[1].now
	all[0].due(all[0].now)
	g.Expect(all[0].takeSubjects()).To(BeEmpty())
	all.pass(5 * time.Second)
	g.Expect(all.registrars()).To(Equal([]string{"b"}))
	g.Expect(all[0].takeSubjects()).To(BeEmpty())
}

func TestOfTwoRegistrarsOneYields(t *testing.T) {
	g := NewWithT(t)
	all := newReplicas("a", "b", "c")
	for _, r := range all {
		r.elect() // each in a part of the bus of its own
	}
	all.pass(2 * announceEvery)
	g.Expect(all.registrars()).To(Equal([]string{"c"}))

	// A process that hung for very long has an old term, whatever happened since.
	late := newReplicas("z")[0]
	late.elect()
	all[0].now = late.now
	again := replicas{newReplicas("a")[0], late}
	again[0].now = late.now.Add(time.Hour)
	again[0].listen(again[0].now)
	again[0].elect()
	late.now = again[0].now
	late.steppedAt = late.now
	again.pass(2 * announceEvery)
	g.Expect(again.registrars()).To(Equal([]string{"a"}))
}

// The version before announces the holder of the Lease every five seconds, in a form
// without a term.
func TestNextToTheVersionBefore(t *testing.T) {
	legacy := func(text string) announcement {
		a, err := parseAnnouncement([]byte(text), "new")
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		return *a
	}
	old := legacy(`{"emitter":"old"}`)
	begin := func() *recording {
		r := newReplicas("new")[0]
		r.elect()
		r.announcement(old, r.now)
		return r
	}
	t.Run("its leader registers", func(t *testing.T) {
		g := NewWithT(t)
		r := begin()
		for range 20 {
			g.Expect(r.registrar).To(BeFalse())
			r.pass(5 * time.Second)
			r.announcement(old, r.now)
		}
		r.pass(12 * time.Second)
		g.Expect(r.registrar).To(BeTrue(), "it has fallen silent")
	})
	t.Run("who has got its Lease takes over at once", func(t *testing.T) {
		g := NewWithT(t)
		r := begin()
		r.leads = true
		r.due(r.now)
		g.Expect(r.registrar).To(BeTrue())
		r.announcement(old, r.now)
		g.Expect(r.registrar).To(BeTrue(), "the other one has not noticed yet that it lost the Lease")
	})
	t.Run("it understands the announcements of this one", func(t *testing.T) {
		g := NewWithT(t)
		r := newReplicas("new")[0]
		r.elect()
		r.resign(r.now)
		emitter := func(text string) string {
			var read struct {
				Emitter string `json:"emitter"`
			}
			g.Expect(json.Unmarshal([]byte(text), &read)).To(Succeed())
			return read.Emitter
		}
		g.Expect(emitter(r.announcements[0])).To(Equal("new"), "it falls silent")
		g.Expect(emitter(r.announcements[len(r.announcements)-1])).To(BeEmpty(), "it ignores these")
	})
}

func TestAnnouncementsThatSayNothing(t *testing.T) {
	g := NewWithT(t)
	for _, text := range []string{`{}`, `{"emitter":"me","term":3}`, `{"emitter":"","resigned":"me"}`, `{"emitter":"","question":1}`} {
		g.Expect(parseAnnouncement([]byte(text), "me")).To(BeNil(), text)
	}
	_, err := parseAnnouncement([]byte(`{"emitter":1}`), "me")
	g.Expect(err).To(HaveOccurred())
}

func FuzzAnnouncement(f *testing.F) {
	f.Add([]byte(`{"emitter":"a","term":5,"changed":{"lrp":1,"instances":2}}`))
	f.Add([]byte(`{"emitter":"","resigned":"a"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := parseAnnouncement(data, "me")
		if a == nil || err != nil {
			return
		}
		r := newReplicas("me")[0]
		r.elect()
		r.announcement(*a, r.now)
		r.pass(time.Minute)
		if !r.registrar {
			t.Errorf("%s silences a replica for ever", data)
		}
	})
}
