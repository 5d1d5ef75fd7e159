// Command irene-dev runs Irene on a Kubernetes of its own on this machine, with a
// sample app on it: the way to look at Irene without a cluster and without Cloud
// Foundry.
//
//	irene-dev up [--dir .irene] [--bin bin] [--rootfs FILE]
//	irene-dev push FOLDER --name NAME [--buildpack BUILDPACK]... [--memory MiB] [--disk MiB] [--env NAME=VALUE]... [--door bbs]
//	irene-dev apps
//	irene-dev scale NAME INSTANCES [--process web]
//	irene-dev delete NAME
//	irene-dev down [--dir .irene] [--bin bin]
//	irene-dev edge --nats HOST:PORT --user USER --password-file FILE --router HOST:PORT --status HOST:PORT
//	irene-dev cloudcontroller --address HOST:PORT --control HOST:PORT --content DIR --certificates DIR --fileserver FILE
//
// "up" checks the machine, makes a root file system, starts Kubernetes
// (irene-cluster), Irene's registry, a stand-in for Cloud Controller, the edge and
// Irene, imports the root file system as a stack, asks Irene for the sample app as Cloud
// Controller does, waits until the app answers through the router, pushes the hello app
// from source, and says what to look at. It compiles nothing: all programs are taken
// from the folder --bin.
//
// The two apps come in two ways. The sample app was staged elsewhere, so to say: Irene is
// told the guid and the hash of a droplet that only Cloud Controller's stand-in has,
// fetches it, and puts the app's image together in the registry, from which the node
// pulls it. The hello app is what "push" makes of a folder: an app package, which Irene
// stages in a Job with the sample buildpacks (fixtures/buildpack); the droplet goes to
// the stand-in and to the registry, and then the app is desired like any other.
//
// They come by two doors, too: the sample app by OPI, and what is pushed by the BBS door, unless
// "push" is given --door opi. Irene is asked as a Cloud Controller of 2018 to 2023 asks, or as
// one of today does, with mutual TLS, for which "up" makes an authority and certificates. An app
// that is pushed by the other door moves there: its new version comes by that door, and the version
// before is stopped at the door that it came by. "apps" and "scale" use the door of each app.
//
// "push" shows the log of the build as it happens. Pushed again under its name, the new version
// takes the place of the one before once it gets requests; one that does not come up is
// taken back, and the one before goes on.
//
// "edge" is what a real cloud has of its own between clients and apps: a NATS server
// (fixtures/natsserver) and a router (fixtures/router) that learns from it where the
// app's instances are. "cloudcontroller" is Cloud Controller with its uploader and its
// blobstore, as far as builds need them (fixtures/cloudcontroller/standin), with a desk
// of its own for "push". "up" starts each as a process of its own; all their ports are
// on loopback, but for those that pods reach. Irene reports crashes to the stand-in, which
// logs them. Apps have host names below .localhost, which curl and browsers take for this
// machine without asking DNS. The registry ("irene
// registry serve") and the stand-in listen on the address that nodes and pods reach; the
// registry wants a password.
//
// # What it promises
//
//   - Everything is below DIR. The exceptions are what irene-cluster says of
//     itself, and Debian's package mmdebstrap, installed when it is missing.
//   - "up" can be repeated at any time: what runs is used as it is, except that
//     a program other than Kubernetes that was built again, or whose configuration
//     has changed, is started again. The stack is imported, the droplet fetched and
//     the hello app pushed once; when nothing has changed, the registry is sent nothing.
//     Each door is synced with what was pushed by it, as Cloud Controller's sync does.
//   - Droplets and what was pushed outlive all processes; builds that are under way, and
//     build caches, don't outlive Cloud Controller's stand-in.
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
// with its output in DIR/log. "up" and "down" start no goroutine of their own but for
// those of a push, which end with it.
//
// # Files
//
// main.go is the command line, steps.go the order of things, folder.go and
// state.go what is in DIR, processes.go starts and ends programs, service.go keeps
// them running; requirements, rootfs, kubernetes, registry, cloudcontroller_service,
// droplet, routing, irene, stack, sample_app and hello_app are the steps. push.go,
// push_stage.go and push_start.go are "push", source_archive.go makes its package, build_log.go and
// build_progress.go show the build, pushed_app.go remembers what came of it; edge.go,
// cloudcontroller.go (with control_desk.go, and control_client.go at the other end), apps.go and
// delete.go are the other commands; doors.go is how Irene is asked, certificates.go what for
// mutual TLS is made of, desire_request.go what is the same in all requests; guide.go is what "up" prints at its end, down.go undoes everything.
package main
