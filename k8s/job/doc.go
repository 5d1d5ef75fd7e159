// Package job runs work that Kubernetes does once, as a Job with one pod, and keeps it until
// its outcome was reported. Builds (package builds) and tasks (package tasks) are such work.
//
// # Usage
//
//	store := job.New(job.Options{Dependencies: dependencies, Kind: kind, Namespace: "apps", Metrics: metrics})
//	written, err := store.Desire(ctx, guid, request, func(ctx context.Context) (job.Objects, error) {
//		return job.Objects{Secrets: secrets, Job: work.Job(pod)}, nil
//	})
//	verdict := store.Judge(ctx, job.Rules{Containers: containers, Limits: limits}, jobOfWork, job.Pods(pods))
//
// # What it promises
//
//   - [Work.Job] makes a Job that has one pod at the most, ever: it is not restarted and not
//     replaced (backoffLimit 0, restartPolicy Never, podReplacementPolicy Failed). The
//     finalizer of reports is on it.
//   - [Store.Desire] writes Secrets and then the Job, the commit point. Its name is made of
//     the guid alone, so the same work on two replicas, or requested twice, is one Job. A Job
//     that is there, in whatever state, is no error, unless a request with an identity is not
//     the one that the Job was made for, or comes too late to be that one sent again.
//   - [Store.Cancel] ends a Job in one write, which also holds the reason.
//   - [Store.Judge] returns what Kubernetes has made of a Job and its pods. How the work
//     itself ended is for the caller, who looks at it first. [Rules.Judge] is its pure part.
//   - [Store.CountEnd] counts the end of a Job once in the life of a process.
//   - [Store.Sweep] deletes the Secrets of Jobs whose outcome was answered, and those that
//     have no Job. Jobs don't own them: where one is deleted in the foreground, Kubernetes
//     would take the callback away before the outcome was sent.
//
// Nothing here owns a goroutine; Sweep runs on its caller's until its context ends.
package job
