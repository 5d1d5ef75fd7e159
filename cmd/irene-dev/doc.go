// Command irene-dev runs Irene on a Kubernetes of its own on this machine, with a
// sample app on it: the way to look at Irene without a cluster and without Cloud
// Foundry.
//
//	irene-dev up [--dir .irene] [--bin bin] [--rootfs FILE]
//	irene-dev down [--dir .irene] [--bin bin]
//	irene-dev blobstore --address HOST:PORT --content DIR
//	irene-dev edge --nats HOST:PORT --user USER --password-file FILE --router HOST:PORT --status HOST:PORT
//
// "up" checks the machine, makes a root file system, starts Kubernetes
// (irene-cluster), Irene's registry, a blobstore, the edge and Irene, imports the root
// file system as a stack, plays Cloud Controller's part by asking Irene for the sample
// app, waits until the app answers through the router, and says what to look at. It
// compiles nothing: irene-cluster, irene, irene-dev, launch and sampleapp are taken
// from the folder --bin.
//
// The app comes the way of any buildpack app: Irene is told the guid and the hash of a
// droplet, fetches it from the blobstore, and puts the app's image together in the
// registry, from which the node pulls it.
//
// "edge" is what a real cloud has of its own between clients and apps: a NATS server
// (fixtures/natsserver) and a router (fixtures/router) that learns from it where the
// app's instances are. "blobstore" serves droplets, as Cloud Foundry's blobstore does.
// "up" starts each as a process of its own; all their ports are on loopback. The app
// has a host name below .localhost, which curl and browsers take for this machine
// without asking DNS. The registry ("irene registry serve") listens on the address
// that nodes and pods reach, and wants a password.
//
// # What it promises
//
//   - Everything is below DIR. The exceptions are what irene-cluster says of
//     itself, and Debian's package mmdebstrap, installed when it is missing.
//   - "up" can be repeated at any time: what runs is used as it is, except that
//     a program other than Kubernetes that was built again, or whose configuration
//     has changed, is started again. The stack is imported and the droplet fetched
//     once; when neither has changed, the registry is sent nothing.
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
// All that "up" starts outlives irene-dev: each is in a session of its own,
// with its output in DIR/log. "up" and "down" start no goroutine of their own.
//
// # Files
//
// main.go is the command line, steps.go the order of things, folder.go and
// state.go what is in DIR, processes.go starts and ends programs, service.go keeps
// them running; requirements, rootfs, kubernetes, registry, droplet, routing, irene,
// stack and sample_app are the steps; edge.go and blobstore.go are the other commands;
// guide.go is what "up" prints at its end, down.go undoes everything.
package main
