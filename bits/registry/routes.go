package registry

import (
	"net/http"

	v2 "github.com/distribution/distribution/v3/registry/api/v2"
	"github.com/gorilla/mux"
)

// routeOf says what a request is about in the library's own terms: the name of the
// route ("none" if it fits none) and the values in its path, name and uuid among
// them.
func routeOf(request *http.Request) (route string, values map[string]string) {
	var match mux.RouteMatch
	if !v2.Router().Match(request, &match) || match.Route == nil {
		return "none", nil
	}
	return match.Route.GetName(), match.Vars
}
