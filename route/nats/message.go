package nats

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/irene-cf/irene/route"
)

// The subjects of registrations (contract: "Messages").
const (
	registerSubject            = "router.register"
	unregisterSubject          = "router.unregister"
	discoveryRegisterSubject   = "service-discovery.register"
	discoveryUnregisterSubject = "service-discovery.unregister"
)

func registerSubjectOf(kind route.Kind) string {
	if kind == route.Internal {
		return discoveryRegisterSubject
	}
	return registerSubject
}

func unregisterSubjectOf(kind route.Kind) string {
	if kind == route.Internal {
		return discoveryUnregisterSubject
	}
	return unregisterSubject
}

// component is the tag by which routers and dashboards recognize endpoints of app
// instances, whichever program registers them.
const component = "route-emitter"

// payload is the JSON form that gorouter decodes (contract: "Register payload").
type payload struct {
	Host             string                     `json:"host"`
	Port             uint16                     `json:"port"`
	TLSPort          uint16                     `json:"tls_port,omitempty"`
	SAN              string                     `json:"server_cert_domain_san,omitempty"`
	URIs             []string                   `json:"uris"`
	App              string                     `json:"app,omitempty"`
	InstanceID       string                     `json:"private_instance_id,omitempty"`
	InstanceIndex    string                     `json:"private_instance_index,omitempty"`
	IsolationSegment string                     `json:"isolation_segment,omitempty"`
	AvailabilityZone string                     `json:"availability_zone,omitempty"`
	Protocol         string                     `json:"protocol,omitempty"`
	RouteServiceURL  string                     `json:"route_service_url,omitempty"`
	UpdatedAt        int64                      `json:"endpoint_updated_at_ns,omitempty"`
	Tags             *tags                      `json:"tags,omitempty"`
	Options          map[string]json.RawMessage `json:"options,omitempty"`
	Origin           *origin                    `json:"irene,omitempty"`
}

// tags are copied into the router's access metrics. Their order is the alphabet's.
type tags struct {
	AppID             string `json:"app_id"`
	AppName           string `json:"app_name"`
	Component         string `json:"component"`
	InstanceIndex     string `json:"instance_id"`
	OrganizationID    string `json:"organization_id"`
	OrganizationName  string `json:"organization_name"`
	ProcessID         string `json:"process_id"`
	ProcessInstanceID string `json:"process_instance_id"`
	ProcessType       string `json:"process_type"`
	SourceID          string `json:"source_id"`
	SpaceID           string `json:"space_id"`
	SpaceName         string `json:"space_name"`
}

// origin names, in an unregister, the replica that sent it and the revision behind it.
// Routers skip unknown fields.
type origin struct {
	Emitter  string   `json:"emitter"`
	Revision revision `json:"revision,omitzero"`
}

// revision is the JSON form of a [route.Revision].
type revision struct {
	LRP       uint64 `json:"lrp,omitempty"`
	Instances uint64 `json:"instances,omitempty"`
}

// marshalRegister returns the message that registers an endpoint under some of its
// URIs. Messages are made for each publication and not kept, because they are larger
// than the endpoints.
func marshalRegister(e *route.Endpoint, uris []string) []byte {
	index := strconv.Itoa(e.Index)
	p := payload{
		Host: e.Host, Port: e.Port, TLSPort: e.TLSPort, SAN: e.SAN, URIs: uris,
		App: e.Process.App.GUID, InstanceID: e.Instance, InstanceIndex: index,
		IsolationSegment: e.IsolationSegment, AvailabilityZone: e.Zone,
		Protocol: e.Protocol, RouteServiceURL: e.RouteServiceURL, Options: e.Options,
		Tags: &tags{
			AppID: e.Process.App.GUID, AppName: e.Process.App.Name, Component: component, InstanceIndex: index,
			OrganizationID: e.Process.Organization.GUID, OrganizationName: e.Process.Organization.Name,
			ProcessID: e.Process.GUID, ProcessInstanceID: e.Instance, ProcessType: e.Process.Type,
			SourceID: e.Process.App.GUID, SpaceID: e.Process.Space.GUID, SpaceName: e.Process.Space.Name,
		},
	}
	if !e.UpdatedAt.IsZero() {
		p.UpdatedAt = e.UpdatedAt.UnixNano()
	}
	return marshal(p)
}

// marshal panics on errors, which values of strings and numbers do not have.
func marshal(message any) []byte {
	data, err := json.Marshal(message)
	if err != nil {
		panic("route/nats: " + err.Error())
	}
	return data
}

// unregistration takes an endpoint away from some URIs. It holds what routers look at:
// they match by address, and a router serves only its own isolation segments.
type unregistration struct {
	kind          route.Kind
	host          string
	port, tlsPort uint16
	san           string
	app           string
	instance      string
	index         string
	segment       string
	uris          []string
	// revision is that of the state in which the endpoint does not serve the URIs.
	revision route.Revision
}

func newUnregistration(r route.Removal) *unregistration {
	e := r.Endpoint
	return &unregistration{
		kind: e.Kind, host: e.Host, port: e.Port, tlsPort: e.TLSPort, san: e.SAN,
		app: e.Process.App.GUID, instance: e.Instance, index: strconv.Itoa(e.Index), segment: e.IsolationSegment,
		uris: r.URIs, revision: r.Revision,
	}
}

// marshal returns the unregister message of an emitter.
func (u *unregistration) marshal(emitter string) []byte {
	return marshal(payload{
		Host: u.host, Port: u.port, TLSPort: u.tlsPort, SAN: u.san, URIs: u.uris,
		App: u.app, InstanceID: u.instance, InstanceIndex: u.index, IsolationSegment: u.segment,
		Origin: &origin{Emitter: emitter, Revision: revision(u.revision)},
	})
}

// parseUnregister reads another replica's unregister. It returns nil for messages of
// this replica and of other programs.
func parseUnregister(kind route.Kind, data []byte, self string) (*unregistration, error) {
	var p payload
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("%s: %w", unregisterSubjectOf(kind), err)
	}
	if p.Origin == nil || p.Origin.Emitter == self {
		return nil, nil
	}
	return &unregistration{
		kind: kind, host: p.Host, port: p.Port, tlsPort: p.TLSPort, san: p.SAN,
		app: p.App, instance: p.InstanceID, index: p.InstanceIndex, segment: p.IsolationSegment,
		uris: p.URIs, revision: route.Revision(p.Origin.Revision),
	}, nil
}

func (u *unregistration) key(uri string) route.Key {
	port := u.port
	if u.tlsPort != 0 {
		port = u.tlsPort
	}
	return route.Key{Kind: u.kind, Host: u.host, Port: port, URI: uri}
}

func (u *unregistration) removal(uri string) removal {
	return removal{u.key(uri), u.segment}
}
