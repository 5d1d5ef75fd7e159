// Package view is what Irene knows of the app namespace at any moment: the
// StatefulSets, pods, Secrets (metadata only) and PodDisruptionBudgets that
// belong to LRPs, and the nodes of the cluster, kept small in memory and fed by
// watches, so that every read is answered without a call to the API server.
//
// What it promises:
//
//   - Read your writes. A write noted with one of the Note functions is seen by
//     the next read of the same View, before the watch delivers it, and is never
//     undone by an older event that the watch delivers later. What another client
//     deleted does not stay because of a note.
//   - One version of an object never gives way to an older one, unless the API
//     server's own history was rewritten (etcd restored from a backup); then the
//     next list is the truth.
//   - Values that reads return are copies or share only what never changes again.
//     A caller may keep them, and must not write into what they point to.
//   - Each read is consistent in itself: it sees all resources at one instant of
//     this process. The five watches are independent of each other though, so a
//     StatefulSet may be seen milliseconds before the Secret that was written
//     before it, or a pod that is unready before the node that was lost.
//   - Fresh says whether the view may be trusted to be complete and up to date.
//     Reads answer in any case: routes go on with old knowledge, GET /apps must
//     not.
//
// Nodes tell where instances are and whether they can be believed: zones, and which
// pods are unready only because nobody hears from them. Synced waits for them, since
// routes that are made without them would lose what a mass outage should keep. Fresh
// does not ask about them: GET /apps, which it guards, says nothing of nodes and need
// not fail because their watch hangs. It is reopened like every other, so knowledge
// of nodes is old by StaleAfter at the most while the API server answers; who
// destroys something on its strength looks again, live.
//
// Nodes are not the namespace's, so an operator may not want to grant them. Where the
// API server answers that Irene may not list nodes, the view does without: Synced
// does not wait, routes have no zones, an unready pod is never routable, no node
// counts as lost, and instances are UNKNOWN by their own status alone. The log says
// so once, and irene_view_synced stays 0 for nodes. The list is tried again every few
// seconds, so a permission that is granted later takes effect without a restart. One
// that is taken away later leaves the view with what it knew.
//
// Beside these, Events of reason Unhealthy are watched, from which the texts of crashes
// take which health check failed. No state depends on them, nothing waits for them, and
// where Irene may not read them the texts go without.
//
// Kubelets report the same again and again; that costs a comparison and tells nobody.
//
// Subscribers are told of every change after it can be read, outside all locks,
// by the goroutine that brought the change: one per watch, and the callers of
// the Note functions. Calls for one object come in the order of its changes as
// far as the watch goes; a subscriber reads the present state from the view and
// never infers it from the sequence of calls.
//
// Run owns every goroutine: per resource a reflector and a forwarder of its
// watch, one watchdog, and the reflector of Events. When it returns they have ended.
package view
