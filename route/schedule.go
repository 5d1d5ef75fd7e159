package route

import (
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// announceEvery is how often the leader says that it leads, for those who
	// missed the first time.
	announceEvery = 5 * time.Second
	// holdAfterReconnect is how long one who holds on without the Lease stays
	// quiet after its connection came back: another may have taken over meanwhile,
	// and says so within this time.
	holdAfterReconnect = 2 * announceEvery
	// muteAtMost is longer than a leader takes to learn that it lost the Lease.
	muteAtMost = 30 * time.Second
	// retryAfter is the pause after a failed publish.
	retryAfter = time.Second
	// crossing is how long ago a registration may have been published that comes to
	// routers after an unregister which we have only now heard.
	crossing = 5 * time.Second
)

// schedule decides what is published when. It has no goroutine, clock or
// connection of its own, and only one goroutine may use it.
type schedule struct {
	id       string
	announce string // the subject of announcements
	send     func(subject string, data []byte) error
	counts   counts

	table   *Table
	queue   *queue
	pending *pending
	muted   map[Triple]mute
	wishes  wishes
	full    allowance // for everything but the refresh
	refresh allowance
	// pass counts the occasions at which everything became due: what was last
	// published in an earlier one is published soon. The first is 1, so that what
	// is new is always due.
	pass uint64

	leads bool
	// active is whether registrations are ours: since we led, and until another
	// announces itself.
	active     bool
	announceAt time.Time
	// connected is whether messages can be sent; quietUntil and retryAt put off
	// registrations, and everything.
	connected           bool
	quietUntil, retryAt time.Time
}

// mute is what another replica's newer knowledge took away.
type mute struct {
	instance string
	revision Revision
	at       time.Time
}

// counts is what metrics tell.
type counts struct {
	registers, unregisters, failed float64
}

func newSchedule(id, announce string, maxPending int, send func(string, []byte) error) *schedule {
	return &schedule{id: id, announce: announce, send: send, table: NewTable(),
		queue: newQueue(), pending: newPending(maxPending), muted: map[Triple]mute{}, pass: 1}
}

// apply takes changes of the table over and publishes what they ask for, as far
// as the allowance goes; the rest follows in due.
func (s *schedule) apply(changes Changes, now time.Time) {
	for _, m := range changes.Dropped {
		s.queue.remove(m)
	}
	for _, m := range changes.Register {
		s.queue.add(m)
		for _, uri := range m.URIs {
			s.pending.cancel(Triple{m.Audience, m.Host, m.Port, uri})
		}
	}
	s.unmute(now)
	s.full.grow(now, fullRate, fullBurst)
	s.publishFull(now)
	for _, u := range changes.Unregister {
		r := s.pending.add(u, now)
		// Not held back by the allowance, only charged to it: a registration that is
		// late costs a moment, an unregister perhaps a request to another tenant.
		s.repeat(r, now)
	}
}

// lead says whether this replica holds the Lease and has a synced view.
func (s *schedule) lead(leads bool, now time.Time) {
	if leads && !s.leads {
		s.active, s.quietUntil = true, time.Time{}
		s.announceAt = now
		s.everything(now)
	}
	s.leads = leads
}

// announced is told that another replica leads. One who has the Lease does not
// mind: the other's word is older, or it will learn of its loss.
func (s *schedule) announced() {
	if !s.leads {
		s.active = false
	}
}

// routerStarted is told of a router that may know nothing.
func (s *schedule) routerStarted(start routerStart, now time.Time) {
	s.wishes.add(start)
	s.everything(now)
}

// connection is told when the connection comes and goes.
func (s *schedule) connection(up bool, now time.Time) {
	s.connected = up
	if !up {
		return
	}
	s.wishes, s.retryAt = wishes{}, time.Time{}
	if s.active && !s.leads {
		s.quietUntil = now.Add(holdAfterReconnect)
	}
	s.announceAt = now
	s.everything(now)
}

// everything makes the whole table due, and all pending unregisters.
func (s *schedule) everything(now time.Time) {
	s.pass++
	s.pending.again(now)
}

// heard is told of an unregister by another replica. If that one knows more than
// we do the endpoint rests until we know as much; if it knows less, or means an
// instance that had the address before, what it took away is registered again.
//
// What knows more is published again when we have registered the endpoint lately:
// that may have been after the other's unregister, which waited in our connection,
// above all when this process hung. Our own messages keep their order.
func (s *schedule) heard(u *Unregistration, now time.Time) {
	if u.Revision == (Revision{}) {
		return
	}
	var restored *Message
	crossed := false
	for _, uri := range u.URIs {
		m, revision := s.table.registration(u.triple(uri))
		switch {
		case m == nil || revision == (Revision{}):
		case !revision.covers(u.Revision) && m.Instance == u.payload.InstanceID:
			_, rests := s.muted[u.triple(uri)]
			crossed = crossed || !rests && s.queue.publishedAfter(m, now.Add(-crossing))
			if s.active {
				s.muted[u.triple(uri)] = mute{instance: m.Instance, revision: u.Revision, at: now}
			}
		case m != restored && s.registering(now):
			restored = m
			s.register(m, now)
			s.full.spend()
		}
	}
	if crossed && s.sending(now) {
		s.full.spend()
		if s.publish(u.Audience.unregisterSubject(), u.marshal(s.id), now) {
			s.counts.unregisters++
		}
	}
}

