package route

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/irene-cf/irene/opi"
)

// component is the tag that routers and dashboards know endpoints of app
// instances by, whichever program registers them.
const component = "route-emitter"

// maxURIs keeps a message well below the megabyte that NATS accepts, however long
// the URIs are.
const maxURIs = 256

// attributes are what routes must share, besides the endpoint, to share a
// message.
type attributes struct {
	port             int32
	protocol         string
	routeServiceURL  string
	isolationSegment string
	options          string
}

// routeGroup is the URIs of an LRP that have their attributes in common.
type routeGroup struct {
	attributes
	options map[string]string
	uris    []string
}

// groupRoutes leaves out malformed routes and of routes to one port under one
// URI all but the first: a router can't have both.
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

// canonicalURI is the form in which routers compare URIs.
func canonicalURI(uri string) string { return strings.TrimRight(strings.ToLower(uri), "/") }

func optionsKey(options map[string]string) string {
	var key strings.Builder
	for _, name := range slices.Sorted(maps.Keys(options)) {
		key.WriteString(strconv.Quote(name) + strconv.Quote(options[name]))
	}
	return key.String()
}

// internalHosts are the well-formed internal routes' names, sorted, each once.
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

// claims are the messages of each routable instance of a state.
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
		common := s.LRP.payloadFor(instance)
		for _, g := range groups {
			if m := g.message(common, instance, c.messages); m != nil {
				c.messages = append(c.messages, m)
			}
		}
		for uris := range slices.Chunk(discoveryURIs(internal, instance.Index), maxURIs) {
			p := common
			p.URIs = uris
			c.messages = append(c.messages, &Message{Audience: ServiceDiscovery, Instance: p.InstanceID, Host: p.Host, URIs: uris, Payload: p.marshal()})
		}
		if len(c.messages) > 0 {
			result = append(result, c)
		}
	}
	return result
}

// message returns nil when the messages before it have all its URIs on the same
// endpoint, as happens where two ports share a TLS port.
func (g *routeGroup) message(common payload, instance Instance, before []*Message) *Message {
	p := common
	p.Port = uint16(g.port)
	if tls := instance.TLSPorts[g.port]; tls > 0 && tls <= 65535 {
		p.TLSPort, p.SAN = uint16(tls), instance.SAN
	}
	p.URIs = g.uris
	taken := func(uri string) bool {
		return slices.ContainsFunc(before, func(m *Message) bool { return m.has(Router, p.dialled(), uri) })
	}
	if slices.ContainsFunc(g.uris, taken) {
		p.URIs = slices.DeleteFunc(slices.Clone(g.uris), taken)
	}
	if len(p.URIs) == 0 {
		return nil
	}
	p.Protocol, p.RouteServiceURL = g.protocol, g.routeServiceURL
	p.IsolationSegment, p.Options = g.isolationSegment, g.options
	return &Message{Audience: Router, Instance: p.InstanceID, Host: p.Host, Port: p.dialled(), Segment: p.IsolationSegment, URIs: p.URIs, Payload: p.marshal()}
}

// discoveryURIs are the names of one instance: all instances' and its own.
func discoveryURIs(hosts []string, index int) []string {
	uris := make([]string, 0, 2*len(hosts))
	for _, host := range hosts {
		uris = append(uris, host, strconv.Itoa(index)+"."+host)
	}
	slices.Sort(uris)
	return slices.Compact(uris)
}

// payloadFor is what all messages of an instance have in common.
func (l LRP) payloadFor(instance Instance) payload {
	index := strconv.Itoa(instance.Index)
	p := payload{
		Host: instance.Address, App: l.App.GUID, InstanceID: instance.GUID, InstanceIndex: index,
		AvailabilityZone: instance.Zone,
		Tags: map[string]string{
			"source_id": l.App.GUID, "app_id": l.App.GUID, "app_name": l.App.Name,
			"process_id": l.ID.GUID, "process_type": l.ProcessType,
			"process_instance_id": instance.GUID, "instance_id": index,
			"space_id": l.Space.GUID, "space_name": l.Space.Name,
			"organization_id": l.Organization.GUID, "organization_name": l.Organization.Name,
			"component": component,
		},
	}
	if !instance.UpdatedAt.IsZero() {
		p.UpdatedAt = instance.UpdatedAt.UnixNano()
	}
	return p
}
