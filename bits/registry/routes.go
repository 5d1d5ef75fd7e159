package registry

import (
	"context"
	"net/http"

	v2 "github.com/distribution/distribution/v3/registry/api/v2"
	"github.com/gorilla/mux"

	"github.com/irene-cf/irene/credential"
)

const (
	// unrouted is the route of requests that were refused before they were routed.
	unrouted = "unrouted"
	// noRoute is the route of requests that fit none.
	noRoute = "none"
)

// maxPathBytes bounds the path of a request. The longest that clients use have a
// repository of 255 bytes and a tag or digest of 135.
const maxPathBytes = 2 << 10

// destination is what a request is about in the library's own terms: the name of the
// route and the values in its path, name and uuid among them.
type destination struct {
	route  string
	values map[string]string
	// build is set by users.admit if the request comes from a build.
	build *credential.Build
}

type destinationKey struct{}

// withDestination adds a destination to the request, which route fills in.
func withDestination(request *http.Request) (*http.Request, *destination) {
	to := &destination{route: unrouted}
	return request.WithContext(context.WithValue(request.Context(), destinationKey{}, to)), to
}

// destinationOf returns the destination that withDestination has added.
func destinationOf(request *http.Request) *destination {
	return request.Context().Value(destinationKey{}).(*destination)
}

// route finds out what a request is about. The library's router tries a list of regular
// expressions on the path, so this comes after the request's user is known, and long
// paths are refused.
func route(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if len(request.URL.Path) > maxPathBytes || len(request.URL.RawPath) > maxPathBytes {
			refuse(w, http.StatusRequestURITooLong, "NAME_INVALID", "the path is longer than any that names something here")
			return
		}
		to := destinationOf(request)
		var match mux.RouteMatch
		if v2.Router().Match(request, &match) && match.Route != nil {
			to.route, to.values = match.Route.GetName(), match.Vars
		} else {
			to.route = noRoute
		}
		next.ServeHTTP(w, request)
	})
}
