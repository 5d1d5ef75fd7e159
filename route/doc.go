// Package route computes the endpoints of app instances: which ports of which instances
// serve which routes, and how that changes. Routers and message formats belong to its
// consumers (route/nats).
//
// # Usage
//
//	feed := route.NewFeed(view, clock.RealClock{}) // before the view runs
//	table := route.NewTable()
//	for range feed.Wake() {
//		update := feed.Read(table)
//		register(update.Changes.Register)
//		unregister(update.Changes.Unregister)
//	}
//
// What the package promises:
//
//   - A [Table] is a pure function of the last [State] of each LRP, whatever the order in
//     which [Table.Apply] got them. Only ready instances that are not terminating have
//     endpoints.
//   - An instance has one [Endpoint] per port and set of attributes, with all URIs that
//     share them; more than 256 URIs are split. Each [Key] belongs to one endpoint.
//   - An address belongs to one instance. If two claim it, the one that became ready or
//     unready last has it, and the other's keys are unregistered.
//   - A malformed route is left out, so that it costs its neighbours nothing.
//   - [Changes] name keys, not endpoints, to unregister: a key that moves from one
//     endpoint to another is only registered.
//   - A [Feed] reads an LRP once, however often it has changed since the last read, and is
//     the only buffer between the view and a consumer. Reading comes after the change, so a
//     state is never replaced by an earlier one. The [Progress] of an update claims no
//     more than the table contains.
//   - Each consumer has a feed and a table of its own, and reads at its own pace. The
//     package starts no goroutine.
//
// Less formally: the view calls the feed, the feed remembers the LRP and wakes the
// consumer, and the consumer's goroutine reads, compares and publishes.
package route
