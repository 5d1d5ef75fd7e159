// Package buildpacks makes images of buildpacks, so that builds can mount them instead
// of fetching and unpacking them: kubelet keeps images, and a node that has one
// downloads nothing for the next build.
//
// # What becomes an image
//
// A buildpack of the platform that comes with the SHA-256 of its archive, which names
// the image. All others go on to be fetched by builds: those without a checksum can
// change at any time, and what a user named by a URL is nothing that the service should
// follow.
//
// The image has one layer, which is what fetch would have unpacked (package archive,
// with its refusals), packed again: it depends on the archive's content alone, so two
// replicas that make it at the same time make the same. A mounted image can't be
// changed, so scripts that lost their mode on the way are mended here as the build
// step does it otherwise.
//
// # Promises
//
//   - Find never waits for an image to be made, and for the registry only for a moment.
//     What is not there is made in the background, for builds to come.
//   - Nothing that fails here fails a build: what Find doesn't return is fetched.
//   - One buildpack is made once at a time, however many builds want it. What failed is
//     left alone for a minute.
//   - An archive counts only when it has the checksum that was promised. The tag is
//     written last.
//
// Images may be used by many goroutines. It owns those of its work, which have ended
// when Run returns; each works within a bound of time, and in a folder of its own that
// is removed at its end.
package buildpacks
