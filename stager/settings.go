package stager

import (
	"time"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/render"
)

// Defaults of Settings.
const (
	// DefaultDeadline is what Cloud Controller gives a build; five minutes later it gives
	// it up.
	DefaultDeadline = 15 * time.Minute
	// DefaultDockerPatience is how long the registry of a docker image is asked.
	DefaultDockerPatience = time.Minute
	// DefaultCPURequestMilli lets many builds wait for downloads on one node. They use
	// what nobody else wants.
	DefaultCPURequestMilli = 100
	// DefaultDiskMiB is Cloud Controller's own default.
	DefaultDiskMiB = 4096
	// DefaultRequestPatience leaves half of the 60 s that Cloud Controller waits for an
	// answer (contract 0.3).
	DefaultRequestPatience = 30 * time.Second
	// DefaultParallelDownloads is how many things one build fetches at a time.
	DefaultParallelDownloads = 4
)

// Settings are the operator's, and never change while Irene runs.
type Settings struct {
	// Namespace is where builds run.
	Namespace string
	// ServiceAccount is the pods' account, "" for the namespace's default. No token is
	// mounted either way.
	ServiceAccount string
	// PullSecret is the name of an image pull secret in the namespace; "" for none.
	PullSecret string
	// Registry is where pods put droplets.
	Registry Registry
	// Limits of builds. A deadline longer than Cloud Controller's own makes no sense.
	Limits job.Limits
	// DockerPatience is how long a docker image's registry may fail to answer.
	DockerPatience time.Duration
	// CPURequestMilli is what a build is counted with when a node is looked for, in
	// thousandths of a CPU.
	CPURequestMilli int64
	// DefaultDiskMiB holds for builds that come without a disk limit.
	DefaultDiskMiB int64
	// ParallelDownloads is how many things one build fetches at a time.
	ParallelDownloads int
	// Placement chooses nodes as for apps. Builds come without isolation segment.
	Placement render.PlacementSettings
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

// Credentials are what a pod's fetch and push show, as files' contents; nil where there
// is none.
type Credentials struct {
	// Certificate and Key are shown to Cloud Controller, its uploader and the
	// blobstore, whose authorities Authorities are, all in PEM.
	Certificate, Key, Authorities []byte
	// RegistryUsername and RegistryPassword are for the registry, and
	// RegistryAuthorities its authorities in PEM.
	RegistryUsername, RegistryPassword, RegistryAuthorities []byte
}

// PodImages are what a pod is made of, as kubelet pulls it. They never change their
// meaning.
type PodImages struct {
	// Stack is the name of the stack that Build has.
	Stack string
	// Build has the stack and the staging program, Tool that program alone.
	Build, Tool string
	// Buildpacks are the images of buildpacks that the build mounts, by digest; those
	// that are not here it fetches. Keys are buildpacks.Checksum.
	Buildpacks map[string]string
}
