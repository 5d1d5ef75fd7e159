// Command irene-dev runs Irene on a Kubernetes of its own on this machine, with a
// sample app on it: the way to look at Irene without a cluster and without Cloud
// Foundry.
//
//	irene-dev up [--dir .irene] [--bin bin] [--rootfs FILE]
//	irene-dev down [--dir .irene] [--bin bin]
//
// "up" checks the machine, makes a root file system, starts Kubernetes
// (irene-cluster) and Irene, plays Cloud Controller's part by asking Irene for
// the sample app, waits until the app answers, and says what to look at. It
// compiles nothing: irene-cluster, irene, launch and sampleapp are taken from
// the folder --bin.
//
// # What it promises
//
//   - Everything is below DIR. The exceptions are what irene-cluster says of
//     itself, and Debian's package mmdebstrap, installed when it is missing.
//   - "up" can be repeated at any time: what runs is used as it is, except that
//     an Irene whose program or configuration has changed is started again.
//   - "down" leaves nothing but DIR/cache (the root file system, which takes a
//     while to make), also after a kill -9 of anything, and is content with
//     finding nothing.
//   - Only processes are ended that irene-dev started: they are written down with
//     pid and start time as soon as they run.
//   - Ctrl-C during "up" takes down what that "up" has brought up. When "up"
//     fails, what runs is left for a look.
//   - Only files that irene-dev made are removed; a folder that holds anything
//     else is refused.
//   - No credential and no image comes from outside; the only things fetched are
//     Debian packages, from the mirrors that this machine's apt uses.
//
// Irene and Kubernetes outlive irene-dev: each is in a session of its own, with
// its output in DIR/log. irene-dev starts no goroutine of its own.
//
// # Files
//
// main.go is the command line, steps.go the order of things, folder.go and
// state.go what is in DIR, processes.go starts and ends programs; requirements,
// rootfs, kubernetes, image, irene and sample_app are the steps; guide.go is what
// "up" prints at its end, down.go undoes everything.
package main
