// Package nats publishes the endpoints of app instances over NATS, to gorouter and to
// service discovery (contract: "What the emitter promises").
//
// # Usage
//
//	emitter, err := nats.New(nats.Options{View: view, NATS: settings, …}) // before the view runs
//	registry.MustRegister(emitter)
//	go emitter.Run(ctx)
//
// What the [Emitter] promises:
//
//   - A change is published at once, before any refresh. Only the last state of an LRP is
//     published if several changes come faster than they are handled. Registrations are
//     held to a rate (16,000 a second after a burst of 4,000) that routers can take;
//     unregisters are never held back.
//   - Registrations of a change are published before its unregisters. An unregister names
//     only keys (address, port and URI) that no other endpoint has.
//   - Every endpoint is registered again once per interval, evenly spread. The interval is
//     the shortest that a router asked for, 20 s if none did, and never more than a third
//     of the shortest prune threshold.
//   - An unregister is sent by every replica, and repeated every 30 s, 20 times, until the
//     same key is registered again in the same isolation segment. If it is registered in
//     another segment, only the registrar sends the unregister, and the registration right
//     after it.
//   - router.start, and a connection that comes back, are answered with the whole table and
//     all pending unregisters. router.start is answered once more 0.8 s later, because
//     gorouter publishes it before it subscribes. At the rate above, one answer with 10,000
//     registrations is published within 0.4 s, so that a router which lost part of the
//     first has been sent all of them after 1.2 s. How long the router takes to handle
//     them comes on top: with everything on two cores 10,000 were in its table after 1.3 s
//     (docs/performance.md).
//   - Registrations are published by one replica, the registrar. The replicas elect it with
//     announcements on irene.emitter.<installation>: one that reaches NATS and has a synced
//     view takes over within two seconds if the registrar is silent, or behind. A registrar
//     that loses the API server goes on with its last table until another takes over,
//     because that does not mean that the instances are gone. The NATS user must be allowed
//     to publish and subscribe there, and to subscribe to router.unregister and
//     service-discovery.unregister.
//   - If replicas disagree, the newer revision wins. Unregisters carry, in a field that
//     routers ignore, the revision of the state behind them. A replica does not register an
//     endpoint that another replica has unregistered with a revision that its own does not
//     cover; the registrar registers again at once what was unregistered with a revision
//     that is not newer.
//   - Without NATS nothing is queued: memory holds the table and at most MaxPending keys to
//     unregister.
//
// A process that starts has no record of what its predecessor had registered. Routers drop
// instances that were deleted while no replica ran when their age passes the prune threshold
// (120 s, and up to 30 s until the next sweep), because no replica refreshes them. Routers do
// not prune TLS endpoints by age: with TLS ports there must be a second replica, so that its
// pending unregisters outlive the first.
//
// The same bound holds for an instance that a registrar without API server had registered,
// and that was ready too briefly for its successor to see: only the replica that was cut off
// can unregister it, once its view is up to date again.
//
// Run owns the goroutine that uses the table and the schedule, and the connection with its
// goroutines; all have ended when it returns. Instances stay registered then, because the end
// of the emitter does not mean that they are gone.
//
// Less formally: every replica has the table, one refreshes it in the routers, and all of them
// unregister endpoints that are gone.
package nats
