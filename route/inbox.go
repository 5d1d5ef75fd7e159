package route

import (
	"slices"
	"sync"
	"time"

	"github.com/irene-cf/irene/opi"
)

// maxHeard bounds what other replicas' unregisters take while the emitter is
// busy. Beyond it everything is published again, which repairs the same.
const maxHeard = 100_000

// inbox takes what happens until the emitter's goroutine fetches it, one value
// per thing that can change, so it does not grow with the number of events.
type inbox struct {
	wake chan struct{}

	mu   sync.Mutex
	mail mail
}

// mail is what happened since the last look.
type mail struct {
	// all is a complete set of states, older than those in states; nil for none.
	all    map[opi.LRPIdentifier]State
	states map[opi.LRPIdentifier]State
	// noted is when the first change that is not yet handled of an LRP came.
	noted map[opi.LRPIdentifier]time.Time

	knowledge *Knowledge
	lead      *bool
	// announcements has the last one of each replica.
	announcements []announcement
	starts        []routerStart
	greeted       []routerStart
	connection    *bool
	heard         []*Unregistration
	// missed is set when something from NATS was lost.
	missed bool
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1), mail: newMail()} }

func newMail() mail {
	return mail{states: map[opi.LRPIdentifier]State{}, noted: map[opi.LRPIdentifier]time.Time{}}
}

func (i *inbox) put(change func(*mail)) {
	i.mu.Lock()
	change(&i.mail)
	i.mu.Unlock()
	select {
	case i.wake <- struct{}{}:
	default:
	}
}

func (i *inbox) take() mail {
	i.mu.Lock()
	defer i.mu.Unlock()
	taken := i.mail
	i.mail = newMail()
	return taken
}

func (m *mail) update(states []State, now time.Time) {
	for _, state := range states {
		m.states[state.LRP.ID] = state
		m.note(state.LRP.ID, now)
	}
}

func (m *mail) set(states []State, now time.Time) {
	m.all = make(map[opi.LRPIdentifier]State, len(states))
	m.states = map[opi.LRPIdentifier]State{}
	for _, state := range states {
		m.all[state.LRP.ID] = state
		m.note(state.LRP.ID, now)
	}
}

func (m *mail) note(id opi.LRPIdentifier, now time.Time) {
	if _, earlier := m.noted[id]; !earlier {
		m.noted[id] = now
	}
}

// maxStarts and maxAnnouncements are far beyond the number of routers, and replicas,
// that there are.
const maxStarts, maxAnnouncements = 1000, 100

func (m *mail) announced(a announcement) {
	same := func(other announcement) bool { return other.sender() == a.sender() }
	if i := slices.IndexFunc(m.announcements, same); i >= 0 {
		m.announcements[i] = a
	} else if len(m.announcements) < maxAnnouncements {
		m.announcements = append(m.announcements, a)
	}
}

func (m *mail) started(start routerStart) {
	if len(m.starts) < maxStarts {
		m.starts = append(m.starts, start)
	}
}

func (m *mail) greet(start routerStart) {
	if len(m.greeted) < maxStarts {
		m.greeted = append(m.greeted, start)
	}
}

func (m *mail) hear(u *Unregistration) {
	if len(m.heard) == maxHeard {
		m.missed = true
		return
	}
	m.heard = append(m.heard, u)
}

// deliver hands the mail to the schedule. Announcements come first, so that a replica
// that has to yield publishes no more registrations.
func (m *mail) deliver(s *schedule, now time.Time) Changes {
	s.begin(now)
	if m.connection != nil {
		s.setConnected(false, now)
		s.setConnected(*m.connection, now)
	}
	if m.lead != nil {
		s.leads = *m.lead
	}
	for _, a := range m.announcements {
		s.announcement(a, now)
	}
	for _, start := range m.greeted {
		s.wishes.add(start)
	}
	for _, start := range m.starts {
		s.routerStarted(start, now)
	}
	if m.missed {
		s.everything(now)
	}
	changes := m.applyTo(s.table)
	s.apply(changes, now)
	// The table first: the knowledge speaks for it.
	if m.knowledge != nil {
		s.know(*m.knowledge)
	}
	for _, u := range m.heard {
		s.unregistered(u, now)
	}
	return changes
}

func (m *mail) applyTo(t *Table) Changes {
	var states []State
	if m.all == nil {
		for _, state := range m.states {
			states = append(states, state)
		}
		return t.Apply(states...)
	}
	for id, state := range m.states {
		m.all[id] = state
	}
	for _, state := range m.all {
		states = append(states, state)
	}
	return t.Replace(states...)
}
