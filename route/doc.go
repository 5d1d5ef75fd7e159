// Package route tells routers where app instances are: a table of the endpoints
// that LRPs should have, and an emitter that publishes what changes in it, and
// all of it again and again, over NATS.
//
// Table is pure. Of an LRP and its instances it makes one message per address,
// port and set of attributes, marshalled when it changes. An address belongs to
// one instance: where two claim it, the one that changed last. Malformed routes
// are left out, so that one does not cost its neighbours. Changes come with
// registrations first; an unregister names only triples of address, port and URI
// that no other message registers.
//
// # Usage
//
//	emitter, err := route.New(options)
//	go emitter.Run(ctx)
//	emitter.Set(states)                            // all LRPs, once the view is synced
//	emitter.Know(route.Knowledge{Fresh: true, …})  // from now on it may register
//	emitter.Update(state)                          // for each LRP that changes
//
// What the [Emitter] promises:
//
//   - Set, Update, Know and Lead never wait. They are level-triggered: only the last
//     state of an LRP is published when several come faster than they are handled.
//   - A change goes out at once, before any refresh. Registrations are held to a
//     rate (16,000 a second after a burst of 4,000) that routers can take;
//     unregisters are never held back.
//   - Every message is registered again once per interval, evenly spread. The
//     interval is the shortest that a router asked for, 20 s where none did, and
//     never more than a third of the shortest prune threshold.
//   - An unregister is sent by every replica, and repeated every 30 s, 20 times,
//     until the same triple is registered again in the same isolation segment. If it
//     is registered in another segment, only the registrar sends the unregister, and
//     the registration right after it.
//   - router.start, and a connection that comes back, are answered with the whole
//     table and all pending unregisters, for 10,000 endpoints within a second.
//     router.start is answered once more 0.8 s later, because gorouter publishes it
//     before it subscribes.
//   - Registrations are published by one replica, the registrar. The replicas elect
//     it with announcements on irene.emitter.<installation>: one that reaches NATS
//     and has a synced view takes over within two seconds when the registrar is
//     silent, or behind. A registrar that loses the API server goes on with what it
//     knows until another takes over, since that says nothing about the instances.
//     The NATS user must be allowed to publish and subscribe there, and to subscribe
//     to router.unregister and service-discovery.unregister.
//   - Replicas that disagree go by who knows more. Unregisters carry, in a field
//     that routers ignore, the revision of the state behind them. A replica does not
//     register an endpoint that another, with a revision that its own does not
//     cover, has taken away; the registrar registers again at once what one that
//     knows no more took away.
//   - Without NATS nothing is queued: memory holds the table and at most
//     MaxPending triples to unregister.
//
// What is not stored: a process that starts does not know what its predecessor
// had registered. Instances that went while no replica ran are dropped by the
// routers themselves when their age passes the prune threshold (120 s, and up to
// 30 s until the next sweep), because nobody refreshes them. Routers do not prune
// TLS endpoints by age: with TLS ports there must be a second replica, whose
// pending unregisters outlive the first.
//
// The same bound holds for an instance that a registrar without API server had
// registered, and that was ready too shortly for its successor to see: only the
// cut-off replica, once it sees again, knows that there is something to unregister.
//
// Run owns the one goroutine that uses the table and the schedule, and the
// connection with its goroutines; all have ended when it returns. Instances stay
// registered then: that the emitter ends says nothing about them.
package route
