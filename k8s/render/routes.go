package render

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// httpRoute is one element of the annotation of HTTP routes: the predecessor's
// form, and what a route may have beyond it. It has opi.HTTPRoute's fields.
type httpRoute struct {
	Hostname         string            `json:"hostname"`
	Port             int32             `json:"port"`
	Protocol         string            `json:"protocol,omitempty"`
	RouteServiceURL  string            `json:"route_service_url,omitempty"`
	IsolationSegment string            `json:"isolation_segment,omitempty"`
	Options          map[string]string `json:"options,omitempty"`
}

// internalRoute is one element of the annotation of internal routes.
type internalRoute struct {
	Hostname string `json:"hostname"`
}

// DecodeRoutes returns the routes in the texts of the annotations [keys.Routes] and
// [keys.InternalRoutes], as they were desired. Empty text means none.
//
// What is not JSON of the right form is an error that names the annotation. All other routes,
// of that annotation and of the other one, are returned all the same.
func DecodeRoutes(httpText, internalText string) (opi.Routes, error) {
	http, httpErr := decodeRoutes[httpRoute](keys.Routes, httpText)
	internal, internalErr := decodeRoutes[internalRoute](keys.InternalRoutes, internalText)
	var routes opi.Routes
	for _, route := range http {
		routes.HTTP = append(routes.HTTP, opi.HTTPRoute(route))
	}
	for _, route := range internal {
		routes.Internal = append(routes.Internal, opi.InternalRoute(route))
	}
	return routes, errors.Join(httpErr, internalErr)
}

// decodeRoutes reads an annotation's text, each route by itself; empty text means no
// routes.
func decodeRoutes[R any](annotation, text string) ([]R, error) {
	if text == "" {
		return nil, nil
	}
	var elements []json.RawMessage
	if err := json.Unmarshal([]byte(text), &elements); err != nil {
		return nil, fmt.Errorf("decode annotation %s: %w", annotation, err)
	}
	var routes []R
	var errs []error
	for i, element := range elements {
		var route R
		if err := json.Unmarshal(element, &route); err != nil {
			errs = append(errs, fmt.Errorf("decode annotation %s: element %d: %w", annotation, i, err))
			continue
		}
		routes = append(routes, route)
	}
	return routes, errors.Join(errs...)
}

// EncodeHTTPRoutes returns the annotation's text, "[]" for no routes.
func EncodeHTTPRoutes(routes []opi.HTTPRoute) (string, error) {
	stored := make([]httpRoute, 0, len(routes))
	for _, route := range routes {
		stored = append(stored, httpRoute(route))
	}
	return encodeRoutes(stored)
}

// EncodeInternalRoutes returns the annotation's text, empty for no routes.
func EncodeInternalRoutes(routes []opi.InternalRoute) (string, error) {
	if len(routes) == 0 {
		return "", nil
	}
	stored := make([]internalRoute, 0, len(routes))
	for _, route := range routes {
		stored = append(stored, internalRoute(route))
	}
	return encodeRoutes(stored)
}

func encodeRoutes[R any](routes []R) (string, error) {
	text, err := json.Marshal(routes)
	if err != nil {
		return "", fmt.Errorf("encode routes: %w", err)
	}
	return string(text), nil
}
