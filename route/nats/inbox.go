package nats

import (
	"slices"
	"sync"
	"time"

	"github.com/irene-cf/irene/route"
)

// inbox collects what comes from NATS, and the Lease, until the emitter's goroutine
// fetches it. It holds bounded lists and one value of everything else, so it does not
// grow with the number of events.
type inbox struct {
	wake chan struct{}

	mu   sync.Mutex
	mail mail
}

// mail holds what has arrived since the last fetch.
type mail struct {
	// lead is nil if it has not changed, and so is connection.
	lead       *bool
	connection *bool
	// announcements holds the last one of each replica.
	announcements []announcement
	starts        []routerStart
	greeted       []routerStart
	// unregisters are those of other replicas.
	unregisters []*unregistration
	// missed reports whether a message was lost.
	missed bool
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

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
	i.mail = mail{}
	return taken
}

// maxStarts and maxAnnouncements are far beyond the number of routers, and replicas,
// that there are. Beyond maxUnregisters everything is published again, which repairs
// the same.
const maxStarts, maxAnnouncements, maxUnregisters = 1000, 100, 100_000

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

func (m *mail) unregistered(u *unregistration) {
	if len(m.unregisters) == maxUnregisters {
		m.missed = true
		return
	}
	m.unregisters = append(m.unregisters, u)
}

// deliver passes mail and an update of the table to the schedule. Announcements come
// first, so that a replica that has to yield publishes no more registrations.
func (m *mail) deliver(s *schedule, update route.Update, now time.Time) {
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
		s.limits.add(start)
	}
	for _, start := range m.starts {
		s.routerStarted(start, now)
	}
	if m.missed {
		s.everything(now)
	}
	s.apply(update.Changes, now)
	if update.Synced {
		s.progressed(update.Progress)
	}
	for _, u := range m.unregisters {
		s.unregistered(u, now)
	}
}
