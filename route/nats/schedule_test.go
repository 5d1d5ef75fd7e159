package nats

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/routing"
	"github.com/irene-cf/irene/route"
)

// recording is a schedule whose messages are kept, with its own time.
type recording struct {
	*schedule
	now time.Time
	// subjects counts messages, announcements apart.
	subjects      map[string]int
	announcements []string
	router        *routerModel
	failure       error
}

func newRecording(id string) *recording {
	r := &recording{now: time.Unix(1_000_000, 0), subjects: map[string]int{}, router: newRouterModel()}
	r.schedule = newSchedule(id, announcementSubject("x"), 1000, func(subject string, data []byte) error {
		if r.failure != nil {
			return r.failure
		}
		if subject == announcementSubject("x") {
			r.announcements = append(r.announcements, string(data))
		} else {
			r.subjects[subject]++
		}
		r.router.handle(subject, data, r.now)
		return nil
	})
	r.setConnected(true, r.now)
	return r
}

// elect makes the replica the registrar, by the silence of others.
func (r *recording) elect() {
	r.progressed(route.Progress{Fresh: true})
	r.pass(listenFirst)
	if !r.registrar {
		panic("is not the registrar")
	}
}

func (r *recording) changed(states ...route.State) { r.apply(r.table.Apply(states...), r.now) }

// pass lets time go by from one due time to the next.
func (r *recording) pass(d time.Duration) {
	end := r.now.Add(d)
	for next := r.due(r.now); !next.After(end); next = r.due(r.now) {
		r.now = next
	}
	r.now = end
}

func (r *recording) takeSubjects() map[string]int {
	taken := r.subjects
	r.subjects = map[string]int{}
	return taken
}

func TestUnregisterIsRepeated(t *testing.T) {
	g := NewWithT(t)
	r := newRecording("me")
	s := routing.LRP("dora", "a.example.com", "b.example.com")
	r.changed(routing.WithInstance(s, 0, "10.0.0.1"))
	r.changed(s)
	g.Expect(r.takeSubjects()).To(Equal(map[string]int{"router.unregister": 1}), "every replica unregisters")
	r.pass(29 * time.Second)
	g.Expect(r.takeSubjects()).To(BeEmpty())
	r.pass(2 * time.Second)
	g.Expect(r.takeSubjects()).To(HaveLen(1))
	r.changed(routing.WithInstance(routing.LRP("other", "a.example.com"), 0, "10.0.0.1"))
	g.Expect(r.schedule.pending.len()).To(Equal(1), "a is registered again, b is not")
	r.router.takeLog()
	r.pass(20 * time.Minute)
	g.Expect(r.takeSubjects()).To(Equal(map[string]int{"router.unregister": 19}))
	g.Expect(r.router.takeLog()).To(HaveEach("unregister 10.0.0.1 b.example.com"))
	g.Expect(r.schedule.pending.len()).To(BeZero())
}

func TestAnotherTenantsRegistrationCancelsNothing(t *testing.T) {
	g := NewWithT(t)
	r := newRecording("me")
	r.changed(routing.WithInstance(routing.LRP("dora", "a.example.com"), 0, "10.0.0.1"))
	r.changed(routing.LRP("dora"))
	r.changed(routing.WithInstance(routing.LRP("other", "b.example.com"), 0, "10.0.0.1"))
	g.Expect(r.schedule.pending.len()).To(Equal(1))
}

func TestRefreshIsFlat(t *testing.T) {
	g := NewWithT(t)
	r := newRecording("me")
	r.elect()
	r.changed(routing.LRPs(2000)...)
	r.pass(time.Second)
	g.Expect(r.takeSubjects()).To(HaveKeyWithValue("router.register", BeNumerically("<=", 2200)))
	r.pass(20 * time.Second)
	r.takeSubjects()
	for range 60 {
		r.pass(time.Second)
		g.Expect(r.takeSubjects()["router.register"]).To(BeNumerically("~", 100, 8))
		g.Expect(r.router.age(r.now)).To(BeNumerically("<=", 21*time.Second))
	}
}

