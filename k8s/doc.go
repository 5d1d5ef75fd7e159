// Package k8s is what a request does: it desires, changes, reads and stops LRPs.
//
// # Usage
//
//	lrps := k8s.New(k8s.Options{Client: client, View: appsView, StatefulSets: sets, Settings: settings, …})
//	err := lrps.Desire(ctx, lrp, request)
//	instances, err := lrps.Instances(ctx, lrp.LRPIdentifier)
//
// What it promises:
//
//   - One commit point: a desired LRP exists when its StatefulSet exists. Before
//     the StatefulSet at most one Secret is written; everything else that an LRP
//     needs (owner references, PodDisruptionBudget) is derived from the
//     StatefulSet by package control, which may be killed at any instruction.
//   - Identity is the pair of labels guid and version; names are for people.
//   - A template never changes once written: updates touch replicas and
//     annotations. Two controllers of package control change image and revision only.
//   - Reads come from the view (package view) and cost no API call on a hit, one
//     on a miss.
//   - Secret values live in the LRP's Secret, never in a StatefulSet (package render).
//
// [LRPs] holds no goroutine. Package render makes an LRP's objects, package live reads and writes
// StatefulSets at the API server. The other functions serve operators' commands:
// [StackUsage], [RecordedDroplets], [ReleaseJobs], [ReleasePods].
package k8s
