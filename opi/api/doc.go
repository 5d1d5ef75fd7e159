// Package api is the OPI front door: the HTTP routes that Cloud Controller calls,
// their JSON, and the conversion between that JSON and the domain (package opi).
// Nothing of the wire leaves this package.
//
// # Usage
//
//	handler := api.NewHandler(api.Options{
//		LRPs: lrps, Builds: builds, Tasks: tasks, Refusals: opi.NewRefusals(), Logger: logger,
//	})
//	doors := events.Doors{opi.DoorOPI: api.Encoder{}}
//
// # What it promises
//
// By the contract with Cloud Controller, a write answers success only
// when the back end has committed it; a request that can't be honoured changes
// nothing and says in JSON which field is wrong and why; an odd value that the LRP can do
// without is left out or put right, and logged; the lists of LRPs
// and of tasks are complete or not a list at all. Bodies are JSON whatever their content type says,
// because Cloud Controller labels them as forms.
//
// Status codes: 400 for what can't be read (no JSON, wrong types, missing or
// contradicting parts, malformed routes), 422 for what can be read and not be honoured, 413 for
// bodies that are too large, 404 for unknown LRPs, builds and tasks, 410 for what only the
// predecessor had, 503 where the same request may
// succeed later, 500 otherwise.
//
// Texts are for app developers, who see them through Cloud Controller: they name fields of
// the request, or are an opi.Message; what else an error says goes to the log.
//
// The handler holds no goroutine. Its only state is the [opi.Refusals] that it was given,
// by which an app that can't start says why: CRASHED for what is refused for good,
// UNCLAIMED for what may succeed later.
//
// [Encoder] encodes outcomes and reports about instances for Cloud Controller; [WriteFault]
// writes the answers that no handler gives.
package api
