package registry

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"

	"github.com/irene-cf/irene/bits/registry/store"
)

// Defaults for those who have no opinion.
const (
	// DefaultMinFreeBytes leaves room for a node's other needs.
	DefaultMinFreeBytes = 2 << 30
	// DefaultMinAge is longer than any push.
	DefaultMinAge = 24 * time.Hour
	// DefaultUploadIdle is longer than any client pauses.
	DefaultUploadIdle = time.Hour
	// DefaultCollectEvery is often enough, as a low disk starts a collection too.
	DefaultCollectEvery = 24 * time.Hour
)

// leastMinAge is how long the slowest push may take from its first blob to its
// manifest.
const leastMinAge = time.Hour

// Unused is a rule by which tags are forgotten.
type Unused = store.Unused

// Options say what a registry serves and how it cleans up.
type Options struct {
	// Directory holds the content and nothing else. It is made when it is missing; one
	// of the well-known registry image (its /var/lib/registry) is taken over.
	Directory string
	// Users may use the registry. At least one is required, unless Anonymous is set.
	Users []User
	// Anonymous lets everybody read and write.
	Anonymous bool
	// MinFreeBytes is the free space of Directory's file system below which uploads
	// are refused; 0 for no bound.
	MinFreeBytes int64
	// MinAge is how long something that nothing refers to is kept after its last use,
	// at least an hour.
	MinAge time.Duration
	// UploadIdle is how long an unfinished upload is kept after its last byte, at least
	// five minutes.
	UploadIdle time.Duration
	// CollectEvery is the time between collections; with 0 there are only those that
	// low space starts.
	CollectEvery time.Duration
	// Unused are rules by which tags are forgotten; none by default.
	Unused []Unused
	// Logger is required.
	Logger lager.Logger
	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer
	// Clock is the real one when nil.
	Clock clock.WithTicker
	// FreeBytes measures the free space; nil asks the file system.
	FreeBytes func() (int64, error)
}

// Validate says what is wrong with the options, naming the fields. It reads no
// files.
func (o Options) Validate() error {
	var faults []error
	fault := func(field, format string, args ...any) {
		faults = append(faults, fmt.Errorf(field+": "+format, args...))
	}
	if o.Directory == "" {
		fault("Directory", "is required")
	}
	if len(o.Users) == 0 && !o.Anonymous {
		fault("Users", "is required, unless Anonymous is set")
	}
	if len(o.Users) > 0 && o.Anonymous {
		fault("Anonymous", "is set although there are Users; choose one")
	}
	known := make(map[string]bool)
	for i, user := range o.Users {
		field, reason := user.fault()
		if field == "" && known[user.Name] {
			field, reason = "Name", fmt.Sprintf("%q is there twice", user.Name)
		}
		if field != "" {
			fault(fmt.Sprintf("Users[%d].%s", i, field), "%s", reason)
		}
		known[user.Name] = true
	}
	if o.MinFreeBytes < 0 {
		fault("MinFreeBytes", "%d must not be negative", o.MinFreeBytes)
	}
	if o.MinAge < leastMinAge {
		fault("MinAge", "%s must be at least %s: what clients are about to refer to would be removed", o.MinAge, leastMinAge)
	}
	if least := 5 * time.Minute; o.UploadIdle < least {
		fault("UploadIdle", "%s must be at least %s", o.UploadIdle, least)
	}
	if o.CollectEvery < 0 {
		fault("CollectEvery", "%s must not be negative", o.CollectEvery)
	}
	if err := o.rules().Validate(); o.MinAge > 0 && err != nil {
		faults = append(faults, err)
	}
	if o.Logger == nil {
		fault("Logger", "is required")
	}
	return errors.Join(faults...)
}

func (o Options) rules() store.Rules {
	return store.Rules{MinAge: o.MinAge, Unused: o.Unused}
}

// Registry is an open registry. Its methods may be called from any goroutine.
type Registry struct {
	options Options
	logger  lager.Logger
	clock   clock.WithTicker
	store   *store.Store
	metrics *metrics
	handler http.Handler
	// stall is stallTimeout outside tests.
	stall time.Duration
	// tags is held for writing while a build sets a tag, and for reading while another
	// user does; see boundBuilds.
	tags sync.RWMutex
}

// New opens the directory, reads the users' passwords and registers the metrics.
// Errors name the field of Options or the file that is at fault.
func New(options Options) (*Registry, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	r := &Registry{options: options, logger: options.Logger.Session("registry"), clock: options.Clock, stall: stallTimeout}
	if r.clock == nil {
		r.clock = clock.RealClock{}
	}
	var users *users
	if !options.Anonymous {
		var err error
		if users, err = readUsers(options.Users, r.logger, r.clock); err != nil {
			return nil, err
		}
	}
	var err error
	r.store, err = store.Open(store.Options{
		Directory:    options.Directory,
		MinFreeBytes: options.MinFreeBytes,
		Clock:        r.clock,
		FreeBytes:    options.FreeBytes,
	})
	if err != nil {
		return nil, err
	}
	if err := r.serveFrom(users); err != nil {
		return nil, errors.Join(err, r.store.Close())
	}
	return r, nil
}

// serveFrom builds the handler. A request is counted, then authenticated, then routed,
// then checked for what a build may do and for the room that it needs, and then passed to
// the library. Nothing expensive comes before authentication.
func (r *Registry) serveFrom(users *users) error {
	app, err := newLibraryHandler(r.store)
	if err != nil {
		return err
	}
	if r.metrics, err = newMetrics(r.store, r.options); err != nil {
		return err
	}
	handler := route(r.boundBuilds(r.guardSpace(app)))
	if users != nil {
		handler = users.admit(handler)
	}
	r.handler = r.observe(handler)
	return nil
}

// Handler answers the requests of the registry's API, /v2/ and below.
func (r *Registry) Handler() http.Handler { return r.handler }

// Check says why the registry can't serve: its directory is out of reach. Too
// little free space is no such reason, since reads work.
func (r *Registry) Check() error { return r.store.Check() }

// Close gives up the directory and the metrics. Run must have returned and no request
// be running.
func (r *Registry) Close() error {
	r.metrics.unregister()
	if err := r.store.Close(); err != nil {
		return fmt.Errorf("close the registry's directory: %w", err)
	}
	return nil
}
