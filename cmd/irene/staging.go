package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"code.cloudfoundry.org/lager/v3"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/irene-cf/irene/bits"
	"github.com/irene-cf/irene/k8s/builds"
	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager"
	"github.com/irene-cf/irene/stager/buildpacks"
	"github.com/irene-cf/irene/stager/steps"
)

// stagingFeature runs builds as Jobs.
func (c Configuration) stagingFeature() feature {
	return feature{
		certificates: map[string]string{"stager.certificate_file": c.Staging.CertificateFile},
		authorities:  map[string]string{"stager.ca_file": c.Staging.CAFile},
		checks:       []area{examineStaging},
		assemble: func(a *assembly) error {
			if !c.stages() {
				a.builds = noBuilds{}
				return nil
			}
			mounted, err := newBuildpackImages(c, a.assembled.registry, a.logger, a.registry)
			if err != nil {
				return fmt.Errorf("images of buildpacks: %w", err)
			}
			if mounted != nil {
				a.background = append(a.background, mounted.Run)
			}
			made, err := newBuilds(c, a.jobDependencies(), a.assembled, mounted, a.users, a.apps)
			if err != nil {
				return err
			}
			a.builds, a.deciders[keys.SourceTypeStaging] = made, made
			a.leading = append(a.leading, made.Sweep)
			return nil
		},
	}
}

// stages reports whether this platform stages apps.
func (c Configuration) stages() bool { return c.assembles() && c.Staging.Enabled }

// noBuilds answers for a platform that stages nothing.
type noBuilds struct{}

var errNoBuilds = opi.WithMessage(
	fmt.Errorf("%w: this platform stages no apps (registry.address is not configured, or stager.enabled is false)", opi.ErrRefused),
	"this platform does not stage apps")

// Stage implements api.Builds.
func (noBuilds) Stage(context.Context, opi.Build) error { return errNoBuilds }

// BuildDoor implements bbs.Builds.
func (noBuilds) BuildDoor(_ context.Context, guid string) (opi.Door, error) {
	return "", fmt.Errorf("build %q: %w", guid, opi.ErrNotFound)
}

// CancelStaging implements api.Builds.
func (noBuilds) CancelStaging(_ context.Context, guid string) error {
	return fmt.Errorf("build %q: %w", guid, opi.ErrNotFound)
}

// newBuilds stages apps on stacks that are in the registry. mounted is nil where builds
// fetch all buildpacks.
func newBuilds(config Configuration, jobs job.Dependencies, images assembledImages, mounted *buildpacks.Images, users *bits.ImageUsers, apps render.Settings) (*builds.Builds, error) {
	path, err := besideIrene(config.Staging.ProgramFile, "irene-stage")
	if err != nil {
		return nil, fmt.Errorf("stager.program_file: %w", err)
	}
	program, err := bits.LoadStageProgram(path)
	if err != nil {
		return nil, fmt.Errorf("stager.program_file: %w", err)
	}
	stagingImages, err := bits.NewStagingImages(images.stacks, program)
	if err != nil {
		return nil, err
	}
	settings, err := stagingSettings(config, apps)
	if err != nil {
		return nil, err
	}
	options := builds.Options{
		Dependencies: jobs,
		Settings:     settings,
		Credentials: builds.CredentialFiles{
			Certificate:         config.Staging.CertificateFile,
			Key:                 config.Staging.KeyFile,
			Authorities:         config.Staging.CAFile,
			RegistryUsername:    config.Registry.UsernameFile,
			RegistryPassword:    config.Registry.PasswordFile,
			BuildUsername:       config.Registry.BuildUsernameFile,
			BuildPassword:       config.Registry.BuildPasswordFile,
			RegistryAuthorities: config.Registry.CAFile,
		},
		RequestPatience: config.Staging.RequestPatience.Duration,
		Images:          podImages{images: stagingImages, pullAddress: config.Registry.PullAddress},
		Results:         buildResults{images.registry},
		Registry:        images.registry,
		Configs:         imageConfigs{users},
	}
	if !apps.UserNamespaces {
		options.Users = buildImageUsers{imageUsers{registry: users}}
	}
	if mounted != nil {
		options.Buildpacks = buildpackImages{images: mounted, pullAddress: config.Registry.PullAddress}
	}
	made, err := builds.New(options)
	if err != nil {
		return nil, fmt.Errorf("stager: %w", err)
	}
	return made, nil
}

