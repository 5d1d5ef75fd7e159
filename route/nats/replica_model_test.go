package nats

import (
	"github.com/irene-cf/irene/fixtures/routing"
	"github.com/irene-cf/irene/route"
)

// modelReplica is an emitter without goroutine and connection.
type modelReplica struct {
	world    *world
	id       string
	schedule *schedule
	view     *routing.View
	feed     *route.Feed
	mail     mail
	away     bool // from NATS
	frozen   bool
	// unread reports whether the feed has changes that no step has read.
	unread bool
	// seen is what it knows of each app. Routes and instances come by watches of
	// their own, either of which may have stalled.
	seen                            map[int]route.State
	routesStalled, instancesStalled bool
	progress                        route.Progress
}

func (r *modelReplica) send(subject string, data []byte) error {
	if r.away || r.world.natsAway {
		return errAway
	}
	for _, router := range r.world.routers {
		router.handle(subject, data, r.world.now)
	}
	for _, other := range r.world.replicas {
		if other == r || other.away {
			continue
		}
		for _, kind := range []route.Kind{route.HTTP, route.Internal} {
			if subject == unregisterSubjectOf(kind) {
				if u, err := parseUnregister(kind, data, other.id); err == nil && u != nil {
					other.mail.unregistered(u)
				}
			}
		}
		if subject == announcementSubject("x") {
			if a, err := parseAnnouncement(data, other.id); err == nil && a != nil {
				other.mail.announced(*a)
			}
		}
	}
	return nil
}

func (r *modelReplica) connected(up bool) { r.mail.connection = &up }

// follow shows in the view how far the replica has followed its watches.
func (r *modelReplica) follow() {
	if !r.routesStalled {
		r.progress.Seen.LRP = r.world.revision
	}
	if !r.instancesStalled {
		r.progress.Seen.Instances = r.world.revision
	}
	// A stalled watch is found out late.
	r.progress.Fresh = !r.routesStalled && !r.instancesStalled || r.world.random.IntN(2) == 0
	r.view.Follow(r.progress)
}

// see shows the replica the routes and instances of an app, as far as its watches go.
func (r *modelReplica) see(n int) {
	if r.frozen {
		return
	}
	is, seen := r.world.state(n), r.seen[n]
	if !r.routesStalled {
		seen.LRP, seen.Revision.LRP = is.LRP, is.Revision.LRP
		r.progress.Changed.LRP = max(r.progress.Changed.LRP, is.Revision.LRP)
	}
	if !r.instancesStalled {
		seen.Instances, seen.Revision.Instances = is.Instances, is.Revision.Instances
		r.progress.Changed.Instances = max(r.progress.Changed.Instances, is.Revision.Instances)
	}
	r.seen[n] = seen
	r.view.Update(seen)
	r.unread = true
	r.follow()
}

func (r *modelReplica) seeAll() {
	for n := range r.world.apps {
		r.see(n)
	}
}

// thaw lets a frozen process go on. What the others published meanwhile waits in its
// connection, and comes after its first step.
func (r *modelReplica) thaw() {
	waiting := r.mail
	r.mail = mail{}
	r.frozen = false
	r.step()
	r.mail = waiting
	r.seeAll()
}

func (r *modelReplica) step() {
	r.deliver()
	r.schedule.due(r.world.now)
}

// deliver is the first half of a step.
func (r *modelReplica) deliver() {
	taken := r.mail
	r.mail = mail{}
	r.unread = false
	taken.deliver(r.schedule, r.feed.Read(r.schedule.table), r.world.now)
}
