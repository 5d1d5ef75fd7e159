// Package control holds the leader's controllers, which keep whole what requests made, and
// the roll of a stack, which an operator starts.
//
// # Usage
//
//	companions := control.NewCompanions(control.CompanionsOptions{
//		Namespace: "cf-apps", View: appsView, StatefulSets: sets, Pods: core, Secrets: core, Budgets: policy,
//		OrphanMinAge: time.Minute, Logger: logger, Registerer: registry,
//	})
//	go appsView.Run(ctx)
//	err := companions.Run(ctx)
//
// # Promises
//
//   - Every controller is level-triggered: each reconcile compares what is with what should
//     be, and may be killed or repeated at any point. Two at once do each other no harm; one is
//     enough, so run it where this replica leads.
//   - Nothing is deleted on stale knowledge: before that, the object is looked up live, and the
//     delete has its uid as a precondition.
//   - Run owns every goroutine that it starts, and returns when all of them have stopped. It
//     may be called again, when this replica leads again.
//
// # How a controller is written
//
// Its Options name exactly what it uses. The view and the StatefulSets are interfaces that
// stand next to the controller ([CompanionsView], [CompanionsStatefulSets]); the API is
// client-go's getters of single resources. New subscribes to the view, and the loop of package
// reconcile runs while Run does. A reconcile is a table of named steps ([reconcile.Steps]),
// which New lists in their order. Its subject carries what one step finds to the next. A step
// that fails does not keep back those after it, unless they need what it finds; the log and
// irene_reconcile_step_failures_total name it. [PullSecret] compares at an interval and has a
// single step.
package control
