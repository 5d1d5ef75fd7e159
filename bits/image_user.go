package bits

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/outbound"
)

const (
	// maxRememberedImages bounds the answers kept, some 200 bytes each.
	maxRememberedImages = 4096
	// maxUserBytes bounds USER, which answers keep.
	maxUserBytes = 256
)

// ownPlatform is the default for the nodes' platform. Nodes of other architectures use other
// images of an index, but in practice the same users.
var ownPlatform = v1.Platform{OS: "linux", Architecture: runtime.GOARCH}

// ImageRun describes how an image runs by default.
type ImageRun struct {
	User
	// HasCommand reports whether the image has an entrypoint or a command.
	HasCommand bool
}

// User is as whom an image runs.
type User struct {
	// Name is USER as the image's config has it: "", "node", "1000:1000",
	// "node:staff".
	Name string
	// UID is the user's number. It is set whenever Lookup gives no error; an
	// image without USER runs as root, 0.
	UID *int64
	// GID is the number of the group that USER names or, for a user given by
	// name, of that user's own group. It is nil where neither says anything: a
	// container runtime then takes the group from the image's /etc/passwd, or 0.
	GID *int64
}

// ErrUnknownUser is found by errors.Is in an error that says that an image's USER
// can't be turned into numbers. Asking again changes nothing as long as the image
// stays the same. The error's text is fit for the image's owner.
var ErrUnknownUser = errors.New("the image's user is not known")

// unknownUser is an ErrUnknownUser with the USER and what is wrong with it.
type unknownUser struct{ user, reason string }

func (e *unknownUser) Error() string        { return fmt.Sprintf("USER %q %s", e.user, e.reason) }
func (e *unknownUser) Is(target error) bool { return target == ErrUnknownUser }

// ImageUsers asks registries for the users and commands of images. It may be used by many
// goroutines.
//
// Answers are remembered by the image's digest, so an image given by digest is
// asked for once, and one given by tag costs a request for the tag's digest each
// time. Lookups of one image with the same credentials that run at the same time
// share one answer. What was learnt with some credentials is never told to others.
// Failures are remembered for a short while.
//
// Images are hostile until proven otherwise: at most maxLookups are read at a time, and of
// each only as much as the limits in this package allow is ever decoded.
type ImageUsers struct {
	timeout   time.Duration
	transport http.RoundTripper
	rules     *outbound.Rules
	platform  v1.Platform
	logger    lager.Logger
	answers   *lru.Cache[imageKey, answer]
	failures  *failedLookups
	lookups   chan struct{}
	running   singleflight.Group
}

// imageKey stands for an image and the credentials that it was read with, without
// keeping those.
type imageKey [sha256.Size]byte

// answer holds what is known of one image, which never changes: how it runs, or an unknownUser.
type answer struct {
	run     ImageRun
	unknown *unknownUser
}

func (a answer) result() (ImageRun, error) {
	if a.unknown != nil {
		return ImageRun{}, a.unknown
	}
	return a.run, nil
}

// Option changes how ImageUsers works.
type Option func(*ImageUsers)

// WithPlatform sets the nodes' platform. The default is linux and this process's own
// architecture. The variant does not count: nodes know best which of several they run.
func WithPlatform(platform v1.Platform) Option {
	return func(u *ImageUsers) { u.platform = platform }
}

// WithLogger logs why images can't be read, in more detail than their owners read.
func WithLogger(logger lager.Logger) Option {
	return func(u *ImageUsers) { u.logger = logger }
}

// NewImageUsers makes lookups that take at most timeout each. Users choose the registries,
// so all connections are restricted by rules.
func NewImageUsers(timeout time.Duration, rules *outbound.Rules, options ...Option) *ImageUsers {
	answers, err := lru.New[imageKey, answer](maxRememberedImages)
	if err != nil {
		// Only for a size below 1.
		panic(err)
	}
	u := &ImageUsers{
		timeout: timeout, transport: rules.Transport(remote.DefaultTransport.(*http.Transport)), rules: rules,
		platform: ownPlatform, logger: lager.NewLogger("images"), answers: answers, failures: newFailedLookups(), lookups: make(chan struct{}, maxLookups),
	}
	for _, option := range options {
		option(u)
	}
	u.transport = boundedRedirects{boundedManifests{markedConnections{u.transport}}}
	return u
}

// Lookup returns how image runs, on the nodes' platform. With
// errors.Is(err, ErrUnknownUser) the image is at fault; otherwise its registry
// could not be asked: not reached in time (the error then wraps opi.ErrUnavailable), image
// missing, credentials refused (errors.As finds go-containerregistry's *transport.Error).
func (u *ImageUsers) Lookup(ctx context.Context, image opi.Image) (ImageRun, error) {
	return u.LookupUser(ctx, image, "")
}

