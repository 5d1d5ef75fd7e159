package bits

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/irene-cf/irene/bits/droplet"
	"github.com/irene-cf/irene/opi"
)

const (
	// DefaultAssemblyPatience is how long a caller waits for an image. Cloud
	// Controller waits 60 s for an answer, of which the API server needs some.
	DefaultAssemblyPatience = 20 * time.Second
	// DefaultAssemblyTimeout bounds the work on one image, fetching its droplet
	// included. It starts again when the work has waited for that on other images.
	DefaultAssemblyTimeout = 15 * time.Minute
	// DefaultParallelAssemblies bounds the images that are put together at a time.
	DefaultParallelAssemblies = 16
	// DefaultParallelFetches bounds the droplets that are fetched at a time. They are
	// slow, and hold up no image whose droplet is there.
	DefaultParallelFetches = 4

	// maxUnderWay bounds what runs and waits.
	maxUnderWay = 2000
	// maxKnownImages and maxKnownDroplets bound what is remembered, some 500 bytes
	// each, for at most memory.
	maxKnownImages   = 8192
	maxKnownDroplets = 8192
	memory           = 5 * time.Minute
	// maxFailures bounds the reasons kept, of up to maxReasonBytes.
	maxFailures    = 1024
	maxReasonBytes = 1000
	// refusalHold is how long a refusal that took reading a droplet is repeated without
	// looking again.
	refusalHold = 2 * time.Minute
)

// DropletSource has droplets that the registry lacks, because they were staged
// elsewhere.
type DropletSource interface {
	// Open returns a droplet's bytes from the start. They go on, as far as possible,
	// when a connection breaks, and fail when ctx ends. processGUID is Cloud
	// Controller's guid of a process that runs the droplet, without version. Errors,
	// those of reading too, wrap opi.ErrRefused where there is no such droplet.
	Open(ctx context.Context, droplet opi.Droplet, processGUID string) (io.ReadCloser, error)
}

// AssemblerOptions are what an Assembler works with.
type AssemblerOptions struct {
	// Stacks are what images are built on; they bring registry and lifecycle layer.
	Stacks *Stacks
	// Source is nil when there is none.
	Source DropletSource
	// Conversion says how layers of fetched droplets are made.
	Conversion droplet.Options
	// Patience and Timeout are DefaultAssemblyPatience and DefaultAssemblyTimeout
	// when 0.
	Patience, Timeout time.Duration
	// ParallelAssemblies and ParallelFetches are DefaultParallelAssemblies and
	// DefaultParallelFetches when 0.
	ParallelAssemblies, ParallelFetches int
	Logger                              lager.Logger
}

// Assembler sees to it that app images are there. Its methods may be called at the
// same time; work on one image is shared by all who ask for it.
//
// Work has a life of its own: it goes on when who asked for it has left, until it
// is done, its time is up, or Run ends. Assembler owns the goroutines of it.
type Assembler struct {
	options  AssemblerOptions
	registry *Registry
	images   *lru.Cache[string, knownImage]
	droplets *lru.Cache[string, knownDroplet]
	failures *lru.Cache[string, Failure]
	// assemblies and fetches hold a token for each that may run.
	assemblies, fetches chan struct{}
	// lifecycleSent turns true when the registry has had the lifecycle layer.
	lifecycleSent atomic.Bool

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex
	stopped  bool
	underWay map[string]*flight
	// fetching has the droplets that are fetched or wait for a place, by the checksum's value. A
	// channel is closed when that has ended.
	fetching map[string]chan struct{}
}

type knownImage struct {
	Assembled
	at time.Time
}

type knownDroplet struct {
	StoredDroplet
	at time.Time
}