func stagingSettings(config Configuration, apps render.Settings) (builds.Settings, error) {
	staging := config.Staging
	request, err := resource.ParseQuantity(staging.CPURequest)
	if err != nil {
		return builds.Settings{}, fmt.Errorf("stager.cpu_request: %w", err)
	}
	address := staging.RegistryAddress
	if address == "" {
		address = config.Registry.Address
	}
	return builds.Settings{
		Namespace:      config.Kubernetes.Namespace,
		ServiceAccount: staging.ServiceAccount,
		PullSecret:     config.Registry.PullSecret,
		Steps: stager.Settings{
			Registry:          steps.RegistryConfig{Address: address, Prefix: config.Registry.Prefix, PlainHTTP: config.Registry.PlainHTTP},
			DefaultDiskMiB:    staging.DefaultDiskMB,
			ParallelDownloads: staging.ParallelDownloads,
		},
		Limits: job.Limits{
			Deadline:           staging.Deadline.Duration,
			SchedulingPatience: staging.SchedulingPatience.Duration,
			PullPatience:       staging.PullPatience.Duration,
			LostNodeGrace:      config.Kubernetes.LostNodeGrace.Duration,
		},
		DockerPatience:  staging.DockerPatience.Duration,
		CPURequestMilli: request.MilliValue(),
		Placement:       apps.Placement,

		TrustedCertificates: apps.TrustedCertificates,
		Names:               apps.Names,
	}, nil
}

// podImages brings the registry's images to builds as nodes pull them.
type podImages struct {
	images      *bits.StagingImages
	pullAddress string
}

// Ensure implements builds.Images.
func (p podImages) Ensure(ctx context.Context, stack string) (stager.PodImages, error) {
	made, err := p.images.Ensure(ctx, stack)
	if err != nil {
		return stager.PodImages{}, err
	}
	return stager.PodImages{
		Stack: made.Stack.Name, Build: p.pullAddress + "/" + made.Build, Tool: p.pullAddress + "/" + made.Tool,
	}, nil
}

// newBuildpackImages is nil where builds fetch all buildpacks.
func newBuildpackImages(config Configuration, registry *bits.Registry, logger lager.Logger, metrics prometheus.Registerer) (*buildpacks.Images, error) {
	staging := config.Staging
	if staging.ImageVolumes != On {
		return nil, nil
	}
	files := steps.TLSFiles{Certificate: staging.CertificateFile, Key: staging.KeyFile}
	if staging.CAFile != "" {
		files.Authorities = []string{staging.CAFile}
	}
	rules, err := platformRules(config)
	if err != nil {
		return nil, err
	}
	return buildpacks.New(buildpacks.Options{
		Outbound: rules, Registry: registry, TLS: files, Folder: config.Registry.SpoolDirectory,
		Logger: logger, Registerer: metrics,
	})
}

// buildpackImages brings buildpacks' images to builds as nodes pull them.
type buildpackImages struct {
	images      *buildpacks.Images
	pullAddress string
}

// Find implements builds.BuildpackImages.
func (b buildpackImages) Find(ctx context.Context, wanted []opi.Buildpack) map[string]string {
	found := b.images.Find(ctx, wanted)
	for checksum, reference := range found {
		found[checksum] = b.pullAddress + "/" + reference
	}
	return found
}

// buildResults reads and tags what builds have put into the registry.
type buildResults struct{ registry *bits.Registry }

// Result implements builds.Results.
func (r buildResults) Result(ctx context.Context, digest string) ([]byte, error) {
	hash, err := v1.NewHash(digest)
	if err != nil {
		return nil, fmt.Errorf("result %q: %w: %w", digest, opi.ErrNotFound, err)
	}
	return r.registry.Result(ctx, hash)
}

// Tag implements builds.Results.
func (r buildResults) Tag(ctx context.Context, droplet steps.OutcomeDroplet) error {
	manifest, err := v1.NewHash(droplet.Manifest)
	if err != nil {
		return fmt.Errorf("manifest %q: %w: %w", droplet.Manifest, opi.ErrNotFound, err)
	}
	return r.registry.TagDroplet(ctx, manifest, droplet.SHA1, droplet.SHA256)
}

// imageConfigs asks the registries of docker images.
type imageConfigs struct{ registry *bits.ImageUsers }

// Config implements builds.ImageConfigs.
func (i imageConfigs) Config(ctx context.Context, image opi.Image) (stager.ImageConfig, error) {
	config, err := i.registry.Config(ctx, image)
	if err != nil {
		return stager.ImageConfig{}, err
	}
	return stager.ImageConfig{
		Command: config.Cmd, Entrypoint: config.Entrypoint, User: config.User, WorkingDirectory: config.WorkingDir,
		Ports: slices.Collect(maps.Keys(config.ExposedPorts)),
	}, nil
}
