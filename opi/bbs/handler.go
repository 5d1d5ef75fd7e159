package bbs

import (
	"context"
	"net/http"
	"sync"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/julienschmidt/httprouter"
	"golang.org/x/sync/singleflight"
	"k8s.io/utils/clock"

	"code.cloudfoundry.org/bbs/models"

	"github.com/irene-cf/irene/opi"
)

// defaultPatience bounds the work of a request: Cloud Controller gives up after 10 s and
// sends the same request again (contract/bbs.md 1.1).
const defaultPatience = 8 * time.Second

// Options are what the door works with.
type Options struct {
	LRPs   LRPs
	Tasks  Tasks
	Builds Builds
	// Cells lists cells for operators' tools; nil if there is no list.
	Cells Cells
	// Refusals is the memory that all doors share.
	Refusals *opi.Refusals
	Logger   lager.Logger
	// AdoptOPI makes the LRPs and tasks of [opi.DoorOPI] this door's, too, in the domains cf-apps
	// and cf-tasks, and lets callers cancel its builds.
	AdoptOPI bool
	// Patience is how long the back end may take for one request; 8 s if zero.
	Patience time.Duration
	// Clock is the real one when nil.
	Clock clock.PassiveClock
}

// front is what all routes share.
type front struct {
	logger   lager.Logger
	patience time.Duration
	twins    singleflight.Group
	bounds   bounds
	router   *httprouter.Router
	// buffers keeps those of long lists between requests.
	buffers sync.Pool
}

// NewHandler returns the door over its back ends. It sets each request's Pattern to the
// route that it took, as net/http's own router does, for logs and metrics.
func NewHandler(options Options) http.Handler {
	if options.Patience == 0 {
		options.Patience = defaultPatience
	}
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	f := &front{logger: options.Logger.Session("bbs"), patience: options.Patience, router: httprouter.New()}
	f.router.RedirectTrailingSlash = false // Cloud Controller follows no redirects
	f.router.RedirectFixedPath = false
	f.router.NotFound = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		WriteFault(w, http.StatusNotFound, "there is no "+r.URL.Path+" here")
	})
	f.router.MethodNotAllowed = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		WriteFault(w, http.StatusMethodNotAllowed, r.Method+" is not possible on "+r.URL.Path)
	})
	newLRPs(options, f.logger).register(f)
	newTasks(options, f.logger).register(f)
	newDomains(options.Clock).register(f)
	registerCells(f, options.Cells)
	read(f, "/v1/ping", "answer", func(_ context.Context, _ *nothing, out *answer) error {
		return out.message(&models.PingResponse{Available: true})
	})
	return f.router
}

// WriteFault answers with an HTTP status that is an error, as a text. Requests that reached
// no handler and that made one panic are answered so, and those that can't be handled at
// present. Cloud Controller takes any status but 200 for "not available".
func WriteFault(w http.ResponseWriter, status int, message string) {
	http.Error(w, message, status)
}
