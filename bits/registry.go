package bits

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"sync/atomic"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/platform"
)

const (
	dropletsRepository  = "droplets"
	stacksRepository    = "stacks"
	lifecycleRepository = "lifecycle"
	stageRepository     = "stage"
	buildsRepository    = "builds"

	buildpacksRepository = "buildpacks"

	// DefaultRequestTimeout is how long a registry may take to answer one request,
	// once it has all of it.
	DefaultRequestTimeout = 30 * time.Second
	// DefaultStallTimeout is how long a body may stand still on its way.
	DefaultStallTimeout = time.Minute
)

// ownRepositories can't be a droplet's.
var ownRepositories = []string{dropletsRepository, stacksRepository, lifecycleRepository, stageRepository, buildsRepository, buildpacksRepository}

// RegistryOptions is where app images are kept, and how Irene gets there.
type RegistryOptions struct {
	// Address is host[:port], as Irene itself reaches the registry.
	Address string
	// Prefix is the path of all of Irene's repositories; "" for none.
	Prefix string
	// PlainHTTP allows HTTP without TLS where the registry speaks no TLS. On a
	// loopback address it is always allowed.
	PlainHTTP bool
	// CAFile holds authorities in PEM form trusted in addition to the machine's. It is
	// read again when its content changes.
	CAFile string
	// UsernameFile and PasswordFile are read for every login; both "" for none.
	UsernameFile, PasswordFile string
	// RequestTimeout and StallTimeout are DefaultRequestTimeout and
	// DefaultStallTimeout when 0.
	RequestTimeout, StallTimeout time.Duration
	// Platform of stacks; linux and this process's own architecture when nil.
	Platform *v1.Platform
	// SpoolDir takes droplets on their way to a registry that wants to know a blob's
	// size before its bytes; the machine's folder for temporary files when "".
	SpoolDir string
	// Logger logs changes of CAFile; nil means that they are not logged.
	Logger lager.Logger
	// Metrics counts requests; nil means that only the Registry's own metrics do.
	Metrics *platform.Metrics

	// network and firstBackoff are for tests.
	network      http.RoundTripper
	firstBackoff time.Duration
}

// Registry is an OCI distribution registry with what Irene keeps there:
//
//	<prefix>/stacks/<name>         root file systems, the current one tagged latest
//	<prefix>/lifecycle             the layer that holds /lifecycle/launch
//	<prefix>/droplets              droplets as layers, tagged by checksum
//	<prefix>/<droplet guid>        app images, tagged <droplet checksum>-<revision>
//	<prefix>/stage                 images of the program that stages apps
//	<prefix>/builds/<stack>        what apps are built in, tagged by revision
//	<prefix>/buildpacks            buildpacks, tagged by checksum
//
// It may be used by many goroutines, and is a prometheus.Collector. Nothing is ever
// deleted: what no tag names is the registry's own garbage collection's business.
type Registry struct {
	host     *registryHost
	prefix   string
	spoolDir string
	metrics  *registryMetrics
	// bases are the parsed images of stacks, by digest.
	bases *lru.Cache[v1.Hash, baseImage]
	// spools turns true when the registry has refused a blob of unknown size.
	spools atomic.Bool
	// buildCredentials is the last answer of takesBuildCredentials; nil before the first.
	buildCredentials atomic.Pointer[bool]
}

// maxBases bounds the stacks kept in memory, a few KiB each.
const maxBases = 32

// NewRegistry checks the options and reads the files that they name; it sends
// nothing.
func NewRegistry(o RegistryOptions) (*Registry, error) {
	auth, err := newFileCredentials(o.UsernameFile, o.PasswordFile)
	if err != nil {
		return nil, err
	}
	metrics := newRegistryMetrics()
	host, err := newRegistryHost(o.hostOptions(auth), metrics)
	if err != nil {
		return nil, err
	}
	if o.Prefix != "" {
		if _, err := name.NewRepository(host.name.RegistryStr() + "/" + o.Prefix + "/" + stacksRepository); err != nil {
			return nil, fmt.Errorf("prefix %q can't begin a repository's name: %w", o.Prefix, err)
		}
	}
	bases, err := lru.New[v1.Hash, baseImage](maxBases)
	if err != nil {
		return nil, err
	}
	spoolDir := o.SpoolDir
	if spoolDir == "" {
		spoolDir = os.TempDir()
	}
	return &Registry{host: host, prefix: o.Prefix, spoolDir: spoolDir, metrics: metrics, bases: bases}, nil
}

