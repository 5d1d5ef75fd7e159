package main

import (
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/irene-cf/irene/k8s/builds"
	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/stager"
)

// Staging is how apps are staged. It counts with Registry.Address only.
type Staging struct {
	// Enabled false refuses all builds.
	Enabled bool `json:"enabled"`
	// ProgramFile is the program of the steps, which becomes a layer of the images that
	// builds run in; empty means irene-stage beside the irene program.
	ProgramFile string `json:"program_file"`
	// RegistryAddress is the registry as pods reach it, host[:port]; empty means
	// Registry.Address.
	RegistryAddress string `json:"registry_address"`
	// CertificateFile and KeyFile are what builds show to Cloud Controller, its uploader
	// and the blobstore; both empty for none.
	CertificateFile string `json:"certificate_file"`
	KeyFile         string `json:"key_file"`
	// CAFile has authorities that builds trust beside the usual ones.
	CAFile string `json:"ca_file"`
	// ServiceAccount of the pods; empty means the namespace's default one. Its token is
	// never mounted.
	ServiceAccount string `json:"service_account"`
	// ImageVolumes mounts buildpacks as images, which nodes keep, where Kubernetes can.
	ImageVolumes Switch `json:"image_volumes"`
	// RequestPatience bounds the answer to a request for a build.
	RequestPatience Duration `json:"request_patience"`
	// Deadline bounds a build from the moment that a node has taken it.
	Deadline Duration `json:"deadline"`
	// SchedulingPatience is how long a build may wait for room.
	SchedulingPatience Duration `json:"scheduling_patience"`
	// PullPatience is how long a node may fail to pull an image of ours.
	PullPatience Duration `json:"pull_patience"`
	// DockerPatience is how long a docker image's registry may fail to answer.
	DockerPatience Duration `json:"docker_patience"`
	// CPURequest is what a build is counted with when a node is looked for, a
	// Kubernetes quantity.
	CPURequest string `json:"cpu_request"`
	// DefaultDiskMB is the disk limit in MiB of a build that asks for none.
	DefaultDiskMB int64 `json:"default_disk_mb"`
	// ParallelDownloads is how many things one build fetches at a time.
	ParallelDownloads int `json:"parallel_downloads"`
}

// longestRequestPatience is below what all requests have (package api), so that the
// answer says what staging waited for.
const longestRequestPatience = 45 * time.Second

func defaultStaging() Staging {
	return Staging{
		Enabled:            true,
		ImageVolumes:       Off,
		RequestPatience:    Duration{Duration: builds.DefaultRequestPatience},
		Deadline:           Duration{Duration: builds.DefaultDeadline},
		SchedulingPatience: Duration{Duration: job.DefaultSchedulingPatience},
		PullPatience:       Duration{Duration: job.DefaultPullPatience},
		DockerPatience:     Duration{Duration: builds.DefaultDockerPatience},
		CPURequest:         resource.NewMilliQuantity(builds.DefaultCPURequestMilli, resource.DecimalSI).String(),
		DefaultDiskMB:      stager.DefaultDiskMiB,
		ParallelDownloads:  stager.DefaultParallelDownloads,
	}
}

func (s Staging) validate(wrong *faults) {
	if s.RegistryAddress != "" {
		wrong.registryHost("stager.registry_address", s.RegistryAddress)
	}
	wrong.pair("stager", "certificate_file", "key_file", s.CertificateFile, s.KeyFile)
	if s.ServiceAccount != "" {
		wrong.name("stager.service_account", s.ServiceAccount, validation.IsDNS1123Subdomain)
	}
	if s.ImageVolumes != On && s.ImageVolumes != Off {
		wrong.add("stager.image_volumes", "%q is neither on nor off", s.ImageVolumes)
	}
	if wrong.duration("stager.request_patience", s.RequestPatience, time.Second) && s.RequestPatience.Duration > longestRequestPatience {
		wrong.add("stager.request_patience", "%s must be at most %s: Cloud Controller waits no longer than a minute", s.RequestPatience, longestRequestPatience)
	}
	wrong.wholeSeconds("stager.deadline", s.Deadline, 1)
	wrong.wholeSeconds("stager.scheduling_patience", s.SchedulingPatience, 1)
	wrong.duration("stager.pull_patience", s.PullPatience, time.Second)
	wrong.duration("stager.docker_patience", s.DockerPatience, time.Second)
	if request, err := resource.ParseQuantity(s.CPURequest); err != nil || request.Sign() < 0 {
		wrong.add("stager.cpu_request", "%q is not an amount of CPUs, such as 100m or 0.5", s.CPURequest)
	}
	if s.DefaultDiskMB < 1 {
		wrong.add("stager.default_disk_mb", "%d must be at least 1 (MiB)", s.DefaultDiskMB)
	}
	if s.ParallelDownloads < 1 {
		wrong.add("stager.parallel_downloads", "%d must be at least 1", s.ParallelDownloads)
	}
}
