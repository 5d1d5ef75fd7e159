// Package bits is about droplets and stacks as OCI images, and about what an
// image from a registry says of itself.
//
// So far it holds one piece: ImageUsers, which finds out as whom an image wants
// to run.
//
// All of it talks to registries with exactly the credentials that it is given,
// never with those that it finds on the machine, unpacks nothing to disk, and
// bounds what it reads from a registry, since images and registries are strangers.
// Whatever goroutine a call starts ends within that call's timeout.
package bits
