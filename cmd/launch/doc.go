// Command launch starts a Cloud Foundry buildpack app. It stands in every
// assembled app image as /lifecycle/launch and is the container's first
// process.
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
// hear. Every orphan in the container is reaped. When the app has ended, what it
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
// # Concurrency
//
// All work is done by the main goroutine. It alone signals and waits for
// processes, so a signal can't reach a process that has already been reaped and
// whose number was given to another. Nothing is polled.
package main