// unmute lets endpoints be registered again of which we know as much by now as
// the one who took them away did. One who leads has a fresh view: if after a
// while there is still nothing newer in it, there won't be.
func (s *schedule) unmute(now time.Time) {
	for triple, mute := range s.muted {
		m, known := s.table.registration(triple)
		switch {
		case m == nil:
			delete(s.muted, triple)
		case m.Instance != mute.instance || known.covers(mute.revision) || s.leads && now.Sub(mute.at) > muteAtMost:
			delete(s.muted, triple)
			s.queue.remove(m)
			s.queue.add(m)
		}
	}
}

// due publishes what it is time for and says when to ask again.
func (s *schedule) due(now time.Time) time.Time {
	interval := s.wishes.refresh()
	s.full.grow(now, fullRate, fullBurst)
	switch {
	case !s.connected:
		return now.Add(announceEvery)
	case !s.sending(now):
		return s.retryAt
	}
	s.unmute(now)
	if s.leads && !now.Before(s.announceAt) {
		if s.publish(s.announce, announcement(s.id), now) {
			s.announceAt = now.Add(announceEvery)
		}
	}
	s.publishFull(now)
	for r := s.pending.next(); r != nil && !r.at.After(now) && s.full.amount >= 1; r = s.pending.next() {
		if !s.repeat(r, now) {
			break
		}
	}
	s.publishRefresh(now, interval)
	return s.nextDue(now, interval)
}

// publishFull publishes what is new, or was last published before everything
// became due.
func (s *schedule) publishFull(now time.Time) {
	for s.registering(now) && s.full.amount >= 1 {
		front := s.queue.front()
		if front == nil || front.pass == s.pass || !s.register(front.message, now) {
			return
		}
		s.full.spend()
	}
}

func (s *schedule) publishRefresh(now time.Time, interval time.Duration) {
	rate := float64(s.queue.len()) / interval.Seconds()
	// Never more than a second's worth at once, however long the pause was.
	s.refresh.grow(now, rate, max(rate, 1))
	if front := s.queue.front(); front == nil || front.pass < s.pass || !s.registering(now) {
		s.refresh.amount = 0 // saved for nothing: a full pass comes before the refresh
		return
	}
	for s.registering(now) && s.refresh.amount >= 1 {
		front := s.queue.front()
		if !front.publishedAt.Before(now) {
			return
		}
		s.refresh.amount--
		if !s.register(front.message, now) {
			return
		}
	}
}

func (s *schedule) nextDue(now time.Time, interval time.Duration) time.Time {
	next := now.Add(announceEvery)
	earlier := func(at time.Time) {
		if at.Before(next) {
			next = at
		}
	}
	if r := s.pending.next(); r != nil {
		earlier(r.at)
	}
	if front := s.queue.front(); front != nil && s.registering(now) {
		if front.pass < s.pass {
			earlier(now)
		} else {
			earlier(now.Add(s.refresh.until(float64(s.queue.len()) / interval.Seconds())))
		}
	}
	if s.leads {
		earlier(s.announceAt)
	}
	if s.active && s.quietUntil.After(now) {
		earlier(s.quietUntil)
	}
	if soonest := now.Add(shortestPause); next.Before(soonest) {
		return soonest
	}
	return next
}

func (s *schedule) sending(now time.Time) bool { return s.connected && !now.Before(s.retryAt) }

func (s *schedule) registering(now time.Time) bool {
	return s.active && s.sending(now) && !now.Before(s.quietUntil)
}

// register publishes a message without the URIs that rest.
func (s *schedule) register(m *Message, now time.Time) bool {
	data := m.Payload
	if len(s.muted) > 0 {
		if data = s.withoutMuted(m); data == nil {
			s.queue.published(m, now, s.pass)
			return true
		}
	}
	if !s.publish(m.Audience.registerSubject(), data, now) {
		return false
	}
	s.counts.registers++
	s.queue.published(m, now, s.pass)
	return true
}

// withoutMuted is nil where nothing remains.
func (s *schedule) withoutMuted(m *Message) []byte {
	var uris []string
	for _, uri := range m.URIs {
		if _, muted := s.muted[Triple{m.Audience, m.Host, m.Port, uri}]; !muted {
			uris = append(uris, uri)
		}
	}
	switch len(uris) {
	case 0:
		return nil
	case len(m.URIs):
		return m.Payload
	}
	return m.withURIs(uris)
}

func (s *schedule) repeat(r *repeat, now time.Time) bool {
	if !s.sending(now) {
		return false
	}
	s.full.spend()
	if !s.publish(r.unregistration.Audience.unregisterSubject(), r.unregistration.marshal(s.id), now) {
		return false
	}
	s.counts.unregisters++
	s.pending.sent(r, now)
	return true
}

// publish returns false when the message is to be sent again later. What was
// sent before may be lost as well then, so everything is due again.
func (s *schedule) publish(subject string, data []byte, now time.Time) bool {
	err := s.send(subject, data)
	if err == nil {
		return true
	}
	s.counts.failed++
	if errors.Is(err, nats.ErrMaxPayload) {
		return true
	}
	s.retryAt = now.Add(retryAfter)
	s.everything(s.retryAt)
	return false
}
