package stager

import (
	"context"
	"errors"
	"time"

	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
)

// Images makes sure that staging pods can be pulled.
type Images interface {
	// Ensure makes sure that the images of a build on a stack, "" being the default one,
	// can be pulled. Errors wrap opi.ErrRefused for a stack that there is not, and
	// opi.ErrUnavailable where it may succeed later.
	Ensure(ctx context.Context, stack string) (PodImages, error)
}

// BuildpackImages has images of buildpacks.
type BuildpackImages interface {
	// Find returns what nodes can pull of these buildpacks' images, by
	// buildpacks.Checksum, each by its digest. It neither fails nor takes long; others
	// are made for builds to come.
	Find(ctx context.Context, wanted []opi.Buildpack) map[string]string
}

// Results has what builds have found out.
type Results interface {
	// Result returns the result.json with a digest, "sha256:" and hex. Errors wrap
	// opi.ErrNotFound where there is none.
	Result(ctx context.Context, digest string) ([]byte, error)
	// Tag makes the tags of a droplet name the manifest that its build has pushed. Builds
	// themselves can't replace tags. Errors wrap opi.ErrNotFound if there is no such
	// manifest, and opi.ErrRefused if it is not the droplet's.
	Tag(ctx context.Context, droplet steps.OutcomeDroplet) error
}

// ImageConfigs asks registries what docker images say of themselves.
type ImageConfigs interface {
	// Config reads an image's configuration, with the image's own credentials only.
	// Errors wrap opi.ErrRefused where asking again is in vain; their texts are for
	// the image's owner.
	Config(ctx context.Context, image opi.Image) (ImageConfig, error)
}

// ImageConfig is what a docker image says of itself.
type ImageConfig struct {
	Command, Entrypoint    []string
	User, WorkingDirectory string
	// Ports are as the image has them: "8080/tcp", "53/udp", "8080".
	Ports []string
}

// Options are what a Stager works with.
type Options struct {
	job.Dependencies
	Settings    Settings
	Credentials CredentialFiles
	// RequestPatience bounds Stage, also while the API server takes requests and answers
	// none; DefaultRequestPatience when 0.
	RequestPatience time.Duration

	Images Images
	// Buildpacks is nil where all buildpacks are fetched.
	Buildpacks BuildpackImages
	Results    Results
	// Registry is nil where all builds get what Credentials name.
	Registry BuildRegistry
	Configs  ImageConfigs
	// Users finds images that the platform does not run as their users; nil where it
	// runs all.
	Users k8s.ImageUsers
}

// Stager stages apps. All methods may be called at the same time.
type Stager struct {
	Options
	metrics  stagingMetrics
	jobs     *job.Store
	accounts accounts
	// questions hold a token for each registry that may be asked at a time.
	questions chan struct{}
}

// maxQuestions leaves most of those who wait for decisions to builds whose end is known
// without a registry.
const maxQuestions = 8

// New makes a Stager. It reads the credentials once, to find out early what is missing.
func New(o Options) (*Stager, error) {
	if _, err := o.Credentials.Read(); err != nil {
		return nil, err
	}
	if o.Settings.Registry.Address == "" {
		return nil, errors.New("staging needs a registry")
	}
	if o.RequestPatience == 0 {
		o.RequestPatience = DefaultRequestPatience
	}
	o.Logger = o.Logger.Session("stager")
	common, metrics := newMetrics(o.Registerer)
	return &Stager{
		Options: o, metrics: metrics, questions: make(chan struct{}, maxQuestions),
		jobs: job.New(job.Options{
			Dependencies: o.Dependencies,
			Kind: job.Kind{
				SourceType: keys.SourceTypeStaging, Name: "build", Prefix: namePrefix, GUIDField: "staging_guid", EndedMessage: "staged",
			},
			Namespace: o.Settings.Namespace,
			Metrics:   common,
		}),
	}, nil
}
