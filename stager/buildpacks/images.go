package buildpacks

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"code.cloudfoundry.org/lager/v3"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/outbound"
	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/transfer"
)

// Defaults of Options.
const (
	// DefaultLookPatience is how long a build waits for the registry to say which
	// images there are.
	DefaultLookPatience = 2 * time.Second
	// DefaultTimeout bounds the making of one image.
	DefaultTimeout = 15 * time.Minute
	// DefaultParallel is how many images are made at a time.
	DefaultParallel = 2
)

const (
	// maxUnderWay bounds the images that are being made or wait for it.
	maxUnderWay = 200
	// maxKnown bounds what is remembered, of found images and of failures each.
	maxKnown = 1024
	// memory is how long the registry is not asked again for an image that it had. A
	// build that counts on an image which was deleted meanwhile fails where the node
	// doesn't have it, so it is short.
	memory = 30 * time.Second
	// failureHold is how long a buildpack that failed is left alone.
	failureHold = time.Minute
	// parallelLooks bounds the questions that one build asks at a time.
	parallelLooks = 8
)

// Registry is where the images are. References have no registry's address.
type Registry interface {
	// Buildpack looks for the image of an archive with that SHA-256.
	Buildpack(ctx context.Context, checksum string) (reference string, found bool, err error)
	// PushBuildpack makes an image of a layer in a file.
	PushBuildpack(ctx context.Context, checksum, file string) (reference string, err error)
}

// Options are what Images works with.
type Options struct {
	Registry Registry
	// TLS is shown to, and trusted of, the servers that buildpacks come from, as in
	// builds.
	TLS steps.TLSFiles
	// Outbound restricts connections to the servers that buildpacks come from; nil means
	// no restriction.
	Outbound *outbound.Rules
	// Folder takes archives and what is in them meanwhile; "" is the system's folder of
	// temporary files. For each image it needs about the archive's size and twice what
	// it unpacks to.
	Folder string
	// Limits bound an archive.
	Limits steps.Limits
	// Patience is of downloads; transfer.UsualPatience when zero.
	Patience transfer.Patience
	// LookPatience, Timeout and Parallel are the defaults when 0.
	LookPatience, Timeout time.Duration
	Parallel              int

	Logger     lager.Logger
	Registerer prometheus.Registerer
}

// Images finds the images of buildpacks, and makes those that there are not.
type Images struct {
	options Options
	metrics imageMetrics
	// known are references that were seen, failed those that could not be made, both by
	// checksum.
	known  *lru.Cache[string, knownImage]
	failed *lru.Cache[string, time.Time]
	// places hold a token for each image that is being made.
	places chan struct{}

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex
	stopped  bool
	underWay map[string]bool
}

type knownImage struct {
	reference string
	at        time.Time
}

// New makes Images, which work until their Run ends.
func New(o Options) (*Images, error) {
	o.LookPatience = cmp.Or(o.LookPatience, DefaultLookPatience)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.Parallel = cmp.Or(o.Parallel, DefaultParallel)
	o.Patience = cmp.Or(o.Patience, transfer.UsualPatience())
	o.Limits = o.Limits.WithDefaults()
	o.Logger = o.Logger.Session("buildpacks")
	known, knownErr := lru.New[string, knownImage](maxKnown)
	failed, failedErr := lru.New[string, time.Time](maxKnown)
	if err := errors.Join(knownErr, failedErr); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Images{
		options: o, metrics: newImageMetrics(o.Registerer), known: known, failed: failed,
		places: make(chan struct{}, o.Parallel), ctx: ctx, cancel: cancel, underWay: map[string]bool{},
	}, nil
}

// Run waits until ctx ends, then stops all work and waits for it. Before, it clears what
// processes that were killed have left in the folder.
func (i *Images) Run(ctx context.Context) error {
	if err := i.clear(); err != nil {
		i.options.Logger.Error("clear", err)
	}
	<-ctx.Done()
	i.mu.Lock()
	i.stopped = true
	i.mu.Unlock()
	i.cancel()
	i.work.Wait()
	return nil
}

// Checksum is the SHA-256 by which a buildpack's image is known, in lower-case hex; false
// for a buildpack that never has one.
func Checksum(buildpack opi.Buildpack) (string, bool) {
	if buildpack.Checksum.Algorithm != "sha256" || steps.IsCustom(buildpack) {
		return "", false
	}
	return strings.ToLower(buildpack.Checksum.Value), true
}

// Find returns the references of those buildpacks' images that there are, by Checksum,
// and has the others made. It fails for none: what it can't find out in a moment is not
// there.
func (i *Images) Find(ctx context.Context, wanted []opi.Buildpack) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, i.options.LookPatience)
	defer cancel()
	var mutex sync.Mutex
	found := map[string]string{}
	looking := map[string]bool{}
	var looks errgroup.Group
	looks.SetLimit(parallelLooks)
	for _, buildpack := range wanted {
		checksum, keyed := Checksum(buildpack)
		if !keyed || looking[checksum] {
			continue
		}
		looking[checksum] = true
		looks.Go(func() error {
			reference, there, err := i.look(ctx, checksum)
			if err != nil {
				i.metrics.lookFailures.Inc()
				i.options.Logger.Error("look", err, lager.Data{"buildpack": buildpack.Name, "sha256": checksum})
				return nil
			}
			if !there {
				i.begin(buildpack, checksum)
				return nil
			}
			mutex.Lock()
			defer mutex.Unlock()
			found[checksum] = reference
			return nil
		})
	}
	_ = looks.Wait() // none fails
	return found
}

// look asks the registry, unless it was asked a while ago.
func (i *Images) look(ctx context.Context, checksum string) (string, bool, error) {
	if known, ok := i.known.Get(checksum); ok && time.Since(known.at) < memory {
		return known.reference, true, nil
	}
	reference, there, err := i.options.Registry.Buildpack(ctx, checksum)
	if err == nil && there {
		i.known.Add(checksum, knownImage{reference, time.Now()})
	}
	return reference, there, err
}
