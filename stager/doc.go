// Package stager stages apps: it makes of a build what Kubernetes runs, and judges what
// became of it. What runs inside the pod is package steps; reporting to Cloud
// Controller is the business of whoever calls Decide.
//
// # What it promises
//
//   - One commit point: a build is on record when its Job exists, and Stage returns
//     without error only then. Before the Job, Secrets are written; they do nothing by
//     themselves, and an interrupted Stage leaves some at the most, which Sweep deletes.
//   - The Job's name is made of the build's guid alone, so the same build on two
//     replicas, or sent twice, makes one Job. While the Job is there, running, ended or
//     being deleted, the same build again changes nothing.
//   - User code runs at most once: one pod is made and never replaced (backoffLimit 0,
//     restartPolicy Never, podReplacementPolicy Failed), and the steps in it refuse a
//     second start.
//   - User code meets no key: its container has the app's own variables and nothing else
//     that is secret. Signed URLs, the callback and credentials are files that only the
//     containers of fetch and push have.
//   - Buildpacks that there are images of are mounted, the others fetched; which way each
//     takes is decided by whoever makes the Job, and for the whole build. Nothing about
//     images of buildpacks fails or delays a request: package buildpacks makes them.
//   - A request is answered within RequestPatience.
//   - A docker image has a Job too, suspended from the start, so that it never has a
//     pod: it is the record from which Decide finds out, asking the image's registry,
//     and which survives a restart.
//   - A build that is canceled is stopped by one write, which says so; Kubernetes then
//     ends the pod, and Decide comes to the same outcome however often it is
//     interrupted. What Decide itself gives up (no room, an image that can't be pulled)
//     is for whoever writes the outcome down to stop, in the same write.
//
// # Objects
//
//	Job <name>             annotations of keys (names, outcome), finalizer of reports
//	Secret <name>          callback, fetch.json (with a suffix where buildpacks are
//	                       mounted), push.json and their credentials; or image.json
//	                       for a docker image
//	Secret <name>-build    build.json, environment.json: what user code may read
//
// Sweep deletes the Secrets once the outcome was answered. The Job does not own them.
//
// # Who does what
//
// Render is pure. Stage and CancelStaging may be called on every replica, at the same
// time. Decide and Sweep are for one replica, the leader; two that overlap do no harm.
// Stager owns no goroutine; Sweep runs on its caller's until its context ends.
package stager
