package route

// modelReplica is an emitter without goroutine and connection.
type modelReplica struct {
	world    *world
	id       string
	schedule *schedule
	mail     mail
	away     bool // from NATS
	frozen   bool
	// seen is what it knows of each app. Routes and instances come by watches of
	// their own, either of which may have stalled.
	seen                            map[int]State
	routesStalled, instancesStalled bool
	knowledge                       Knowledge
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
		for _, audience := range []Audience{Router, ServiceDiscovery} {
			if subject == audience.unregisterSubject() {
				if u, err := parseUnregister(audience, data, other.id); err == nil && u != nil {
					other.mail.hear(u)
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

// know passes on how far the replica has followed its watches.
func (r *modelReplica) know() {
	if !r.routesStalled {
		r.knowledge.Seen.LRP = r.world.revision
	}
	if !r.instancesStalled {
		r.knowledge.Seen.Instances = r.world.revision
	}
	// A stalled watch is found out late.
	r.knowledge.Fresh = !r.routesStalled && !r.instancesStalled || r.world.random.IntN(2) == 0
	knowledge := r.knowledge
	r.mail.knowledge = &knowledge
}

// see shows the replica the routes and instances of an app, as far as its watches go.
func (r *modelReplica) see(n int) {
	if r.frozen {
		return
	}
	is, seen := r.world.state(n), r.seen[n]
	if !r.routesStalled {
		seen.LRP, seen.Revision.LRP = is.LRP, is.Revision.LRP
		r.knowledge.Changed.LRP = max(r.knowledge.Changed.LRP, is.Revision.LRP)
	}
	if !r.instancesStalled {
		seen.Instances, seen.Revision.Instances = is.Instances, is.Revision.Instances
		r.knowledge.Changed.Instances = max(r.knowledge.Changed.Instances, is.Revision.Instances)
	}
	r.seen[n] = seen
	r.mail.update([]State{seen}, r.world.now)
	r.know()
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
	r.mail = newMail()
	r.frozen = false
	r.step()
	r.mail = waiting
	r.seeAll()
}

func (r *modelReplica) step() {
	mail := r.mail
	r.mail = newMail()
	mail.deliver(r.schedule, r.world.now)
	r.schedule.due(r.world.now)
}
