package route

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/irene-cf/irene/opi"
)

// maxURIs bounds the URIs of an endpoint, so that a consumer's message about it stays
// well below the megabyte that NATS accepts.
const maxURIs = 256

// attributes are what routes must have in common, besides the instance, to share an
// endpoint.
type attributes struct {
	port             int32
	protocol         string
	routeServiceURL  string
	isolationSegment string
	options          string
}

// routeGroup holds the URIs of an LRP's routes with the same attributes.
type routeGroup struct {
	attributes
	options map[string]json.RawMessage
	uris    []string
}

// groupRoutes groups routes by their attributes. It leaves out malformed routes, and
// all but the first route for a URI and a port, because a router can't have both.
func groupRoutes(routes []opi.HTTPRoute) []*routeGroup {
	type place struct {
		port int32
		uri  string
	}
	var groups []*routeGroup
	taken := map[place]bool{}
	for _, r := range routes {
		if (opi.Routes{HTTP: []opi.HTTPRoute{r}}).Validate() != nil {
			continue
		}
		uri := canonicalURI(r.Hostname)
		if taken[place{r.Port, uri}] {
			continue
		}
		taken[place{r.Port, uri}] = true
		key := attributes{port: r.Port, protocol: r.Protocol, routeServiceURL: r.RouteServiceURL,
			isolationSegment: r.IsolationSegment, options: optionsKey(r.Options)}
		if key.protocol == "" {
			key.protocol = "http1"
		}
		i := slices.IndexFunc(groups, func(g *routeGroup) bool { return g.attributes == key })
		if i < 0 {
			i = len(groups)
			groups = append(groups, &routeGroup{attributes: key, options: r.Options})
		}
		groups[i].uris = append(groups[i].uris, uri)
	}
	var bounded []*routeGroup
	for _, g := range groups {
		slices.Sort(g.uris)
		for uris := range slices.Chunk(g.uris, maxURIs) {
			bounded = append(bounded, &routeGroup{attributes: g.attributes, options: g.options, uris: uris})
		}
	}
	return bounded
}

// canonicalURI returns the form in which routers compare URIs.
func canonicalURI(uri string) string { return strings.TrimRight(strings.ToLower(uri), "/") }

func optionsKey(options map[string]json.RawMessage) string {
	var key strings.Builder
	for _, name := range slices.Sorted(maps.Keys(options)) {
		key.WriteString(strconv.Quote(name) + strconv.Quote(string(options[name])))
	}
	return key.String()
}

// internalHosts returns the host names of the well-formed internal routes, sorted and
// distinct.
func internalHosts(routes []opi.InternalRoute) []string {
	var hosts []string
	for _, r := range routes {
		if (opi.Routes{Internal: []opi.InternalRoute{r}}).Validate() == nil {
			hosts = append(hosts, strings.ToLower(r.Hostname))
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// claims returns the endpoints of each routable instance of a state.
func (s State) claims() []*claim {
	var result []*claim
	var groups []*routeGroup
	var internal []string
	for _, instance := range s.Instances {
		if !instance.routable() {
			continue
		}
		if result == nil {
			groups, internal = groupRoutes(s.LRP.HTTP), internalHosts(s.LRP.Internal)
		}
		c := &claim{lrp: s.LRP.ID, guid: instance.GUID, address: instance.Address, updatedAt: instance.UpdatedAt}
		common := s.LRP.endpointOf(instance)
		for _, g := range groups {
			if e := g.endpoint(common, instance, c.endpoints); e != nil {
				c.endpoints = append(c.endpoints, e)
			}
		}
		for uris := range slices.Chunk(discoveryURIs(internal, instance.Index), maxURIs) {
			e := common
			e.Kind, e.URIs = Internal, uris
			c.endpoints = append(c.endpoints, &e)
		}
		if len(c.endpoints) > 0 {
			result = append(result, c)
		}
	}
	return result
}

// endpoint returns nil if the endpoints before it serve all its URIs at the same
// address, as happens if two ports share a TLS port.
func (g *routeGroup) endpoint(common Endpoint, instance Instance, before []*Endpoint) *Endpoint {
	e := common
	e.Port = uint16(g.port)
	if tls := instance.TLSPorts[g.port]; tls > 0 && tls <= 65535 {
		e.TLSPort, e.SAN = uint16(tls), instance.SAN
	}
	e.URIs = g.uris
	taken := func(uri string) bool {
		return slices.ContainsFunc(before, func(other *Endpoint) bool { return other.serves(HTTP, e.DialledPort(), uri) })
	}
	if slices.ContainsFunc(g.uris, taken) {
		e.URIs = slices.DeleteFunc(slices.Clone(g.uris), taken)
	}
	if len(e.URIs) == 0 {
		return nil
	}
	e.Protocol, e.RouteServiceURL = g.protocol, g.routeServiceURL
	e.IsolationSegment, e.Options = g.isolationSegment, g.options
	return &e
}

// discoveryURIs returns the names of one instance: those that all instances share, and
// its own.
func discoveryURIs(hosts []string, index int) []string {
	uris := make([]string, 0, 2*len(hosts))
	for _, host := range hosts {
		uris = append(uris, host, strconv.Itoa(index)+"."+host)
	}
	slices.Sort(uris)
	return slices.Compact(uris)
}

// endpointOf returns what all endpoints of an instance have in common.
func (l LRP) endpointOf(instance Instance) Endpoint {
	return Endpoint{
		Process:  Process{GUID: l.ID.GUID, Type: l.ProcessType, App: l.App, Space: l.Space, Organization: l.Organization},
		Instance: instance.GUID, Index: instance.Index, Zone: instance.Zone, UpdatedAt: instance.UpdatedAt,
		Host: instance.Address,
	}
}
