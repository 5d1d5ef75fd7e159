// Package view is what Irene knows of the app namespace at any moment: the
// StatefulSets, pods, Secrets (metadata only) and PodDisruptionBudgets that
// belong to LRPs, kept small in memory and fed by watches, so that every read
// is answered without a call to the API server.
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
//     this process. The four watches are independent of each other though, so a
//     StatefulSet may be seen milliseconds before the Secret that was written
//     before it.
//   - Fresh says whether the view may be trusted to be complete and up to date.
//     Reads answer in any case: routes go on with old knowledge, GET /apps must
//     not.
//
// Subscribers are told of every change after it can be read, outside all locks,
// by the goroutine that brought the change: one per watch, and the callers of
// the Note functions. Calls for one object come in the order of its changes as
// far as the watch goes; a subscriber reads the present state from the view and
// never infers it from the sequence of calls.
//
// Run owns every goroutine: per resource a reflector and a forwarder of its
// watch, and one watchdog. When it returns they have ended.
package view
