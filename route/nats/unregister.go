package nats

import (
	"slices"
	"time"

	"github.com/irene-cf/irene/route"
)

const (
	// suppressAtMost bounds how long an endpoint is suppressed although this replica's
	// view is fresh: the revision that it waits for may be of another history, if etcd
	// was restored from a backup.
	suppressAtMost = 5 * time.Minute
	// recentlyRegistered bounds how old a registration may be that reaches routers
	// after an unregister which this replica has only now received.
	recentlyRegistered = 5 * time.Second
)

// suppression keeps a key from being registered, because another replica with a newer
// revision has unregistered it.
type suppression struct {
	instance string
	revision route.Revision
	at       time.Time
}

// unregistered handles an unregister by another replica. If its revision is newer than
// this replica's, the endpoint is suppressed until this replica has caught up, also
// while this one is not the registrar, because it may become that before. If the
// revision is not newer, or the unregister is for another instance or isolation
// segment, the registrar registers again what was taken away.
//
// A newer unregister is published again if this replica registered the endpoint
// recently: that may have been after the other's unregister, which waited in the
// connection, above all if this process hung. Our own messages keep their order.
func (s *schedule) unregistered(u *unregistration, now time.Time) {
	if u.revision == (route.Revision{}) {
		return
	}
	var restored *route.Endpoint
	recent := false
	for _, uri := range u.uris {
		key := u.key(uri)
		e, known := s.table.Lookup(key)
		switch {
		case e == nil || known == (route.Revision{}):
		case !s.caughtUp(known, u.revision) && e.Instance == u.instance && e.IsolationSegment == u.segment:
			_, suppressed := s.suppressed[key]
			recent = recent || !suppressed && s.queue.publishedAfter(e, now.Add(-recentlyRegistered))
			s.suppressed[key] = suppression{instance: e.Instance, revision: u.revision, at: now}
		case e != restored && s.registering(now):
			restored = e
			s.register(e, now)
			s.full.spend()
		}
	}
	if recent && s.sending(now) {
		s.full.spend()
		if s.publish(unregisterSubjectOf(u.kind), u.marshal(s.id), now) {
			s.counts.unregisters++
		}
	}
}

// caughtUp reports whether this replica, which has the given revision of an LRP, has
// seen everything that a replica with the other revision has. That is also true if its
// watches have passed that point without a change.
func (s *schedule) caughtUp(known, other route.Revision) bool {
	return known.Covers(other) || s.progress.Seen.Covers(other)
}

// liftSuppressions ends the suppression of endpoints for which this replica has caught
// up with the one that unregistered them.
func (s *schedule) liftSuppressions(now time.Time) {
	for key, suppression := range s.suppressed {
		e, known := s.table.Lookup(key)
		switch {
		case e == nil:
			delete(s.suppressed, key)
		case e.Instance != suppression.instance || s.caughtUp(known, suppression.revision) || s.progress.Fresh && now.Sub(suppression.at) > suppressAtMost:
			delete(s.suppressed, key)
			s.queue.remove(e)
			s.queue.add(e)
		}
	}
}

// withoutSuppressed returns the URIs of an endpoint that are not suppressed.
func (s *schedule) withoutSuppressed(e *route.Endpoint) []string {
	uris := make([]string, 0, len(e.URIs))
	for _, uri := range e.URIs {
		if _, suppressed := s.suppressed[e.Key(uri)]; !suppressed {
			uris = append(uris, uri)
		}
	}
	return uris
}

// repeat publishes a pending unregister. If the same key is registered in another
// isolation segment by now, a router that serves both segments removes that as well, so
// the registration follows at once; a replica that is not the registrar leaves both to
// the one that is.
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
	if !s.publish(unregisterSubjectOf(r.unregistration.kind), r.unregistration.marshal(s.id), now) {
		return false
	}
	s.counts.unregisters++
	s.pending.sent(r, now)
	for _, e := range moved {
		s.full.spend()
		if !s.register(e, now) {
			return false
		}
	}
	return true
}

// moved returns the endpoints that have u's keys, in another isolation segment than
// that of u.
func (s *schedule) moved(u *unregistration) []*route.Endpoint {
	var endpoints []*route.Endpoint
	for _, uri := range u.uris {
		if e, _ := s.table.Lookup(u.key(uri)); e != nil && !slices.Contains(endpoints, e) {
			endpoints = append(endpoints, e)
		}
	}
	return endpoints
}