func TestIntervalThatRoutersAskFor(t *testing.T) {
	g := NewWithT(t)
	var w routerLimits
	g.Expect(w.refreshInterval()).To(Equal(20 * time.Second))
	w.add(routerStart{Interval: 5, PruneThreshold: 120})
	w.add(routerStart{Interval: 10, PruneThreshold: 120})
	w.add(routerStart{Interval: -1, PruneThreshold: 1 << 62})
	g.Expect(w.refreshInterval()).To(Equal(5 * time.Second))
	w = routerLimits{}
	w.add(routerStart{Interval: 100, PruneThreshold: 60})
	g.Expect(w.refreshInterval()).To(Equal(20*time.Second), "inside the prune threshold")
}

// The rate allows 10,000 after 0.375 s. A portion may come late.
func TestRouterStartGetsTheTableAtTheFullRate(t *testing.T) {
	g := NewWithT(t)
	r := newRecording("me")
	r.elect()
	r.changed(routing.LRPs(10_000)...)
	r.pass(5 * time.Second)
	g.Expect(r.router.endpoints()).To(HaveLen(10_000))
	r.router.table = map[route.Key]registeredEndpoint{}
	r.routerStarted(routerStart{Interval: 20, PruneThreshold: 120}, r.now)
	r.pass(450 * time.Millisecond)
	g.Expect(r.router.endpoints()).To(HaveLen(10_000))
}

func TestNewerKnowledgeOfOthersIsBelieved(t *testing.T) {
	g := NewWithT(t)
	r := newRecording("me")
	s := routing.WithInstance(routing.LRP("dora", "a.example.com", "b.example.com"), 0, "10.0.0.1")
	s.Revision = route.Revision{LRP: 3, Instances: 10}
	r.elect()
	r.changed(s)
	r.pass(time.Second)

	foreign := func(revision route.Revision, instance string) {
		u := (&unregistration{host: "10.0.0.1", port: 8080, uris: []string{"a.example.com"}, revision: revision, instance: instance}).marshal("other")
		r.router.handle(unregisterSubject, u, r.now)
		parsed, err := parseUnregister(route.HTTP, u, "me")
		g.Expect(err).NotTo(HaveOccurred())
		r.unregistered(parsed, r.now)
	}
	foreign(route.Revision{LRP: 3, Instances: 9}, s.Instances[0].GUID)
	g.Expect(r.router.endpoints()).To(HaveLen(2), "the other lags: registered again at once")
	foreign(route.Revision{LRP: 99, Instances: 99}, "who had the address before")
	g.Expect(r.router.endpoints()).To(HaveLen(2))

	r.progressed(route.Progress{}) // cut off from the API server
	foreign(route.Revision{LRP: 2, Instances: 11}, s.Instances[0].GUID)
	r.pass(time.Minute)
	g.Expect(r.router.endpoints()).To(HaveLen(1), "b is refreshed, a rests")
	s.Revision = route.Revision{LRP: 3, Instances: 12}
	r.changed(s)
	g.Expect(r.router.endpoints()).To(HaveLen(2))
}

// A replica that hung goes on with its refresh before it reads what was said
// meanwhile.
func TestUnregisterThatARegistrationCrossedIsRepeated(t *testing.T) {
	for name, gone := range map[string]func(r *recording){
		"still the registrar": func(*recording) {},
		"another one took over": func(r *recording) {
			r.announcement(announcement{Emitter: "other", Term: r.term + 1}, r.now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := newRecording("me")
			s := routing.WithInstance(routing.LRP("dora", "a.example.com"), 0, "10.0.0.1")
			s.Revision = route.Revision{LRP: 3, Instances: 10}
			r.elect()
			r.changed(s)
			r.pass(time.Second)

			u := (&unregistration{host: "10.0.0.1", port: 8080, uris: []string{"a.example.com"},
				revision: route.Revision{LRP: 3, Instances: 11}, instance: s.Instances[0].GUID}).marshal("other")
			r.router.handle(unregisterSubject, u, r.now)
			r.pass(21 * time.Second)
			g.Expect(r.router.endpoints()).To(HaveLen(1), "the refresh came later")
			gone(r)
			r.takeSubjects()
			for range 3 {
				parsed, err := parseUnregister(route.HTTP, u, "me")
				g.Expect(err).NotTo(HaveOccurred())
				r.unregistered(parsed, r.now)
				g.Expect(r.router.endpoints()).To(BeEmpty())
				r.pass(30 * time.Second)
			}
			g.Expect(r.takeSubjects()["router.unregister"]).To(Equal(1), "once, not for every repeat")
		})
	}
}

