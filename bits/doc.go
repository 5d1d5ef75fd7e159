// Package bits is about droplets and stacks as OCI images in a registry, and about
// what an image from a registry says of itself.
//
// # What is in the registry
//
//	<prefix>/stacks/<name>      root file systems as images. ImportStack puts them
//	                            there; the tag latest is the current one, and each has
//	                            a tag of its own, the first 12 digits of its digest
//	<prefix>/lifecycle          the layer of /lifecycle/launch, one tag for each release
//	                            of Irene that has another
//	<prefix>/droplets           droplets as layers (package droplet makes them), tagged
//	                            by SHA-1 and by SHA-256. The manifest's config is the
//	                            build's result.json; an annotation names the stack
//	<prefix>/<droplet guid>     app images, tagged <droplet checksum>-<revision>: the
//	                            stack's layers, the lifecycle layer, the droplet's.
//	                            An app's guid names those of droplets without one
//	<prefix>/stage              the program that stages apps, irene-stage, as an image
//	                            of nothing else, one tag for each release that has
//	                            another
//	<prefix>/builds/<stack>     what apps are built in, tagged by a revision of its own:
//	                            the stack's layers and that program's
//	<prefix>/buildpacks         buildpacks as images of one layer, tagged by the SHA-256
//	                            of their archives; builds mount them as volumes
//
// A revision is a short digest of what an app image has not from its droplet: stack,
// lifecycle layer, and the rules of putting them together. It is the same in every
// process. So a tag never changes its meaning, and a node that has the image needs
// the registry no more; a new stack, or a new release of Irene with another launch
// program, makes new tags.
//
// Tags are written last, when all that they mean is there. Whoever is killed at any
// request leaves either nothing visible or the whole, and whoever does the same work
// again finds what was done. Nothing is deleted; what no tag names is for the
// registry's garbage collection.
//
// # The parts
//
// Registry talks to the registry: with a password, a token or neither; in the clear
// only where that is allowed; with bounded repeats and bounded patience. PushDroplet
// streams a droplet into it, ImportStack a root file system.
//
// Stacks knows the current digests of stacks, from memory; its Run asks for them
// again and again, and what the registry can't tell stays as it was.
//
// Assembler makes sure that app images are there. Layers are mounted from the other
// repositories, and copied, as a stream, where the registry can't mount. Work on one
// image is shared by all who ask for it and outlives their patience; it is bounded in
// number and in time. Droplets that the registry lacks come from a DropletSource;
// HTTPSource is one.
//
// StagingImages makes sure that the images of staging pods are there. What becomes of
// a buildpack's archive is the business of package stager/buildpacks; Registry finds
// and pushes the outcome.
//
// ImageUsers reads what docker images say of themselves, and as whom they run.
//
// # Errors
//
// What Registry, Stacks, HTTPSource and Assembler return wraps opi.ErrRefused where a
// droplet or a request is at fault and trying again is in vain, and opi.ErrUnavailable
// where the registry, a stack or a source is: that may pass, or an operator mends it.
// What the registry refuses is never a user's fault. Errors hold no credentials and
// no addresses with signatures.
//
// A docker image and its registry are the user's choice. So there it is the other way
// round: ImageUsers.Config wraps opi.ErrUnavailable only where the reason may pass by
// itself (no connection, no answer in time, 429, a registry's own failure), and
// opi.ErrRefused for everything else.
//
// # Rules for all
//
// Registries are talked to with exactly the credentials that are given, never with
// those that are found on the machine. Droplets and layers are streamed and never
// held as a whole in memory; only for a registry that takes no stream a layer goes
// through a file, which has no name and vanishes with the process. What is read from
// a registry into memory is bounded, since images and registries are strangers.
//
// Everything may be used by many goroutines. Assembler owns the goroutines of its
// work, which have ended when its Run returns; whatever goroutines another call
// starts end before it returns, or, for ImageUsers, within its timeout.
package bits
