package stager

import "github.com/irene-cf/irene/opi"

// Defaults of [Settings].
const (
	// DefaultDiskMiB is Cloud Controller's own default.
	DefaultDiskMiB = 4096
	// DefaultParallelDownloads is how many things one build fetches at a time.
	DefaultParallelDownloads = 4
)

// Settings are the operator's, and never change while Irene runs.
type Settings struct {
	// Registry is where builds put droplets.
	Registry Registry
	// DefaultDiskMiB holds for builds that come without a disk limit.
	DefaultDiskMiB int64
	// ParallelDownloads is how many things one build fetches at a time.
	ParallelDownloads int
}

// DiskMiB returns the disk limit of a build.
func (s Settings) DiskMiB(build opi.Build) int64 {
	if build.Limits.DiskMiB == 0 {
		return s.DefaultDiskMiB
	}
	return build.Limits.DiskMiB
}

// Registry is the registry as pods reach it.
type Registry struct {
	// Address is host[:port].
	Address string
	// Prefix is the path of all of Irene's repositories.
	Prefix string
	// PlainHTTP allows HTTP without TLS.
	PlainHTTP bool
}

// Credentials used by the fetch and push steps, as files' contents; nil if unset.
type Credentials struct {
	// Certificate and Key are shown to Cloud Controller, its uploader and the
	// blobstore, whose authorities Authorities are, all in PEM.
	Certificate, Key, Authorities []byte
	// RegistryUsername and RegistryPassword are for the registry, and
	// RegistryAuthorities its authorities in PEM.
	RegistryUsername, RegistryPassword, RegistryAuthorities []byte
}

// PodImages are the images of a build's pod, as kubelet pulls them. They never change
// their meaning.
type PodImages struct {
	// Stack is the name of the stack that Build has.
	Stack string
	// Build has the stack and the staging program, Tool that program alone.
	Build, Tool string
	// Buildpacks are the images of buildpacks that the build mounts, by digest; those
	// that are not here it fetches. Keys are those of [buildpacks.Checksum].
	Buildpacks map[string]string
}
