// Package reconcile runs reconciles: a [Loop] hands keys to workers and repeats what failed,
// and [Steps] are what one reconcile does, by name.
//
// # Usage
//
//	steps := reconcile.NewSteps("companions", registerer,
//		reconcile.Step[view.LRP]{Name: "budget", Run: reconcileBudget},
//		reconcile.Step[view.LRP]{Name: "own-secret", Run: ownSecret},
//	)
//	loop := reconcile.New(reconcile.Options[opi.LRPIdentifier]{
//		Reconcile: func(ctx context.Context, id opi.LRPIdentifier) (time.Duration, error) {
//			return steps.Run(ctx, lrpOf(id))
//		},
//		Failed: logFailure, Workers: 8,
//	})
//	loop.Add(id) // from any goroutine, at any time
//	loop.Run(ctx)
//
// # Promises
//
//   - A key is with one worker at a time. One that is added meanwhile is reconciled again
//     after that; one that is added several times before its turn is reconciled once.
//   - After an error a key is reconciled again after a pause, which doubles from
//     Options.FirstPause to Options.LongestPause and is spread, so that keys that failed
//     together are not tried together. [Postpone] makes one pause longer. Events do not move
//     the end of a pause: a key that is added before is tried at once or, with
//     Options.Patient, only then; in neither case does the early attempt count.
//   - [Loop.Run] owns all goroutines of the workers. When ctx ends it begins with no other
//     key. Reconciles in progress see the end at once, or go on for Options.Drain.
//   - A failed step does not keep back those after it, unless its [Result] does. The error
//     begins with the step's name, and irene_reconcile_step_failures_total counts it.
//
// Less formally: k8s/control makes a loop each time that this replica becomes the leader, and
// every reconcile there is a table of steps. Package events has two loops for each kind of
// report, an eager one that looks at what happened, and a patient one that delivers.
package reconcile