// NewAssembler makes an Assembler that works until its Run ends.
func NewAssembler(o AssemblerOptions) (*Assembler, error) {
	o.Patience = orDefault(o.Patience, DefaultAssemblyPatience)
	o.Timeout = orDefault(o.Timeout, DefaultAssemblyTimeout)
	o.ParallelAssemblies = orDefault(o.ParallelAssemblies, DefaultParallelAssemblies)
	o.ParallelFetches = orDefault(o.ParallelFetches, DefaultParallelFetches)
	images, imagesErr := lru.New[string, knownImage](maxKnownImages)
	droplets, dropletsErr := lru.New[string, knownDroplet](maxKnownDroplets)
	failures, failuresErr := lru.New[string, Failure](maxFailures)
	if err := errors.Join(imagesErr, dropletsErr, failuresErr); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Assembler{
		options: o, registry: o.Stacks.options.Registry, images: images, droplets: droplets, failures: failures,
		assemblies: make(chan struct{}, o.ParallelAssemblies), fetches: make(chan struct{}, o.ParallelFetches),
		ctx: ctx, cancel: cancel, underWay: map[string]*flight{}, fetching: map[string]chan struct{}{},
	}, nil
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// Run waits until ctx ends, then stops all work and waits for it.
func (a *Assembler) Run(ctx context.Context) error {
	<-ctx.Done()
	a.mu.Lock()
	a.stopped = true
	a.mu.Unlock()
	a.cancel()
	a.work.Wait()
	return nil
}

// AssemblyRequest is the image that is wanted.
type AssemblyRequest struct {
	Droplet opi.Droplet
	// AppGUID names the image of a droplet without a guid.
	AppGUID string
	// ProcessGUID is Cloud Controller's guid of the process, without version. It
	// serves to fetch a droplet that the registry lacks.
	ProcessGUID string
	// Stack is the name of the stack; "" is the one that the droplet was built on or,
	// when that is not known, the default one.
	Stack string
}

// Assembled is an app image that is in the registry.
type Assembled struct {
	// Repository is <prefix>/<droplet guid> (or <app guid>), without the registry's address; Tag is
	// <droplet checksum>-<revision>.
	Repository, Tag string
	// Digest is that of the image's manifest.
	Digest v1.Hash
	// Stack is what the image is built on; its Revision ends the tag.
	Stack Stack
}

// Assemble makes sure that <prefix>/<droplet guid>:<droplet checksum>-<revision> is
// in the registry, and says what the revision is. An image that is there costs one
// request, or none when it was seen in the last minutes; one that isn't is put
// together by reference, and its tag is written last.
//
// It waits as long as ctx and the Patience allow. The error wraps
//
//	opi.ErrRefused      the droplet can't be made an image of, for a reason that is
//	                    its own; if that took reading a droplet from the source, the
//	                    same answer is given for two minutes
//	opi.ErrUnavailable  registry, stack or droplet source can't be had at present, or
//	                    the work is not done yet; it goes on
//
// and its text is kept for LastFailure, unless it only says that the work goes on. Those
// that wrap opi.ErrUnavailable have an opi.Message.
func (a *Assembler) Assemble(ctx context.Context, request AssemblyRequest) (Assembled, error) {
	doing := "assemble the image of droplet " + request.repository()
	if err := a.check(request); err != nil {
		return Assembled{}, fmt.Errorf("%s: %w", doing, err)
	}
	if known, ok := a.known(request); ok {
		a.registry.metrics.assembled(outcomeFound, time.Now())
		return known, nil
	}
	if failure, ok := a.held(request); ok {
		return Assembled{}, opi.WithMessage(fmt.Errorf("%s: %w: %s", doing, opi.ErrRefused, failure.Reason), "%s", failure.Reason)
	}
	assembled, err := a.join(ctx, request, false)
	if errors.Is(err, opi.ErrUnavailable) && opi.Message(err) == "" {
		err = opi.WithMessage(err, "%s", opi.ImageNotReady)
	}
	if err != nil {
		return Assembled{}, fmt.Errorf("%s: %w", doing, err)
	}
	return assembled, nil
}

// AssembleAs does what Assemble does, and makes sure that the image has another tag in the same
// repository, which callers choose so that it is not one of Assemble's.
func (a *Assembler) AssembleAs(ctx context.Context, request AssemblyRequest, tag string) (Assembled, error) {
	assembled, err := a.Assemble(ctx, request)
	if err != nil {
		return Assembled{}, err
	}
	err = a.registry.tagAppImage(ctx, request.repository(), assembled.Digest, tag)
	if errors.Is(err, errNotThere) {
		// It was there a moment ago: the next attempt is not to rely on that.
		a.images.Remove(requestKey(request))
	}
	if err != nil {
		err = fmt.Errorf("tag the image of droplet %s: %w: %w", request.repository(), opi.ErrUnavailable, err)
		return Assembled{}, ended(opi.WithMessage(err, "%s", opi.ImageNotReady))
	}
	return assembled, nil
}

// Find returns what the image of a request is built on, and whether it is in the registry. It
// starts no work. Errors are those of Assemble.
func (a *Assembler) Find(ctx context.Context, request AssemblyRequest) (image Assembled, found bool, err error) {
	doing := "find the image of droplet " + request.Droplet.Checksum.Value
	if err := a.check(request); err != nil {
		return Assembled{}, false, fmt.Errorf("%s: %w", doing, err)
	}
	if known, ok := a.known(request); ok {
		return known, true, nil
	}
	stack, err := a.stackOf(ctx, request)
	if err != nil {
		return Assembled{}, false, fmt.Errorf("%s: %w", doing, err)
	}
	target := a.target(request, stack)
	digest, found, err := a.registry.head(ctx, target)
	if err != nil {
		return Assembled{}, false, fmt.Errorf("%s: %w", doing, err)
	}
	image = Assembled{Repository: target.RepositoryStr(), Tag: target.TagStr(), Digest: digest, Stack: stack}
	if found {
		a.images.Add(requestKey(request), knownImage{image, time.Now()})
	}
	return image, found, nil
}

// Repair is Assemble for an image that nodes can't pull: nothing is taken for granted,
// neither what is remembered nor that a manifest's blobs are where it is. What is
// missing is put there again.
func (a *Assembler) Repair(ctx context.Context, request AssemblyRequest) (Assembled, error) {
	doing := "repair the image of droplet " + request.repository()
	if err := a.check(request); err != nil {
		return Assembled{}, fmt.Errorf("%s: %w", doing, err)
	}
	a.images.Remove(requestKey(request))
	a.droplets.Remove(request.Droplet.Checksum.Value)
	assembled, err := a.join(ctx, request, true)
	if err != nil {
		return Assembled{}, fmt.Errorf("%s: %w", doing, err)
	}
	return assembled, nil
}

// check refuses what can't be a repository or tag of its own.
func (a *Assembler) check(request AssemblyRequest) error {
	if err := request.Droplet.Validate(); err != nil {
		return fmt.Errorf("%w: %w", opi.ErrRefused, opi.Within("droplet", err))
	}
	switch repository := request.repository(); {
	case repository == "":
		return fmt.Errorf("%w: %w", opi.ErrRefused, opi.Invalid("app.guid", "is missing, and the droplet has no guid either"))
	case slices.Contains(ownRepositories, repository):
		return fmt.Errorf("%w: %w", opi.ErrRefused, opi.Invalid("droplet.guid", "%q is the name of a repository of Irene's own", repository))
	}
	return nil
}

// repository is the last part of the image's name.
func (r AssemblyRequest) repository() string { return r.Droplet.ImageRepository(r.AppGUID) }

func requestKey(request AssemblyRequest) string {
	return request.repository() + ":" + request.Droplet.Checksum.Value + " " + request.Stack
}

// known is an image that was in the registry a moment ago, on what is still its
// stack's revision.
func (a *Assembler) known(request AssemblyRequest) (Assembled, bool) {
	image, ok := a.images.Get(requestKey(request))
	if !ok || time.Since(image.at) > memory || a.options.Stacks.state(image.Stack.Name).Revision != image.Stack.Revision {
		return Assembled{}, false
	}
	return image.Assembled, true
}

// target is where the image of a request on a stack is.
func (a *Assembler) target(request AssemblyRequest, stack Stack) name.Tag {
	return a.registry.appImages(request.repository()).Tag(request.Droplet.Checksum.Value + "-" + stack.Revision)
}
