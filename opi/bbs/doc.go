// Package bbs is the BBS front door: the routes of Diego's BBS that Cloud Controller calls,
// their protobuf messages, and the conversion between those and the domain (package opi).
// Nothing of the wire leaves this package.
//
// # Usage
//
//	handler := bbs.NewHandler(bbs.Options{
//		LRPs: lrps, Tasks: tasks, Builds: builds, Refusals: opi.NewRefusals(), Logger: logger,
//	})
//	server := &http.Server{Handler: handler} // bounds bodies, checks client certificates
//
// # What it promises
//
// Every request is a POST of one message, and so is every answer: errors are in field 1 of the
// response, with status 200. The empty message is the success of a write. HTTP status 503 means
// that the same request may succeed later, 404 that there is no such route. Texts of errors
// are for app developers: they name fields of the request, or are an [opi.Message]; what else
// an error contains goes to the log.
//
// A request gets its answer within 8 s ([Options.Patience]), because Cloud Controller gives up
// after 10 s and sends it again. Writes that are equal (route, body and X-Vcap-Request-Id)
// while the first of them is in work are joined in this replica, and the work goes on when its
// caller leaves. A write is answered with success only when the back end has committed it.
//
// The list of scheduling infos is complete or an error, and has LRPs of the domain alone. LRPs
// of another door do not exist here, nor do its tasks and builds, except for those of the OPI door
// with [Options.AdoptOPI]. How these end is reported as to callers of the OPI door.
//
// A message with too many parts or levels is refused before it is parsed, so that the memory
// that it takes is bounded by its size.
//
// Keys for SSH are answered to the route of the SSH proxy alone (get_by_process_guid.r3). An
// update neither needs nor changes them.
//
// # Tasks and staging
//
// A task of the domain cf-app-staging is a build, for [Builds]; any other is for [Tasks]. Tasks of
// this door are listed from the answer to their desire until Cloud Controller has answered their
// outcome; builds are not listed. A task or build that another request desired before is
// answered with ResourceExists. The same request sent again (guid, body and a non-empty
// X-Vcap-Request-Id) succeeds for 70 s on any replica, whatever the work has come to meanwhile:
// Cloud Controller takes ResourceExists for a failure. Without the id, a request joins only a twin
// in flight on the same replica.
//
// Not yet as on Diego:
//
//   - A task that is to run as a user of its docker image by name is answered with status 503 if
//     the image's registry does not answer.
//   - Of a build and of a task, EgressRules, MetricTags and OrganizationalUnits, and the limits of
//     open files, processes and the log rate, are kept and have no effect.
//   - A task's definition in answers has the root file system, the log guid, the annotation, the
//     metric tags and the limits of processes and the log rate alone: the rest is secret, large
//     or read by no caller.
//
// # What is invalid
//
// The rules of Diego's own models decide, and after them those of [opi.LRP.Validate] and
// [opi.LRPUpdate.Validate]. The door is more lenient than Diego in this:
//
//   - Metric tags without a value are left out, and logged. Diego refuses the app.
//   - Egress rules that can't be read are left out, and logged ([opi.LRP.Normalize]).
//   - Desiring an LRP that exists updates it. Diego answers ResourceExists.
//   - The content type is not looked at.
//
// The handler holds no goroutine. Its state is the [opi.Refusals] that it was given and the
// domains that callers keep fresh, which nothing depends on.
package bbs
