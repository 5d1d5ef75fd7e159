// Package control holds the leader's controllers, which keep whole what requests made, and
// the roll of a stack, which an operator starts.
//
// # Usage
//
//	options := control.Options{Namespace: "cf-apps", Client: client, View: appsView, StatefulSets: sets, …}
//	companions := control.NewCompanions(control.CompanionsOptions{Options: options, OrphanMinAge: time.Minute})
//	go appsView.Run(ctx)
//	err := companions.Run(ctx)
//
// What it promises:
//
//   - Every controller is level-triggered: each reconcile compares what is with what should
//     be, and may be killed or repeated at any point. Two at once do each other no harm; one is
//     enough, so run it where this replica leads.
//   - Nothing is deleted on stale knowledge: before that, the object is looked up live, and the
//     delete has its uid as a precondition.
//   - Run owns every goroutine that it starts, and returns when all of them have stopped.
//
// All controllers share one loop of workers ([Companions] is the simplest example). What a
// reconcile has to do stands in a table of named steps; a step that fails does not keep back
// the others, and the log names it.
package control
