package route

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/irene-cf/irene/opi"
)

// Kind distinguishes routes that different consumers serve.
type Kind uint8

const (
	// HTTP endpoints are for gorouter.
	HTTP Kind = iota
	// Internal endpoints are for service discovery: names for an instance's address,
	// without a port.
	Internal
)

// Endpoint is a port of an instance with the URIs that it serves. An instance has
// several endpoints where its routes differ in more than their URI. An Endpoint is
// immutable. Two endpoints of different tables may be equal; within a table an
// endpoint keeps its pointer until something about it changes.
type Endpoint struct {
	Kind    Kind
	Process Process
	// Instance is the instance's guid, Index its index.
	Instance string
	Index    int
	// Zone is the availability zone of the instance's node; empty if unknown.
	Zone string
	// UpdatedAt is when the instance last became ready or unready; zero if unknown.
	UpdatedAt time.Time
	// Host is the instance's address.
	Host string
	// Port is the container port; 0 for internal routes.
	Port uint16
	// TLSPort is where a proxy of the instance accepts TLS for Port, with a certificate
	// for SAN; 0 for a plain endpoint.
	TLSPort uint16
	SAN     string
	// URIs are in lower case, sorted and distinct; at least one.
	URIs []string
	// Protocol is http1 or http2; empty for internal routes.
	Protocol string
	// RouteServiceURL receives the requests first; empty for none.
	RouteServiceURL string
	// IsolationSegment names the routers that serve the URIs; empty for the shared
	// ones.
	IsolationSegment string
	// Options are the router's per-route settings.
	Options map[string]json.RawMessage
}

// Process identifies an LRP in access logs and metrics.
type Process struct {
	GUID, Type               string
	App, Space, Organization opi.Owner
}

// DialledPort returns the port that clients connect to: the TLS port if there is one.
func (e *Endpoint) DialledPort() uint16 {
	if e.TLSPort != 0 {
		return e.TLSPort
	}
	return e.Port
}

// Key returns the endpoint's key under one of its URIs.
func (e *Endpoint) Key(uri string) Key {
	return Key{Kind: e.Kind, Host: e.Host, Port: e.DialledPort(), URI: uri}
}

// Key identifies an endpoint under one URI, as routers do in their tables.
type Key struct {
	Kind Kind
	Host string
	// Port is the port that routers dial.
	Port uint16
	URI  string
}

func (e *Endpoint) equal(other *Endpoint) bool {
	return e.Kind == other.Kind && e.Process == other.Process &&
		e.Instance == other.Instance && e.Index == other.Index && e.Zone == other.Zone && e.UpdatedAt.Equal(other.UpdatedAt) &&
		e.Host == other.Host && e.Port == other.Port && e.TLSPort == other.TLSPort && e.SAN == other.SAN &&
		e.Protocol == other.Protocol && e.RouteServiceURL == other.RouteServiceURL && e.IsolationSegment == other.IsolationSegment &&
		slices.Equal(e.URIs, other.URIs) && maps.EqualFunc(e.Options, other.Options, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) })
}

func (e *Endpoint) serves(kind Kind, port uint16, uri string) bool {
	if e.Kind != kind || e.DialledPort() != port {
		return false
	}
	_, found := slices.BinarySearch(e.URIs, uri)
	return found
}
