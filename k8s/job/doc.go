// Package job is what builds and tasks have in common: work that Kubernetes runs once,
// as a Job with one pod, and whose end somebody is told of.
//
// # What it promises
//
//   - Object makes a Job that has one pod at the most, ever: it is not restarted and not
//     replaced (backoffLimit 0, restartPolicy Never, podReplacementPolicy Failed). The
//     finalizer of reports is on it.
//   - Store writes Secrets and then the Job, the commit point. Its name is made of the
//     guid alone, so the same work on two replicas, or asked for twice, is one Job. Only
//     a conflict of names is an error; a Job that is there, in whatever state, is not.
//   - Stop ends a Job in one write, which also says why.
//   - Rules.Judge says what Kubernetes has made of a Job and its pods, apart from what the
//     work itself has said: that is for the caller, who looks at it first. It is pure.
//   - Sweeper deletes the Secrets of Jobs whose outcome was answered, and those that have
//     no Job. Jobs don't own them: where one is deleted in the foreground, Kubernetes
//     would take the callback away before the outcome was sent.
//
// Nothing here owns a goroutine; Sweeper.Run is its caller's until its context ends.
package job
