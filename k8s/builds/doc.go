// Package builds runs builds as Jobs. Package stager has what a build needs and judges how
// its steps ended; package job has what builds share with tasks. The caller of Decide
// reports outcomes to Cloud Controller.
//
// # Usage
//
//	made, err := builds.New(builds.Options{Dependencies: dependencies, Settings: settings, Images: images, …})
//	err = made.Stage(ctx, build)
//	outcome, wait, err := made.Decide(ctx, jobOfBuild, pods)
//
// # What it promises
//
//   - One commit point: a build is on record when its Job exists, and Stage returns
//     without error only then. Before the Job, Secrets are written; they do nothing by
//     themselves, and an interrupted Stage leaves some at the most, which Sweep deletes.
//   - The Job's name is made of the build's guid alone, so the same build on two
//     replicas, or sent twice, makes one Job. While the Job is there, running, ended or
//     being deleted, the same build again changes nothing. For a request with an identity
//     ([opi.Build.Request]) it is an error, unless it is the first one that is sent again.
//   - User code runs at most once: one pod is made and never replaced (package job), and
//     the steps in it refuse a second start.
//   - Images of buildpacks neither fail nor delay a request.
//   - A request is answered within RequestPatience.
//   - A docker image has a Job too, suspended from the start, so that it never has a
//     pod: it is the record from which Decide finds out, with a lookup in the image's
//     registry, and which survives a restart.
//   - A build that is canceled is stopped by one write, which also holds the reason;
//     Kubernetes then ends the pod, and Decide comes to the same outcome however often it is
//     interrupted. What Decide itself gives up (no room, an image that can't be pulled)
//     is stopped by the write of its outcome.
//
// # Objects
//
//	Job <name>             annotations of keys (names, outcome), finalizer of reports
//	Secret <name>          callback, fetch.json (with a suffix where buildpacks are
//	                       mounted), push.json and their credentials; or image.json
//	                       for a docker image
//	Secret <name>-build    build.json, environment.json: what user code may read
//	Secret <name>-files    the build's files, if it has any
//
// Sweep deletes the Secrets once the outcome was answered. The Job does not own them.
//
// # Who does what
//
// Settings.Render is pure. Stage and CancelStaging may be called on every replica, at the
// same time. Decide and Sweep are for one replica, the leader; two that overlap do no harm.
// Builds owns no goroutine; Sweep runs on its caller's until its context ends.
package builds
