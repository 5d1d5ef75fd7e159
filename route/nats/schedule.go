package nats

import (
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/irene-cf/irene/route"
)

const (
	// wakeEvery is the longest pause between two steps, well below hungAfter.
	wakeEvery = 500 * time.Millisecond
	// answerAgainAfter is when router.start is answered a second time: gorouter
	// publishes it before it subscribes, so the first answer may get lost.
	answerAgainAfter = 800 * time.Millisecond
	// retryAfter is the pause after a failed publish.
	retryAfter = time.Second
)

// schedule decides what is published when. It has no goroutine, clock or
// connection of its own, and is not safe for concurrent use.
type schedule struct {
	announce string // the subject of announcements
	send     func(subject string, data []byte) error
	counts   counts

	table      *route.Table
	queue      *queue
	pending    *pending
	suppressed map[route.Key]suppression
	limits     routerLimits
	full       allowance // for everything but the refresh
	refresh    allowance
	// pass counts the occasions at which everything became due: what was last
	// published in an earlier one is published soon. The first is 1, so that new
	// endpoints are always due.
	pass uint64

	election
	// announceAt is when a registrar announces itself next.
	announceAt time.Time
	// answerAt is when the last router.start is answered again; zero for not at all.
	answerAt time.Time
	// retryAt is when to publish again after a failure.
	retryAt time.Time
	// steppedAt is when the last step began or ended.
	steppedAt time.Time
}

// counts holds the counters of metrics.
type counts struct {
	registers, unregisters, failed float64
}

func newSchedule(id, announce string, maxPending int, send func(string, []byte) error) *schedule {
	return &schedule{announce: announce, send: send, table: route.NewTable(), election: election{id: id},
		queue: newQueue(), pending: newPending(maxPending), suppressed: map[route.Key]suppression{}, pass: 1}
}

// begin starts a step. A replica that hung may have been replaced as registrar, so it
// listens before it goes on.
func (s *schedule) begin(now time.Time) {
	if s.connected && now.Sub(s.steppedAt) > hungAfter {
		s.listen(now)
	}
	s.steppedAt = now
}

// end ends a step. One that took long is no reason to listen.
func (s *schedule) end(now time.Time) { s.steppedAt = now }

// apply takes over changes of the table and publishes them, as far as the allowance
// goes; the rest follows in due.
func (s *schedule) apply(changes route.Changes, now time.Time) {
	for _, e := range changes.Dropped {
		s.queue.remove(e)
	}
	for _, e := range changes.Register {
		s.queue.add(e)
		for _, uri := range e.URIs {
			s.pending.cancel(removal{e.Key(uri), e.IsolationSegment})
		}
	}
	s.liftSuppressions(now)
	s.full.grow(now, fullRate, fullBurst)
	// Unregisters are not held back by the allowance, only charged to it: a
	// registration that is late costs a moment, an unregister perhaps a request to
	// another tenant. Those that a registration follows come first, because a router
	// that serves all segments takes both for one endpoint.
	unregistrations := make([]*unregistration, 0, len(changes.Unregister))
	for _, r := range changes.Unregister {
		unregistrations = append(unregistrations, newUnregistration(r))
	}
	unregister := func(moved bool) {
		for _, u := range unregistrations {
			if (len(s.moved(u)) > 0) == moved {
				s.repeat(s.pending.add(u, now), now)
			}
		}
	}
	unregister(true)
	s.publishFull(now)
	unregister(false)
}

// routerStarted makes everything due, now and once more a moment later, for a router
// with an empty table.
func (s *schedule) routerStarted(start routerStart, now time.Time) {
	s.limits.add(start)
	s.everything(now)
	s.answerAt = now.Add(answerAgainAfter)
}

// setConnected records that the connection came up or went down.
func (s *schedule) setConnected(up bool, now time.Time) {
	s.connection(up, now)
	if up {
		s.limits, s.retryAt = routerLimits{}, time.Time{}
		s.everything(now)
	}
}

// announcement handles the announcement of another replica.
func (s *schedule) announcement(a announcement, now time.Time) {
	if s.announced(a, now) {
		s.announceAt = now
	}
}

// resign announces to the other replicas that this one ends, so that they need not wait.
func (s *schedule) resign(now time.Time) {
	if s.registering(now) {
		s.publish(s.announce, marshal(announcement{Resigned: s.id}), now)
	}
	s.registrar = false
}

// everything makes the whole table due, and all pending unregisters.
func (s *schedule) everything(now time.Time) {
	s.pass++
	s.pending.again(now)
}

// due publishes what is due and returns when to call it again.
func (s *schedule) due(now time.Time) time.Time {
	s.begin(now)
	interval := s.limits.refreshInterval()
	s.full.grow(now, fullRate, fullBurst)
	if s.takeOver(now) {
		s.announceAt = now
		s.everything(now)
	}
	if !s.answerAt.IsZero() && !now.Before(s.answerAt) {
		s.answerAt = time.Time{}
		s.everything(now)
	}
	if !s.sending(now) {
		return now.Add(wakeEvery)
	}
	s.liftSuppressions(now)
	if s.registering(now) && !now.Before(s.announceAt) {
		a := announcement{Emitter: s.id, Term: s.term, Changed: revision(s.progress.Changed)}
		if s.publish(s.announce, marshal(a), now) {
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

// publishFull publishes the endpoints that are new, or were last published before
// everything became due.
func (s *schedule) publishFull(now time.Time) {
	for s.registering(now) && s.full.amount >= 1 {
		front := s.queue.front()
		if front == nil || front.pass == s.pass || !s.register(front.endpoint, now) {
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
		s.refresh.amount = 0 // a full pass comes before the refresh
		return
	}
	for s.registering(now) && s.refresh.amount >= 1 {
		front := s.queue.front()
		if !front.publishedAt.Before(now) {
			return
		}
		s.refresh.amount--
		if !s.register(front.endpoint, now) {
			return
		}
	}
}

func (s *schedule) nextDue(now time.Time, interval time.Duration) time.Time {
	next := now.Add(wakeEvery)
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
	if !s.answerAt.IsZero() {
		earlier(s.answerAt)
	}
	if s.registrar {
		earlier(s.announceAt)
	} else if s.candidate {
		earlier(s.silentAt())
	}
	if soonest := now.Add(shortestPause); next.Before(soonest) {
		return soonest
	}
	return next
}

func (s *schedule) sending(now time.Time) bool { return s.connected && !now.Before(s.retryAt) }

func (s *schedule) registering(now time.Time) bool {
	return s.registrar && s.sending(now)
}

// register publishes an endpoint without its suppressed URIs.
func (s *schedule) register(e *route.Endpoint, now time.Time) bool {
	uris := e.URIs
	if len(s.suppressed) > 0 {
		uris = s.withoutSuppressed(e)
	}
	if len(uris) > 0 {
		if !s.publish(registerSubjectOf(e.Kind), marshalRegister(e, uris), now) {
			return false
		}
		s.counts.registers++
	}
	s.queue.published(e, now, s.pass)
	return true
}

// publish returns false if the message must be sent again later. What was sent before
// may be lost as well then, so everything is due again.
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
