// Package platform makes HTTP clients for the services around Irene: Cloud Controller and
// its uploader, blobstores, the registry.
//
// # Usage
//
//	client, err := platform.New(platform.Options{
//		Peer:    "cloud_controller",
//		Files:   platform.Files{Authorities: []string{caFile}, Certificate: certificateFile, Key: keyFile},
//		Metrics: platform.NewMetrics(registerer),
//		Logger:  logger,
//	})
//	response, err := client.Do(request)
//
// # Promises
//
//   - Files are read again when their content changes, with the next request. Changed files
//     get new connections; requests in flight end on the old ones. Files that can't be used
//     leave the last good ones in use, and that is logged once (package reload).
//   - [Client.Do] follows no redirect, and its errors hold neither method nor URL, because
//     URLs may hold passwords and signatures. [Client.RoundTrip] fits libraries that bring
//     their own http.Client.
//   - A request ends with an error that wraps [ErrStalled] when no byte of a body moves for
//     Options.Stall, in either direction. The time that the reader of an answer, or the
//     source of a request's body, takes does not count.
//   - A Client sends each request once. [Retrying] repeats requests that may be repeated,
//     [Retry] whole pieces of work. A [Backoff] configures their pauses, and a server's
//     Retry-After goes through [RetryAfter] with a limit that the caller chooses.
//   - A Client owns no goroutine except those of net/http's idle connections.
//
// # Why not a library
//
// code.cloudfoundry.org/tlsconfig refuses an expired client certificate when it is loaded,
// so that Irene would not start in a platform that needs a renewal, and never reloads.
// client-go's transport reloads files, but every five minutes, closes connections with
// their requests, caches transports in the process, and would be linked into the programs
// that run inside containers.
package platform
