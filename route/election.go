package route

import "time"

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
	// staleExtra is how much longer a replica waits whose own view is stale, so that
	// one with a fresh view comes first.
	staleExtra = 10 * time.Second
	// legacySilenceAllowed is the same as silenceAllowed for a leader of the version
	// before, which announces itself every five seconds.
	legacySilenceAllowed = 11 * time.Second
	// hungAfter is the pause between two steps after which a replica counts as hung.
	hungAfter = silenceAllowed
)

// Knowledge describes how far a replica has followed the API server's watches.
type Knowledge struct {
	// Seen holds the resource versions up to which the watches have delivered
	// everything, and the emitter was given all of it.
	Seen Revision
	// Changed holds the resource versions of the last changes among them. Unlike
	// Seen it is the same for all replicas that are up to date, whenever each of
	// them listed or got its last bookmark.
	Changed Revision
	// Fresh reports whether the view may be taken for complete and up to date.
	Fresh bool
}

// election decides whether this replica is the registrar: the one replica that
// publishes registrations. It is decided by announcements on NATS alone, so that
// it follows who reaches the routers, not who holds the Lease:
//
//   - A replica with a synced view takes over when the registrar was silent for
//     silenceAllowed, has resigned, or is behind this replica's view for longer than
//     lagAllowed. It then announces itself under a higher term.
//   - Of two registrars the one with the lower term yields when it hears the other;
//     with equal terms, the one with the lower id.
//   - A registrar that lost its connection, or hung, is no registrar any more and
//     listens first.
//   - A registrar that loses the API server or the Lease stays registrar, and goes on
//     with what it knows until another takes over.
//
// Replicas of the version before elect by the Lease: the holder announces itself
// without a term. Such an announcement outranks all others, except with a replica
// that holds the Lease itself.
type election struct {
	id string
	// registrar reports whether this replica is the registrar; term is its own term
	// then, and else the highest that was heard.
	registrar bool
	term      int64

	// candidate reports whether the emitter was given a synced view.
	candidate bool
	knowledge Knowledge
	// leads reports whether this replica holds the Lease.
	leads bool

	connected   bool
	listeningAt time.Time
	// other is the last announcement of another registrar since listeningAt; its
	// Emitter is empty before.
	other   announcement
	otherAt time.Time
	// mark is what this replica's view had changed at markAt, the last time that
	// other was known to be no further behind.
	mark   Revision
	markAt time.Time
	behind bool
	// tookOverForLag is when this replica last took over from one that was behind.
	tookOverForLag time.Time
}

// connection notes that the connection to NATS came up or went down.
func (e *election) connection(up bool, now time.Time) {
	e.connected = up
	e.listen(now)
}

// listen makes the replica forget what it heard, and wait for what it hears now.
func (e *election) listen(now time.Time) {
	e.registrar = false
	e.listeningAt = now
	e.other, e.otherAt, e.behind = announcement{}, time.Time{}, false
}

// know takes over what the replica's view shows by now.
func (e *election) know(knowledge Knowledge) {
	e.candidate = true
	e.knowledge = knowledge
}

// heard handles the announcement of another replica. It returns whether this
// replica has to announce itself at once, because the other one must yield.
func (e *election) heard(a announcement, now time.Time) (answer bool) {
	switch {
	case a.Resigned != "":
		if a.Resigned == e.other.Emitter {
			e.other, e.otherAt = announcement{Resigned: a.Resigned}, now
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
	if !e.silent(now) && e.other.outranks(a) {
		return false // the two will agree among themselves
	}
	if a.Emitter != e.other.Emitter || a.Term != e.other.Term || a.Changed.covers(e.mark) {
		e.mark, e.markAt = e.knowledge.Changed, now
	}
	e.other, e.otherAt = a, now
	allowed := lagAllowed
	if !e.tookOverForLag.IsZero() && now.Sub(e.tookOverForLag) < lagMemory {
		allowed = lagAllowedAgain
	}
	e.behind = !a.legacy() && now.Sub(e.markAt) >= allowed && e.knowledge.Changed.covers(a.Changed)
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
func (e *election) legacyLeft() bool { return e.leads && e.other.Emitter != "" && e.other.legacy() }

func (e *election) silent(now time.Time) bool { return !now.Before(e.silentAt()) }

// silentAt returns when this replica stops to wait for an announcement.
func (e *election) silentAt() time.Time {
	at := e.listeningAt.Add(listenFirst)
	switch {
	case e.other.Resigned != "":
		at = e.otherAt
	case e.other.Emitter == "":
	case e.other.legacy():
		at = e.otherAt.Add(legacySilenceAllowed)
	default:
		at = e.otherAt.Add(silenceAllowed)
	}
	if !e.knowledge.Fresh {
		at = at.Add(staleExtra)
	}
	return at
}
