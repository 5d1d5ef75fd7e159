// Package render turns LRPs and tasks into Kubernetes objects, and holds the forms in which
// an LRP is stored on them: record, routes and request digest. It is pure: no call, no clock,
// no state.
//
// # Usage
//
//	settings := render.Settings{Namespace: "cf-apps", Registry: render.RegistrySettings{PullAddress: "registry:5000"}, …}
//	secret, statefulSet, err := settings.LRP(lrp, image, request, key)
//	pod, err := settings.Task(task, image, secretName)
//
// What it promises:
//
//   - The same input makes the same objects.
//   - No secret value stands in a StatefulSet or pod spec. Secret values are in the LRP's
//     Secret, and digests of them are made with a [DigestKey], so that no reader can check
//     guesses.
//   - An LRP that has parts which can't be rendered is refused with an [opi.FieldError] and
//     never rendered without them.
//   - What any release has stored stays readable: LRPs outlive releases. Digests of requests
//     keep their values for the same reason.
//
// Every pod is made by [Pod.Spec], which takes any number of containers and volumes. An LRP
// or task is computed once (its environment, image, limits, secret values) and the objects
// are literals of the result.
package render
