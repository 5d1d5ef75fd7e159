package bits

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/irene-cf/irene/platform"
)

const (
	// maxLogins bounds the logins kept, one per repository where the registry works
	// with tokens.
	maxLogins = 256

	userAgent = "irene"
)

// hostOptions is how a registry is reached, and as whom.
type hostOptions struct {
	address        string
	plainHTTP      bool
	caFile         string
	auth           authn.Authenticator
	requestTimeout time.Duration
	stallTimeout   time.Duration
	// network replaces the network; tests only.
	network      http.RoundTripper
	firstBackoff time.Duration
	platform     v1.Platform
	logger       lager.Logger
	metrics      *platform.Metrics
}

// registryHost talks to one registry. Logins are kept: one for everything where the
// registry wants a password or nothing, one per set of scopes where it hands out
// tokens.
type registryHost struct {
	name      name.Registry
	auth      authn.Authenticator
	transport http.RoundTripper
	platform  v1.Platform
	backoff   remote.Backoff
	logins    *lru.Cache[string, http.RoundTripper]

	mu sync.Mutex
	// tokens says whether logins differ by scope; nil until the registry was asked.
	tokens *bool
}

func newRegistryHost(o hostOptions, metrics *registryMetrics) (*registryHost, error) {
	plain := o.plainHTTP || isLoopbackHost(o.address)
	options := []name.Option{name.StrictValidation}
	if plain {
		options = append(options, name.Insecure)
	}
	if strings.Contains(o.address, "/") {
		return nil, fmt.Errorf("address %q of the registry must be host or host:port, without scheme and path", o.address)
	}
	host, err := name.NewRegistry(o.address, options...)
	if err != nil {
		return nil, fmt.Errorf("address of the registry: %w", err)
	}
	network := o.network
	if network == nil {
		client, err := platform.New(platform.Options{
			Peer: "registry", Files: trust(o.caFile), Proxies: true, Bulk: true,
			HeaderTimeout: o.requestTimeout, Stall: o.stallTimeout, Logger: o.logger, Metrics: o.metrics,
		})
		if err != nil {
			return nil, fmt.Errorf("read %w", err)
		}
		network = client
	}
	logins, err := lru.New[string, http.RoundTripper](maxLogins)
	if err != nil {
		return nil, err
	}
	var chain http.RoundTripper = traffic{inner: network, metrics: metrics}
	if !plain {
		chain = encrypted{chain}
	}
	chain = platform.Retrying(boundedRedirects{boundedManifests{chain}}, retryOptions(o.firstBackoff))
	return &registryHost{
		name: host, auth: o.auth, platform: o.platform, logins: logins,
		transport: transport.NewUserAgent(chain, userAgent),
		backoff:   remote.Backoff{Duration: o.firstBackoff, Factor: 3, Jitter: 0.5, Steps: 3},
	}, nil
}

// trust returns the files of a client that trusts the machine's authorities and, if given,
// those of caFile.
func trust(caFile string) platform.Files {
	if caFile == "" {
		return platform.Files{}
	}
	return platform.Files{Authorities: []string{caFile}, System: true}
}

// encrypted refuses to send anything in the clear, whatever a redirect or a private
// address may suggest.
type encrypted struct{ inner http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t encrypted) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "https" {
		if request.Body != nil {
			_ = request.Body.Close()
		}
		return nil, &permanent{fmt.Errorf("plain HTTP to %s is not allowed by the configuration", request.URL.Host)}
	}
	return t.inner.RoundTrip(request)
}

// login returns a transport whose requests are made with the credentials, for
// scopes as the token protocol writes them.
func (h *registryHost) login(ctx context.Context, scopes ...string) (http.RoundTripper, error) {
	tokens, err := h.usesTokens(ctx)
	if err != nil {
		return nil, err
	}
	key := ""
	if tokens {
		key = strings.Join(scopes, " ")
	}
	if known, ok := h.logins.Get(key); ok {
		return known, nil
	}
	login, err := transport.NewWithContext(ctx, h.name, h.auth, h.transport, scopes)
	if err != nil {
		return nil, h.loginFailed(err)
	}
	h.logins.Add(key, login)
	return login, nil
}

func (h *registryHost) usesTokens(ctx context.Context) (bool, error) {
	h.mu.Lock()
	known := h.tokens
	h.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	challenge, err := transport.Ping(ctx, h.name, h.transport)
	if err != nil {
		return false, h.loginFailed(err)
	}
	tokens := strings.EqualFold(challenge.Scheme, "bearer")
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tokens = &tokens
	return tokens, nil
}

// loginFailed keeps a login's "not found" from being taken for an image's.
func (h *registryHost) loginFailed(err error) error {
	if isNotFound(err) {
		return fmt.Errorf("log in to %s, which does not answer like a registry: %v", h.name, err)
	}
	return fmt.Errorf("log in to %s: %w", h.name, err)
}

// logout forgets all logins. What a registry asks for may change, and a login that
// was refused once would be refused for ever.
func (h *registryHost) logout() {
	h.mu.Lock()
	h.tokens = nil
	h.mu.Unlock()
	h.logins.Purge()
}

// puller reads from a repository.
func (h *registryHost) puller(ctx context.Context, from name.Repository) (*remote.Puller, error) {
	login, err := h.login(ctx, from.Scope(transport.PullScope))
	if err != nil {
		return nil, err
	}
	return remote.NewPuller(h.options(login)...)
}

// pusher writes to a repository, and may mount what is in others. It must not be
// kept: it remembers what it has sent, and the registry may lose that.
func (h *registryHost) pusher(ctx context.Context, to name.Repository, others ...name.Repository) (*remote.Pusher, error) {
	login, err := h.login(ctx, pushScopes(to, others)...)
	if err != nil {
		return nil, err
	}
	return remote.NewPusher(h.options(login)...)
}

// streamer is a pusher for what can be read only once: it begins anew only while
// untouched says that nothing was read.
func (h *registryHost) streamer(ctx context.Context, to name.Repository, untouched func() bool) (*remote.Pusher, error) {
	login, err := h.login(ctx, pushScopes(to, nil)...)
	if err != nil {
		return nil, err
	}
	return remote.NewPusher(append(h.options(login), remote.WithRetryPredicate(func(err error) bool {
		return untouched() && worthAnotherUpload(err)
	}))...)
}

// pushScopes has the repository written to first: some registries look at one
// scope only.
func pushScopes(to name.Repository, others []name.Repository) []string {
	scopes := []string{to.Scope(transport.PushScope)}
	for _, other := range others {
		scopes = append(scopes, other.Scope(transport.PullScope))
	}
	return scopes
}

// options make go-containerregistry use a login as it is. Requests are repeated by
// the transport below; whole uploads, whose parts depend on one another, above it.
func (h *registryHost) options(login http.RoundTripper) []remote.Option {
	return []remote.Option{
		remote.WithTransport(login),
		remote.WithPlatform(h.platform),
		remote.WithRetryBackoff(h.backoff),
		remote.WithRetryPredicate(worthAnotherUpload),
	}
}

// isLoopbackHost tells whether only this machine can be behind host[:port].
func isLoopbackHost(address string) bool {
	host := address
	if name, _, err := net.SplitHostPort(address); err == nil {
		host = name
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}