// LookupUser does what Lookup does for another user than the one that the image names, "user" or
// "user:group"; "" is the image's own.
func (u *ImageUsers) LookupUser(ctx context.Context, image opi.Image, user string) (ImageRun, error) {
	reference, err := u.parse(image.Reference)
	if err != nil {
		return ImageRun{}, fmt.Errorf("read the user of image %s: %w", image.Reference, err)
	}
	if digest, ok := reference.(name.Digest); ok {
		if known, ok := u.answers.Get(keyOf(digest, image.Credentials, user)); ok {
			return known.result()
		}
	}

	// The shared work has a life of its own: the first caller's giving up must not
	// fail the others.
	key := keyOf(reference, image.Credentials, user)
	shared := u.running.DoChan(string(key[:]), func() (any, error) {
		if err := u.failures.get(key); err != nil {
			return answer{}, err
		}
		ctx, leave, err := u.enter(context.WithoutCancel(ctx))
		if err != nil {
			return answer{}, err
		}
		defer leave()
		found, err := u.ask(ctx, reference, image.Credentials, user)
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			err = &shortError{err}
			u.failures.add(key, err, failureHold)
		}
		return found, err
	})
	select {
	case <-ctx.Done():
		err = ctx.Err()
	case outcome := <-shared:
		if err = outcome.Err; err == nil {
			return outcome.Val.(answer).result()
		}
	}
	if mayPass(err) {
		err = fmt.Errorf("%w: %w", opi.ErrUnavailable, err)
	}
	return ImageRun{}, fmt.Errorf("read the user of image %s: %w", image.Reference, err)
}

// mayPass reports whether the same lookup may succeed later.
func mayPass(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(explainImage("", err), opi.ErrUnavailable)
}

// ask finds the answer for reference, remembered or not.
func (u *ImageUsers) ask(ctx context.Context, reference name.Reference, credentials *opi.RegistryCredentials, user string) (answer, error) {
	puller, err := u.puller(credentials)
	if err != nil {
		return answer{}, err
	}
	digest, err := resolve(ctx, puller, reference)
	if err != nil {
		return answer{}, err
	}
	key := keyOf(digest, credentials, user)
	if known, ok := u.answers.Get(key); ok {
		return known, nil
	}
	if err := u.failures.get(key); err != nil {
		return answer{}, err
	}
	found, err := u.read(ctx, puller, digest, user)
	if fault, ok := errors.AsType[imageFault](err); ok {
		u.failures.add(key, fault, faultHold)
	}
	if err != nil {
		return answer{}, err
	}
	u.answers.Add(key, found)
	return found, nil
}

func (u *ImageUsers) puller(credentials *opi.RegistryCredentials) (*remote.Puller, error) {
	return remote.NewPuller(
		remote.WithAuth(authenticator(credentials)),
		remote.WithTransport(u.transport),
		remote.WithUserAgent("irene"),
	)
}

// authenticator is never the machine's own keychain: an app's owner must not pull
// with the platform's credentials.
func authenticator(credentials *opi.RegistryCredentials) authn.Authenticator {
	if credentials == nil {
		return authn.Anonymous
	}
	return &authn.Basic{Username: credentials.Username, Password: credentials.Password}
}

// resolve finds the digest that reference means now.
func resolve(ctx context.Context, puller *remote.Puller, reference name.Reference) (name.Digest, error) {
	if digest, ok := reference.(name.Digest); ok {
		return digest, nil
	}
	// Registries that limit pulls don't count HEAD.
	if descriptor, err := puller.Head(ctx, reference); err == nil {
		return reference.Context().Digest(descriptor.Digest.String()), nil
	}
	// Some registries don't answer HEAD properly, and an answer to GET says what
	// is wrong.
	descriptor, err := puller.Get(ctx, reference)
	if err != nil {
		return name.Digest{}, err
	}
	return reference.Context().Digest(descriptor.Digest.String()), nil
}

// read fetches the image's config and, if a name is wanted or stands there, its account files.
func (u *ImageUsers) read(ctx context.Context, puller *remote.Puller, digest name.Digest, wanted string) (answer, error) {
	image, config, err := u.readConfig(ctx, puller, digest)
	if err != nil {
		return answer{}, err
	}
	wanted = cmp.Or(wanted, config.Config.User)
	if len(wanted) > maxUserBytes {
		return answer{unknown: &unknownUser{user: wanted[:maxUserBytes], reason: fmt.Sprintf("has more than %d bytes", maxUserBytes)}}, nil
	}
	user, err := resolveUser(wanted, func(wanted ...string) (accountFiles, error) {
		return readAccountFiles(image.layers(ctx), wanted...)
	})
	if unknown, ok := errors.AsType[*unknownUser](err); ok {
		return answer{unknown: unknown}, nil
	}
	return answer{run: ImageRun{User: user, HasCommand: len(config.Config.Entrypoint)+len(config.Config.Cmd) > 0}}, err
}

// keyOf separates images, credentials and users. No separator occurs in a reference or
// in a number.
func keyOf(reference name.Reference, credentials *opi.RegistryCredentials, user string) imageKey {
	var b strings.Builder
	b.WriteString(reference.Name())
	if user != "" {
		fmt.Fprintf(&b, "\nuser %d\n%s", len(user), user)
	}
	if credentials != nil {
		fmt.Fprintf(&b, "\n%d\n%s%s", len(credentials.Username), credentials.Username, credentials.Password)
	}
	return sha256.Sum256([]byte(b.String()))
}
