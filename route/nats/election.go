package nats

import (
	"time"

	"github.com/irene-cf/irene/route"
)

const (
	// announceEvery is the interval at which the registrar announces itself.
	announceEvery = 250 * time.Millisecond
	// listenFirst is how long a replica listens before it may register, after its
	// connection came up or after it hung: a present registrar announces itself
	// three times meanwhile.
	listenFirst = 3 * announceEvery
	// silenceAllowed is how long the registrar may be silent before another replica
	// takes over.
	silenceAllowed = 6 * announceEvery
	// lagAllowed is how far the registrar may be behind this replica's view, and
	// lagAllowedAgain the same within lagMemory of an earlier takeover for that
	// reason: two replicas that are both slow must not take turns.
	lagAllowed, lagAllowedAgain, lagMemory = time.Second, 5 * time.Second, time.Minute
	// staleExtra is how much longer a replica with a stale view waits, so that one with a
	// fresh view comes first.
	staleExtra = 10 * time.Second
	// legacySilenceAllowed is the same as silenceAllowed for a leader of the version
	// before, which announces itself every five seconds.
	legacySilenceAllowed = 11 * time.Second
	// hungAfter is the pause between two steps after which a replica counts as hung.
	hungAfter = silenceAllowed
)

// election decides whether this replica is the registrar: the one replica that
// publishes registrations. It is decided by announcements on NATS alone, so that
// it follows who reaches the routers, not who holds the Lease:
//
//   - A replica with a synced view takes over when the registrar was silent for
//     silenceAllowed, has resigned, or is behind this replica's view for longer than
//     lagAllowed. It then announces itself under a higher term.
//   - Of two registrars the one with the lower term yields when it receives the
//     other's announcement; with equal terms, the one with the lower id.
//   - A replica that lost its connection, or hung, stops being the registrar and
//     listens first.
//   - A registrar that loses the API server or the Lease stays registrar, and goes on
//     with its last table until another takes over.
//
// Replicas of the version before elect by the Lease: the holder announces itself
// without a term. Such an announcement outranks all others, except with a replica
// that holds the Lease itself.
type election struct {
	id string
	// registrar reports whether this replica is the registrar; term is its own term
	// then, and else the highest that was announced.
	registrar bool
	term      int64

	// candidate reports whether this replica's view has been synced.
	candidate bool
	progress  route.Progress
	// leads reports whether this replica holds the Lease.
	leads bool

	connected   bool
	listeningAt time.Time
	// lastAnnouncement is that of another registrar since listeningAt; its Emitter is
	// empty if there was none.
	lastAnnouncement   announcement
	lastAnnouncementAt time.Time
	// mark is progress.Changed of this replica at markAt, the last time that the other
	// registrar was known to be no further behind.
	mark   route.Revision
	markAt time.Time
	behind bool
	// tookOverForLag is when this replica last took over from one that was behind.
	tookOverForLag time.Time
}

// connection records that the connection to NATS came up or went down.
func (e *election) connection(up bool, now time.Time) {
	e.connected = up
	e.listen(now)
}

// listen makes the replica forget earlier announcements and wait for new ones.
func (e *election) listen(now time.Time) {
	e.registrar = false
	e.listeningAt = now
	e.lastAnnouncement, e.lastAnnouncementAt, e.behind = announcement{}, time.Time{}, false
}

// progressed takes over the progress of the replica's view, which has been synced.
func (e *election) progressed(progress route.Progress) {
	e.candidate = true
	e.progress = progress
}

// announced handles the announcement of another replica. It reports whether this
// replica has to announce itself at once, because the other one must yield.
func (e *election) announced(a announcement, now time.Time) (answer bool) {
	switch {
	case a.Resigned != "":
		if a.Resigned == e.lastAnnouncement.Emitter {
			e.lastAnnouncement, e.lastAnnouncementAt = announcement{Resigned: a.Resigned}, now
		}
		return false
	case a.legacy() && e.leads:
		// The other one has lost the Lease and will notice.
		return e.registrar
	case e.registrar && !a.outranks(announcement{Emitter: e.id, Term: e.term}):
		return true
	}
	e.registrar = false
	e.term = max(e.term, a.Term)
	if !e.silent(now) && e.lastAnnouncement.outranks(a) {
		return false // the two will agree among themselves
	}
	changed := route.Revision(a.Changed)
	if a.Emitter != e.lastAnnouncement.Emitter || a.Term != e.lastAnnouncement.Term || changed.Covers(e.mark) {
		e.mark, e.markAt = e.progress.Changed, now
	}
	e.lastAnnouncement, e.lastAnnouncementAt = a, now
	allowed := lagAllowed
	if !e.tookOverForLag.IsZero() && now.Sub(e.tookOverForLag) < lagMemory {
		allowed = lagAllowedAgain
	}
	e.behind = !a.legacy() && now.Sub(e.markAt) >= allowed && e.progress.Changed.Covers(changed)
	return false
}

// takeOver makes this replica the registrar if it is time for that, and reports
// whether it did.
func (e *election) takeOver(now time.Time) bool {
	if !e.candidate || !e.connected || e.registrar || !e.legacyLeft() && !e.behind && !e.silent(now) {
		return false
	}
	if e.behind {
		e.tookOverForLag = now
	}
	e.registrar, e.behind = true, false
	// The time makes a term higher than those of replicas that hung for long, also
	// after all others have been restarted.
	e.term = max(e.term+1, now.UnixMilli())
	return true
}

// legacyLeft reports whether the registrar was a leader of the version before, and
// this replica has got its Lease.
func (e *election) legacyLeft() bool {
	return e.leads && e.lastAnnouncement.Emitter != "" && e.lastAnnouncement.legacy()
}

func (e *election) silent(now time.Time) bool { return !now.Before(e.silentAt()) }

// silentAt returns when this replica stops waiting for an announcement.
func (e *election) silentAt() time.Time {
	at := e.listeningAt.Add(listenFirst)
	switch {
	case e.lastAnnouncement.Resigned != "":
		at = e.lastAnnouncementAt
	case e.lastAnnouncement.Emitter == "":
	case e.lastAnnouncement.legacy():
		at = e.lastAnnouncementAt.Add(legacySilenceAllowed)
	default:
		at = e.lastAnnouncementAt.Add(silenceAllowed)
	}
	if !e.progress.Fresh {
		at = at.Add(staleExtra)
	}
	return at
}