func TestFailedPublishIsRetried(t *testing.T) {
	g := NewWithT(t)
	r := newRecording("me")
	r.elect()
	r.failure = nats.ErrReconnectBufExceeded
	r.changed(routing.WithInstance(routing.LRP("gone", "g.example.com"), 0, "10.0.0.9"))
	r.changed(routing.LRP("gone"), routing.WithInstance(routing.LRP("dora", "a.example.com"), 0, "10.0.0.1"))
	r.pass(3 * time.Second)
	r.failure = nil
	r.pass(2 * time.Second)
	g.Expect(r.router.endpoints()).To(HaveLen(1))
	g.Expect(r.takeSubjects()).To(HaveKeyWithValue("router.unregister", 1))
}

func TestPendingIsBounded(t *testing.T) {
	g := NewWithT(t)
	r := newRecording("me")
	r.setConnected(false, r.now)
	for range 3 {
		r.changed(routing.LRPs(1500)...)
		r.apply(r.table.Replace(), r.now)
	}
	g.Expect(r.schedule.pending.len()).To(Equal(1000))
	g.Expect(r.schedule.pending.order.Len()).To(Equal(1000))
	g.Expect(r.schedule.pending.dropped).To(BeNumerically(">", 0))
	g.Expect(r.schedule.queue.len()).To(BeZero())

	r.setConnected(true, r.now)
	r.elect()
	r.changed(routing.LRPs(1500)...)
	r.takeSubjects()
	r.apply(r.table.Replace(), r.now)
	g.Expect(r.takeSubjects()["router.unregister"]).To(Equal(1500), "each once at least")
}

// gorouter publishes router.start before it subscribes.
func TestRouterStartIsAnsweredTwice(t *testing.T) {
	g := NewWithT(t)
	r := newRecording("me")
	r.changed(routing.LRPs(10)...)
	r.elect()
	r.pass(21 * time.Second)
	r.takeSubjects()
	r.router.table = map[route.Key]registeredEndpoint{}
	r.router.deafUntil = r.now.Add(5 * time.Millisecond)
	r.routerStarted(routerStart{Interval: 20, PruneThreshold: 120}, r.now)
	r.due(r.now)
	g.Expect(r.takeSubjects()["router.register"]).To(Equal(10), "at once")
	g.Expect(r.router.endpoints()).To(BeEmpty())
	r.pass(time.Second)
	g.Expect(r.router.endpoints()).To(HaveLen(10))
	g.Expect(r.takeSubjects()["router.register"]).To(BeNumerically("<=", 11), "once more")
}

func TestMovedSegment(t *testing.T) {
	g := NewWithT(t)
	r := newRecording("me")
	shared, shard := newRouterModel(), newRouterModel()
	shared.segments, shard.segments = []string{""}, []string{"shard"}
	send := r.send
	r.send = func(subject string, data []byte) error {
		shared.handle(subject, data, r.now)
		shard.handle(subject, data, r.now)
		return send(subject, data)
	}
	in := func(segment string) route.State {
		s := routing.WithInstance(routing.LRP("dora", "a.example.com", "b.example.com"), 0, "10.0.0.1")
		s.LRP.HTTP[0].IsolationSegment = segment
		return s
	}
	r.changed(in(""))
	r.elect()
	g.Expect(shared.endpoints()).To(HaveLen(2))

	r.changed(in("shard"))
	check := func() {
		t.Helper()
		g.Expect(shared.endpoints()).To(HaveLen(1))
		g.Expect(shard.endpoints()).To(HaveLen(1))
		g.Expect(r.router.endpoints()).To(HaveLen(2), "a router that serves all segments loses nothing")
	}
	check()
	for range 25 { // while the unregister is repeated
		r.pass(30 * time.Second)
		check()
	}
	r.changed(in("shard"), routing.LRP("dora"))
	r.pass(time.Second)
	for _, router := range []*routerModel{shared, shard, r.router} {
		g.Expect(router.endpoints()).To(BeEmpty())
	}

	// A replica that is not the registrar leaves it to the one that is.
	other := newRecording("other")
	other.changed(in(""))
	other.changed(in("shard"))
	g.Expect(other.takeSubjects()).To(BeEmpty())
	other.elect()
	other.pass(time.Second)
	g.Expect(other.takeSubjects()).To(HaveKeyWithValue("router.unregister", 1))
	g.Expect(other.router.endpoints()).To(HaveLen(2))
}
