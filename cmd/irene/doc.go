// Command irene lets Cloud Foundry run its apps on Kubernetes.
//
//	irene serve --config FILE
//	irene stack import|list|roll --config FILE …
//	irene registry serve --config FILE
//	irene doctor|lrps|routes|diff|config --config FILE …
//	irene version
//	irene help
//
// docs/configuration.md describes the file of the service, which "irene stack"
// (docs/stacks.md) and the commands for operators (docs/operate.md) read too,
// docs/registry.md that of the registry, which is a process of its
// own. Whatever is wrong with it, or with the certificates that it names, is told on
// standard error, all of it at once, and ends the process with status 1; a command line
// that isn't understood ends it with status 2.
//
// # What a running service promises
//
//   - The API answers only clients whose certificate is signed by the configured
//     authority and carries a listed name. Changed certificate files count from
//     the next connection on; while they are unusable the old ones stay.
//   - Health and metrics have a port of their own. /healthz says that the process
//     lives, /readyz that the API can answer.
//   - On SIGTERM or SIGINT readiness turns false first; after shutdown.delay no
//     new connection is taken; running requests get up to shutdown.timeout to
//     end; then the controllers stop, and a leader hands its Lease back. A second
//     signal ends the process at once.
//   - One replica runs the controllers. One that has lost the Lease stops them,
//     waits until they have stopped, and stands for election again; it goes on
//     answering the API all the while.
//
// A running registry has the same health port and the same way to end; what else it
// promises is package registry's. One that had to cut something off at its end keeps the
// directory's lock until the process is gone.
//
// # Who owns which goroutine
//
// service.run starts every one (two HTTP servers and what is in background) in one
// errgroup and returns only when all have ended. The first error ends the rest.
// RunWhenLeader owns its elector and the work that it runs.
//
// # Files
//
// main.go is the command line, feature.go lists the features and assembles them, service.go
// runs them, server.go is what surrounds the API, observe.go the health port;
// stack_command.go, stack_list.go and stack_roll.go are "irene stack". Commands for
// people begin in operator_command.go; those that show apps read them by live_view.go.
// Each doctor_*.go is an area of "irene doctor".
package main
