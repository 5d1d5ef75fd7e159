package builds

import (
	"time"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/stager"
)

// Defaults of [Settings] and [Options].
const (
	// DefaultDeadline is what Cloud Controller gives a build; five minutes later it gives
	// it up.
	DefaultDeadline = 15 * time.Minute
	// DefaultDockerPatience is how long the registry of a docker image is tried.
	DefaultDockerPatience = time.Minute
	// DefaultCPURequestMilli lets many builds wait for downloads on one node. They use
	// what is left over.
	DefaultCPURequestMilli = 100
	// DefaultRequestPatience leaves half of the 60 s that Cloud Controller waits for an
	// answer (contract 0.3).
	DefaultRequestPatience = 30 * time.Second
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
	// Steps has what the steps of a build need.
	Steps stager.Settings
	// Limits of builds. A deadline longer than Cloud Controller's own makes no sense.
	Limits job.Limits
	// DockerPatience is how long a docker image's registry may fail to answer.
	DockerPatience time.Duration
	// CPURequestMilli is what a build is counted with when a node is looked for, in
	// thousandths of a CPU.
	CPURequestMilli int64
	// Placement chooses nodes as for apps. Builds of the OPI door come without isolation segment.
	Placement render.PlacementSettings
	// TrustedCertificates is that of apps, for builds that name a directory.
	TrustedCertificates string
	// Names is how the pods resolve host names.
	Names render.NameResolution
}
