// Package stager computes what a build needs, and judges how its steps ended. It is pure: it
// has no I/O and no Kubernetes. Package builds runs builds as Jobs, package steps is what
// runs inside the pod, and package buildpacks makes images of buildpacks.
//
// # Usage
//
//	needs, err := settings.Needs(build, images, credentials)
//	failure := stager.StepEnd{Step: steps.BuildStep, ExitCode: 223, Message: message}.Failure()
//	outcome, err := stager.ResultOutcome(build.GUID, resultJSON)
//
// # What it promises
//
//   - User code meets no key: the step with user code has the app's own variables and
//     nothing else that is secret. Signed URLs and credentials are in the files of fetch and
//     push ([Needs.Private]).
//   - Buildpacks that have an image are mounted, the others fetched. [PodImages] decides
//     that for the whole build.
//   - The exit status decides whether a step succeeded. Its termination message, which user
//     code may have written, changes only what the user reads, and the reason that is
//     counted.
//   - Every failure has an error id of the domain and a text for the app's developer.
package stager