func (o RegistryOptions) hostOptions(auth authn.Authenticator) hostOptions {
	host := hostOptions{
		address: o.Address, plainHTTP: o.PlainHTTP, caFile: o.CAFile, auth: auth, platform: ownPlatform,
		requestTimeout: o.RequestTimeout, stallTimeout: o.StallTimeout, network: o.network, firstBackoff: o.firstBackoff,
		logger: o.Logger, metrics: o.Metrics,
	}
	if o.Platform != nil {
		host.platform = *o.Platform
	}
	if host.requestTimeout == 0 {
		host.requestTimeout = DefaultRequestTimeout
	}
	if host.stallTimeout == 0 {
		host.stallTimeout = DefaultStallTimeout
	}
	if host.firstBackoff == 0 {
		host.firstBackoff = firstBackoff
	}
	return host
}

func (r *Registry) repository(parts ...string) name.Repository {
	return r.host.name.Repo(append([]string{r.prefix}, parts...)...)
}

func (r *Registry) droplets() name.Repository             { return r.repository(dropletsRepository) }
func (r *Registry) stack(stack string) name.Repository    { return r.repository(stacksRepository, stack) }
func (r *Registry) lifecycle() name.Repository            { return r.repository(lifecycleRepository) }
func (r *Registry) appImages(guid string) name.Repository { return r.repository(guid) }
func (r *Registry) stage() name.Repository                { return r.repository(stageRepository) }
func (r *Registry) buildpacks() name.Repository           { return r.repository(buildpacksRepository) }
func (r *Registry) builds(stack string) name.Repository   { return r.repository(buildsRepository, stack) }

// stackName is what can be one part of a repository's name.
var stackName = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`)

// ValidateStackName says why a text can't be the name of a stack, which is part of a
// repository's name.
func ValidateStackName(stack string) error {
	if !stackName.MatchString(stack) || len(stack) > 100 {
		return fmt.Errorf("%q can't be the name of a stack: up to 100 lower-case letters, digits, and single '.', '_' or '-' between them", stack)
	}
	return nil
}

// head is the digest that reference has in the registry, and false where there is
// none.
func (r *Registry) head(ctx context.Context, reference name.Reference) (v1.Hash, bool, error) {
	puller, err := r.host.puller(ctx, reference.Context())
	if err != nil {
		return v1.Hash{}, false, r.failed("ask for "+reference.String(), err)
	}
	descriptor, err := puller.Head(ctx, reference)
	switch {
	case isNotFound(err):
		return v1.Hash{}, false, nil
	case err != nil:
		return v1.Hash{}, false, r.failed("ask for "+reference.String(), err)
	}
	return descriptor.Digest, true, nil
}

// get reads a manifest; the error wraps errNotThere where there is none.
func (r *Registry) get(ctx context.Context, reference name.Reference) (*remote.Descriptor, error) {
	puller, err := r.host.puller(ctx, reference.Context())
	if err != nil {
		return nil, r.failed("read "+reference.String(), err)
	}
	found, err := puller.Get(ctx, reference)
	if isNotFound(err) {
		return nil, fmt.Errorf("read %s: %w, it %w: %w", reference, opi.ErrUnavailable, errNotThere, err)
	}
	if err != nil {
		return nil, r.failed("read "+reference.String(), err)
	}
	return found, nil
}

// errNotThere is wrapped, beside opi.ErrUnavailable, where the registry has no such
// manifest.
var errNotThere = errors.New("is not in the registry")

// failed says what could not be done and whether it may succeed later. Whatever the
// registry refuses is the operator's to mend, not the sender's of a request.
func (r *Registry) failed(doing string, err error) error {
	if errors.Is(err, opi.ErrRefused) || errors.Is(err, opi.ErrUnavailable) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if answer, ok := errors.AsType[*transport.Error](err); ok && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden) {
		r.host.logout()
		return fmt.Errorf("%s: %w, the registry refuses Irene's credentials: %w", doing, opi.ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w: %w", doing, opi.ErrUnavailable, err)
}

func isNotFound(err error) bool {
	answer, ok := errors.AsType[*transport.Error](err)
	return ok && answer.StatusCode == http.StatusNotFound
}

// PlatformOf reads "os/architecture[/variant]", such as linux/arm64; "" is linux and
// this process's own architecture.
func PlatformOf(text string) (*v1.Platform, error) {
	if text == "" {
		return &v1.Platform{OS: ownPlatform.OS, Architecture: runtime.GOARCH}, nil
	}
	parsed, err := v1.ParsePlatform(text)
	if err != nil || parsed.OS == "" || parsed.Architecture == "" {
		return nil, fmt.Errorf("platform %q is not of the form linux/amd64", text)
	}
	return parsed, nil
}
