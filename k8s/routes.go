package k8s

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/view"
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

// RoutesOf returns the routes that routers should serve for an LRP: those on its
// StatefulSet, HTTP routes that name no isolation segment with the LRP's own. They
// are as they were stored: one that opi would refuse is not left out.
//
// What is not JSON of the right form, which only people with kubectl can bring
// about, is an error that names the annotation. All other routes, of that annotation
// and of the other kind, are returned all the same.
func RoutesOf(lrp view.LRP) (opi.Routes, error) {
	routes, err := storedRoutes(lrp)
	for i := range routes.HTTP {
		if routes.HTTP[i].IsolationSegment == "" {
			routes.HTTP[i].IsolationSegment = lrp.IsolationSegment
		}
	}
	return routes, err
}

// storedRoutes are the routes as they were desired, of the kinds that can be read.
func storedRoutes(lrp view.LRP) (opi.Routes, error) {
	http, httpErr := decodeRoutes[httpRoute](keys.Routes, lrp.Routes)
	internal, internalErr := decodeRoutes[internalRoute](keys.InternalRoutes, lrp.InternalRoutes)
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

// encodeHTTPRoutes returns the annotation's text, "[]" for no routes.
func encodeHTTPRoutes(routes []opi.HTTPRoute) (string, error) {
	stored := make([]httpRoute, 0, len(routes))
	for _, route := range routes {
		stored = append(stored, httpRoute(route))
	}
	return encodeRoutes(stored)
}

// encodeInternalRoutes returns the annotation's text, empty for no routes.
func encodeInternalRoutes(routes []opi.InternalRoute) (string, error) {
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
