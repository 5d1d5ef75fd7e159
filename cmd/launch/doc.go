// Command launch starts a Cloud Foundry buildpack app, with its sidecars if there are
// any. It stands in every assembled app image as /lifecycle/launch and is the
// container's first process. It also checks an app's ports.
//
// # What is started
//
// The start command is the first of these that is not blank:
//
//  1. the environment variable START_COMMAND, which the pod carries;
//  2. the command line: "launch COMMAND", or "launch app COMMAND ..." as Cloud
//     Foundry's own launcher is called (what follows the command is ignored);
//  3. start_command in /home/vcap/staging_info.yml, which staging leaves in the
//     droplet (JSON or YAML).
//
// A staging_info.yml may also hold config.entrypoint_prefix: the shell words
// that run the start command in place of "bash -c".
//
// One shell (/bin/bash, or /bin/sh where there is no bash) starts in
// /home/vcap/app, sources /home/vcap/profile.d/*, then app/.profile.d/*, each in
// the order of the names' bytes, then app/.profile, and then replaces itself by
// the start command, so what those scripts export reaches the app. As on Cloud
// Foundry every regular file of the two folders counts whose name doesn't begin
// with a dot, whatever its suffix; a working directory that a script changes
// stays changed; launch never interprets the start command itself.
//
// # What the app finds
//
// DEPS_DIR is set; HOME, TMPDIR and USER are set where the pod left them blank;
// every other variable is passed through byte for byte. VCAP_APPLICATION gets
// the values that only the instance knows: instance_id, instance_index, host and
// port. All its other members keep their order and their exact text. The soft
// limit of open files becomes VCAP_APPLICATION's limits.fds, at most the hard
// limit, which is never touched.
//
// # The first process's duties
//
// The app runs in a session of its own. Signals sent to launch go to the app
// alone, not to its children: a server that manages workers decides what they
// receive. Every orphan in the container is reaped. When the app has ended, what it
// left behind gets one SIGTERM and a bounded time to end; then launch exits with
// the app's status, or 128 plus the number of the signal that ended it. Where
// launch is not process 1 it does the same for its descendants.
//
// launch's own failures are one line on standard error, "launch: ...", and an
// exit status after sysexits.h:
//
//	64  the command line was not understood
//	69  the image has no shell
//	71  the kernel refused to start the shell (environment too large, ...)
//	78  no start command, an unreadable staging_info.yml, no app directory
//
// # Sidecars
//
// The arguments "--source=SOURCE --sidecar=JSON …" (package opi/sidecars) describe
// processes that run next to the app in the container. Each is started as the app is:
// the same directory, profile scripts and entrypoint_prefix, a session of its own, and
// its own VCAP_APPLICATION, to which launch adds what it adds to the app's. A sidecar's
// environment is the app's, without START_COMMAND, and with its own values in the
// variables that the JSON names. No process gets the variables that hold these values
// (IRENE_SIDECAR_<n>_<NAME>).
//
// Signals go to the app and to all sidecars. The first of them that ends, whatever its
// status, ends the instance: the others get SIGTERM, unless launch has passed one on
// already, and SIGKILL after 10 s. launch exits with the status of the first, and writes
// "SOURCE: Exited with status N" to /dev/termination-log, which Kubernetes keeps as the
// container's termination message.
//
// The app has launch's own standard output and error. A sidecar has pipes, and launch
// passes each line on with "[SOURCE] " before it, on the same stream, in one write of at
// most 4 KiB. A longer line is passed on in pieces, which are lines of their own: all but
// the last one begin with "[SOURCE]+ ". No character is cut, a rest without line feed gets
// one at the end, and launch keeps at most one write of each stream in memory.
//
// # Checks of several ports
//
// "launch check TIMEOUT PORT PORT …" connects to all ports at once, at the address in
// CF_INSTANCE_INTERNAL_IP. It exits with status 0 if each takes the connection within the
// timeout (a Go duration such as 1s), and with 1 and one line about the first that does
// not otherwise.
//
// # Concurrency
//
// The main goroutine alone signals and waits for processes, so a signal can't reach a
// process that got the number of one that was already reaped. Two goroutines for each
// sidecar pass on its output. Nothing is polled.
package main
