package route

import (
	"slices"
	"time"
)

const (
	// suppressAtMost bounds how long an endpoint rests although this replica's view is
	// fresh: the revision that it waits for may be of another history, when etcd was
	// restored from a backup.
	suppressAtMost = 5 * time.Minute
	// recentlyRegistered is how long ago a registration may have been published that
	// comes to routers after an unregister which this replica has only now received.
	recentlyRegistered = 5 * time.Second
)

// suppression keeps an endpoint from being registered, because another replica took it
// away that knew more.
type suppression struct {
	instance string
	revision Revision
	at       time.Time
}

// unregistered handles an unregister by another replica. If that replica knows more
// than this one, the endpoint rests until this one knows as much, also while this one
// is not the registrar: it may become that before. If the other replica knows less,
// or means another instance or isolation segment, the registrar registers again what
// was taken away.
//
// An unregister that knows more is published again if this replica registered the
// endpoint lately: that may have been after the other's unregister, which waited in
// the connection, above all when this process hung. Our own messages keep their order.
func (s *schedule) unregistered(u *Unregistration, now time.Time) {
	if u.Revision == (Revision{}) {
		return
	}
	var restored *Message
	crossed := false
	for _, uri := range u.URIs {
		m, revision := s.table.registration(u.triple(uri))
		switch {
		case m == nil || revision == (Revision{}):
		case !s.knows(revision, u.Revision) && m.Instance == u.payload.InstanceID && m.Segment == u.payload.IsolationSegment:
			_, rests := s.suppressed[u.triple(uri)]
			crossed = crossed || !rests && s.queue.publishedAfter(m, now.Add(-recentlyRegistered))
			s.suppressed[u.triple(uri)] = suppression{instance: m.Instance, revision: u.Revision, at: now}
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

// knows reports whether a replica whose revision of an LRP is given knows at least as
// much of it as another one with the other revision. It does as well when its watches
// have passed that point without a change.
func (s *schedule) knows(revision, other Revision) bool {
	return revision.covers(other) || s.knowledge.Seen.covers(other)
}

// liftSuppressions lets endpoints be registered again of which this replica knows as much by
// now as the one that took them away did.
func (s *schedule) liftSuppressions(now time.Time) {
	for triple, suppression := range s.suppressed {
		m, known := s.table.registration(triple)
		switch {
		case m == nil:
			delete(s.suppressed, triple)
		case m.Instance != suppression.instance || s.knows(known, suppression.revision) || s.knowledge.Fresh && now.Sub(suppression.at) > suppressAtMost:
			delete(s.suppressed, triple)
			s.queue.remove(m)
			s.queue.add(m)
		}
	}
}

// withoutSuppressed is nil where nothing remains.
func (s *schedule) withoutSuppressed(m *Message) []byte {
	var uris []string
	for _, uri := range m.URIs {
		if _, rests := s.suppressed[Triple{m.Audience, m.Host, m.Port, uri}]; !rests {
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

// repeat publishes a pending unregister. If the same endpoint and URI are registered
// in another isolation segment by now, a router that serves both segments forgets
// that as well, so the registration follows at once; a replica that is not the
// registrar leaves both to the one that is.
func (s *schedule) repeat(r *repeat, now time.Time) bool {
	if !s.sending(now) {
		return false
	}
	moved := s.moved(r.unregistration)
	if len(moved) > 0 && !s.registering(now) {
		s.pending.sent(r, now)
		return true
	}
	s.full.spend()
	if !s.publish(r.unregistration.Audience.unregisterSubject(), r.unregistration.marshal(s.id), now) {
		return false
	}
	s.counts.unregisters++
	s.pending.sent(r, now)
	for _, m := range moved {
		s.full.spend()
		if !s.register(m, now) {
			return false
		}
	}
	return true
}

// moved returns the messages that register what u takes away, in another isolation
// segment than that of u.
func (s *schedule) moved(u *Unregistration) []*Message {
	var messages []*Message
	for _, uri := range u.URIs {
		if m, _ := s.table.registration(u.triple(uri)); m != nil && !slices.Contains(messages, m) {
			messages = append(messages, m)
		}
	}
	return messages
}
