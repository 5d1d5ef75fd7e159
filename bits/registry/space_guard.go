package registry

import (
	"errors"
	"net/http"

	"code.cloudfoundry.org/lager/v3"
	v2 "github.com/distribution/distribution/v3/registry/api/v2"

	"github.com/irene-cf/irene/bits/registry/store"
)

// guardSpace refuses what would fill the disk, and turns the library's answer into
// a clear one when the disk got full on the way.
func (r *Registry) guardSpace(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		to := destinationOf(request)
		if err := r.roomFor(to.route, request); errors.Is(err, store.ErrNoRoom) {
			refuseFull(w, err)
			return
		} else if err != nil {
			r.logger.Error("measure-free-space", err)
			refuse(w, http.StatusServiceUnavailable, "UNAVAILABLE", "the registry's directory can't be reached")
			return
		}
		ctx, full := store.WatchFull(request.Context())
		answer := &fullAnswer{ResponseWriter: w, full: full, room: r.store.Room}
		next.ServeHTTP(answer, request.WithContext(ctx))
		failed := answer.failed || ctx.Err() != nil
		if to.route == v2.RouteNameBlobUploadChunk && (full() || failed && r.store.Tight()) {
			// A client that got an error will begin anew, if at all; one that went away
			// could go on, which the others can't wait for now.
			if err := r.store.DropUpload(to.values["name"], to.values["uuid"]); err != nil {
				r.logger.Error("drop-upload", err, lager.Data{"repository": to.values["name"]})
			}
		}
	})
}

// roomFor is nil if there is room for what the request writes.
func (r *Registry) roomFor(route string, request *http.Request) error {
	switch request.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
	default:
		return nil
	}
	// An upload that begins as a mount is one only if the blob isn't there.
	query := request.URL.Query()
	mounts := route == v2.RouteNameBlobUpload && query.Has("mount") && query.Has("from")
	if route == v2.RouteNameManifest || mounts {
		return r.store.RoomForLinks()
	}
	return r.store.Room()
}

func refuseFull(w http.ResponseWriter, reason error) {
	message := "the registry's disk is full"
	if reason != nil {
		message += " (" + reason.Error() + ")"
	}
	// A code of our own: those of the specification that come near make clients try
	// again at once, and fill the disk again.
	refuse(w, http.StatusInsufficientStorage, "INSUFFICIENT_STORAGE", message+"; pulls work, pushes do again when space has been freed")
}

// fullAnswer replaces an error of the library once the disk is known to be full.
type fullAnswer struct {
	http.ResponseWriter
	full func() bool
	room func() error
	// failed is set by an error, replaced by one that was not the library's.
	failed, replaced bool
}

// Unwrap is for http.ResponseController.
func (a *fullAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader lets everything but errors pass.
func (a *fullAnswer) WriteHeader(status int) {
	a.failed = status >= http.StatusBadRequest
	if !a.failed || !a.full() {
		a.ResponseWriter.WriteHeader(status)
		return
	}
	a.replaced = true
	refuseFull(a.ResponseWriter, a.room())
}

func (a *fullAnswer) Write(p []byte) (int, error) {
	if a.replaced {
		return len(p), nil
	}
	return a.ResponseWriter.Write(p)
}
