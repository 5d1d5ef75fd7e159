package api

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/julienschmidt/httprouter"

	"github.com/irene-cf/irene/opi"
)

// LRPs is the back end. Errors wrap opi.ErrNotFound, opi.ErrUnavailable or
// opi.ErrRefused, or are *opi.FieldError; anything else is the platform's fault.
type LRPs interface {
	// Desire makes sure that the LRP exists.
	Desire(ctx context.Context, lrp opi.LRP) error
	Update(ctx context.Context, id opi.LRPIdentifier, update opi.LRPUpdate) error
	Get(ctx context.Context, id opi.LRPIdentifier) (opi.DesiredLRP, error)
	// List returns all LRPs of a door or fails.
	List(ctx context.Context, door opi.Door) ([]opi.DesiredLRP, error)
	Instances(ctx context.Context, id opi.LRPIdentifier) ([]opi.Instance, error)
	Stop(ctx context.Context, id opi.LRPIdentifier) error
	StopInstance(ctx context.Context, id opi.LRPIdentifier, index int) error
}

// Names under which the router keeps path parameters. In paths of one segment the
// first is "<guid>-<version>", in longer ones the guid alone.
const (
	guidParameter    = "process_guid"
	versionParameter = "version_guid"
	indexParameter   = "instance"
)

// DefaultPatience bounds the back end: Cloud Controller waits 60 s for an answer (contract
// 0.3) and learns nothing from one that comes later.
const DefaultPatience = 50 * time.Second

// Options are what the API works with. All but Patience are required.
type Options struct {
	LRPs   LRPs
	Builds Builds
	Tasks  Tasks
	// Refusals is the memory that all doors share.
	Refusals *opi.Refusals
	Logger   lager.Logger
	// Patience bounds how long a request may take; DefaultPatience when 0.
	Patience time.Duration
}

// NewHandler returns the API over its back ends. It sets each request's Pattern to the route that it
// took, as net/http's own router does, for logs and metrics.
func NewHandler(options Options) http.Handler {
	logger, patience := options.Logger.Session("api"), cmp.Or(options.Patience, DefaultPatience)
	apps := &appsHandler{lrps: options.LRPs, logger: logger, refusals: options.Refusals}
	stage := &stageHandler{builds: options.Builds, logger: logger}
	task := &taskHandler{tasks: options.Tasks, logger: logger}
	router := httprouter.New()
	handle := func(method, pattern string, handler httprouter.Handle) {
		router.Handle(method, pattern, func(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
			r.Pattern = pattern
			ctx, cancel := context.WithTimeout(r.Context(), patience)
			defer cancel()
			handler(w, r.WithContext(ctx), params)
		})
	}
	handle(http.MethodGet, "/apps", apps.list)
	handle(http.MethodPut, "/apps/:process_guid", apps.desire)
	handle(http.MethodPost, "/apps/:process_guid", apps.update)
	handle(http.MethodGet, "/apps/:process_guid/:version_guid", apps.get)
	handle(http.MethodGet, "/apps/:process_guid/:version_guid/instances", apps.instances)
	handle(http.MethodPut, "/apps/:process_guid/:version_guid/stop", apps.stop)
	handle(http.MethodPut, "/apps/:process_guid/:version_guid/stop/:instance", apps.stopInstance)
	handle(http.MethodPost, "/stage/:staging_guid", stage.stage)
	handle(http.MethodDelete, "/stage/:staging_guid", stage.cancel)
	handle(http.MethodPut, "/stage/:staging_guid/completed", stage.completed)
	handle(http.MethodGet, "/tasks", task.list)
	handle(http.MethodPost, "/tasks/:task_guid", task.desire)
	handle(http.MethodGet, "/tasks/:task_guid", task.get)
	handle(http.MethodDelete, "/tasks/:task_guid", task.cancel)

	router.RedirectTrailingSlash = false // Cloud Controller follows no redirects
	router.RedirectFixedPath = false
	router.NotFound = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		respondError(w, http.StatusNotFound, "there is no "+r.URL.Path+" here")
	})
	router.MethodNotAllowed = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		respondError(w, http.StatusMethodNotAllowed, r.Method+" is not possible on "+r.URL.Path)
	})
	return router
}
