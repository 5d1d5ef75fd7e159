package opi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Routes are how clients reach an LRP, by kind.
type Routes struct {
	HTTP     []HTTPRoute     `json:"http,omitempty"`
	TCP      []TCPRoute      `json:"tcp,omitempty"`
	Internal []InternalRoute `json:"internal,omitempty"`
	// Other are routes of kinds that Irene does not serve, by kind. Their JSON is opaque:
	// stored and returned byte for byte.
	Other map[string]json.RawMessage `json:"other,omitempty"`
}

// HTTPRoute sends requests for a host, and perhaps a path, to a port.
type HTTPRoute struct {
	// Hostname is "host.domain", "*.domain" or either followed by a path.
	Hostname string `json:"hostname"`
	// Port is the instance's port.
	Port int32 `json:"port"`
	// Protocol is http1 (also when empty) or http2.
	Protocol string `json:"protocol,omitempty"`
	// RouteServiceURL receives requests first; https with a host.
	RouteServiceURL string `json:"routeServiceURL,omitempty"`
	// IsolationSegment names the routers that serve the route; empty for shared.
	IsolationSegment string `json:"isolationSegment,omitempty"`
	// Options are the router's per-route settings, such as loadbalancing: JSON values by
	// name, which the router interprets.
	Options map[string]json.RawMessage `json:"options,omitempty"`
}

// TCPRoute sends connections on a router group's port to an instance's port.
type TCPRoute struct {
	RouterGroupGUID string `json:"routerGroupGUID"`
	ExternalPort    int32  `json:"externalPort"`
	Port            int32  `json:"port"`
}

// InternalRoute is a name by which other apps find the instances' addresses.
type InternalRoute struct {
	Hostname string `json:"hostname"`
}

// routeHost allows what Cloud Controller allows in hosts and domains: letters,
// digits, '-' and '_' in labels, also at their ends, and a first label that is "*".
var routeHost = regexp.MustCompile(`^(\*\.)?[-A-Za-z0-9_]+(\.[-A-Za-z0-9_]+)*$`)

// Validate checks host names and ports of all routes: one bad route would make
// the router drop a whole message.
func (r Routes) Validate() error {
	var errs []error
	for i, route := range r.HTTP {
		if err := route.validate(); err != nil {
			errs = append(errs, Within(fmt.Sprintf("routes.http[%d]", i), err))
		}
	}
	for name, value := range r.Other {
		if !json.Valid(value) {
			errs = append(errs, Invalid("routes."+abbreviate(name), "is not JSON"))
		}
	}
	for i, route := range r.TCP {
		field := fmt.Sprintf("routes.tcp[%d]", i)
		errs = append(errs, validatePort(field+".port", route.Port), validatePort(field+".externalPort", route.ExternalPort))
	}
	for i, route := range r.Internal {
		field := fmt.Sprintf("routes.internal[%d].hostname", i)
		if !isHost(route.Hostname) || strings.HasPrefix(route.Hostname, "*") {
			errs = append(errs, Invalid(field, "%q is not a host name", abbreviate(route.Hostname)))
		}
	}
	return errors.Join(errs...)
}

func (r HTTPRoute) validate() error {
	var errs []error
	host, path, hasPath := strings.Cut(r.Hostname, "/")
	if !isHost(host) {
		errs = append(errs, Invalid("hostname", "%q does not begin with a host name", abbreviate(r.Hostname)))
	}
	if hasPath && (len(path) > 1024 || strings.ContainsFunc(path, isNotInPath)) {
		errs = append(errs, Invalid("hostname", "%q has a path with spaces, control characters or '?', or one longer than 1024 bytes", abbreviate(r.Hostname)))
	}
	errs = append(errs, validatePort("port", r.Port))
	switch r.Protocol {
	case "", "http1", "http2":
	default:
		errs = append(errs, Invalid("protocol", "%q is neither http1 nor http2", abbreviate(r.Protocol)))
	}
	for name, value := range r.Options {
		if !json.Valid(value) {
			errs = append(errs, Invalid("options."+abbreviate(name), "is not JSON"))
		}
	}
	if r.RouteServiceURL != "" && !isHTTPS(r.RouteServiceURL) {
		errs = append(errs, Invalid("routeServiceURL", "is not a URL that begins with https:// and a host name"))
	}
	return errors.Join(errs...)
}

// isHTTPS wants the scheme in lower case, as routers do.
func isHTTPS(text string) bool {
	parsed, err := url.Parse(text)
	return err == nil && strings.HasPrefix(text, "https://") && parsed.Host != ""
}

func isHost(host string) bool { return len(host) <= 253 && routeHost.MatchString(host) }

func isNotInPath(r rune) bool { return r <= ' ' || r == 0x7f || r == '?' }

const maxPort = 65535

func isPort(port int32) bool { return port >= 1 && port <= maxPort }

func validatePort(field string, port int32) error {
	if !isPort(port) {
		return Invalid(field, "must be between 1 and %d, is %d", maxPort, port)
	}
	return nil
}
