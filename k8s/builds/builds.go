package builds

import (
	"context"
	"errors"
	"fmt"
	"time"

	"code.cloudfoundry.org/lager/v3"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager"
	"github.com/irene-cf/irene/stager/steps"
)

// Images makes sure that staging pods can be pulled.
type Images interface {
	// Ensure makes sure that the images of a build on a stack, "" being the default one,
	// can be pulled. Errors wrap opi.ErrRefused for a stack that there is not, and
	// opi.ErrUnavailable where it may succeed later.
	Ensure(ctx context.Context, stack string) (stager.PodImages, error)
}

// BuildpackImages finds images of buildpacks.
type BuildpackImages interface {
	// Find returns what nodes can pull of these buildpacks' images, by
	// buildpacks.Checksum, each by its digest. It neither fails nor takes long; others
	// are made for builds to come.
	Find(ctx context.Context, wanted []opi.Buildpack) map[string]string
}

// Results reads and tags what builds have put into the registry.
type Results interface {
	// Result returns the result.json with a digest, "sha256:" and hex. Errors wrap
	// opi.ErrNotFound where there is none.
	Result(ctx context.Context, digest string) ([]byte, error)
	// Tag makes the tags of a droplet name the manifest that its build has pushed. Builds
	// themselves can't replace tags. Errors wrap opi.ErrNotFound if there is no such
	// manifest, and opi.ErrRefused if it is not the droplet's.
	Tag(ctx context.Context, droplet steps.OutcomeDroplet) error
}

// ImageConfigs reads the configurations of docker images from their registries.
type ImageConfigs interface {
	// Config reads an image's configuration, with the image's own credentials only.
	// Errors wrap opi.ErrRefused where another attempt is in vain; their texts are for
	// the image's owner.
	Config(ctx context.Context, image opi.Image) (stager.ImageConfig, error)
}

// ImageUsers finds out which user a docker image runs as.
type ImageUsers interface {
	// User returns the image's user. Errors wrap opi.ErrRefused if the image can't run;
	// any other error means that it could not be found out.
	User(ctx context.Context, image opi.Image) (render.ImageUser, error)
}

// Options of [New].
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
	Users ImageUsers
}

// Builds runs builds. All methods may be called at the same time.
type Builds struct {
	options  Options
	jobs     *job.Store
	logger   lager.Logger
	metrics  stagingMetrics
	accounts accounts
	// lookups is a semaphore of lookups in registries.
	lookups chan struct{}
}

// maxLookups leaves most of the parallel decisions to builds whose end is known
// without a registry.
const maxLookups = 8

// New makes Builds. It reads the credentials once, to find out early what is missing.
func New(o Options) (*Builds, error) {
	if _, err := o.Credentials.Read(); err != nil {
		return nil, err
	}
	if o.Settings.Steps.Registry.Address == "" {
		return nil, errors.New("staging needs a registry")
	}
	if o.RequestPatience == 0 {
		o.RequestPatience = DefaultRequestPatience
	}
	o.Logger = o.Logger.Session("stager")
	common, metrics := newMetrics(o.Registerer)
	return &Builds{
		options: o, logger: o.Logger, metrics: metrics, lookups: make(chan struct{}, maxLookups),
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

// BuildDoor returns the door by which a build was asked for. The error wraps opi.ErrNotFound
// for a build that does not exist.
func (b *Builds) BuildDoor(ctx context.Context, guid string) (opi.Door, error) {
	found, err := b.jobs.Find(ctx, guid)
	if err != nil {
		return "", fmt.Errorf("find build: %w", err)
	}
	return job.Door(found), nil
}

// CancelStaging ends a build: its pod goes, and its outcome is that it was canceled. One
// that has ended stays as it is. The error wraps opi.ErrNotFound for a build that does not
// exist.
func (b *Builds) CancelStaging(ctx context.Context, guid string) error {
	if err := b.jobs.Cancel(ctx, guid, stager.Canceled()); err != nil {
		return fmt.Errorf("cancel staging: %w", err)
	}
	return nil
}

// Sweep deletes the Secrets of builds whose outcome was answered, and those that have no
// Job, until ctx ends. Run it where this replica leads.
func (b *Builds) Sweep(ctx context.Context) error { return b.jobs.Sweep(ctx) }
