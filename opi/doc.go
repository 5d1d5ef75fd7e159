// Package opi is Irene's domain: long-running processes (LRPs) and their
// instances, routes, tasks, builds and how these end, with the rules that hold for
// them with every caller and every back end.
//
// # Usage
//
//	lrp, odd := lrp.Normalize()
//	if err := lrp.Validate(); err != nil {
//		return opi.FieldErrors(err) // each with a path such as routes.http[1].hostname
//	}
//	outcome := opi.TaskFailed(guid, "exit", "Exited with status 3")
//
// # What it promises
//
// It promises plain values: no I/O, no Kubernetes, no clock, no goroutines and
// no caller's wire format. A front door (opi/api is the first) converts its
// requests into these values, calls Normalize where there is one, and then Validate; a
// back end (k8s) turns valid values into objects. What becomes of them ([Outcome],
// [InstanceReport]) is encoded by the [Door] that was asked.
//
// The JSON tags are the stored form of a value. The back end keeps an LRP in
// that form for as long as the LRP runs, so a tag may be added but never
// renamed or given another meaning.
package opi
