package route

import (
	"bytes"
	"encoding/json"
	"slices"
)

// The subjects to which endpoints are published (contract: "Messages").
const (
	registerSubject            = "router.register"
	unregisterSubject          = "router.unregister"
	discoveryRegisterSubject   = "service-discovery.register"
	discoveryUnregisterSubject = "service-discovery.unregister"
)

// Audience is who a message is for.
type Audience uint8

const (
	// Router messages are for gorouter.
	Router Audience = iota
	// ServiceDiscovery messages are for the DNS of internal routes; port 0.
	ServiceDiscovery
)

func (a Audience) registerSubject() string {
	if a == ServiceDiscovery {
		return discoveryRegisterSubject
	}
	return registerSubject
}

func (a Audience) unregisterSubject() string {
	if a == ServiceDiscovery {
		return discoveryUnregisterSubject
	}
	return unregisterSubject
}

// Message is one endpoint with all URIs that share its attributes, marshalled
// once. It does not change after it was made.
type Message struct {
	Audience Audience
	// Instance is the guid of the instance.
	Instance string
	// Host is the instance's address.
	Host string
	// Port is the one that the router dials: the TLS port where there is one. The
	// router tells endpoints apart by host and this port.
	Port uint16
	// Segment is the isolation segment whose routers serve the URIs; "" for the
	// shared one.
	Segment string
	// URIs are in lower case, sorted, each once.
	URIs []string
	// Payload is the register message.
	Payload []byte
}

func (m *Message) equal(other *Message) bool {
	return m.Audience == other.Audience && bytes.Equal(m.Payload, other.Payload)
}

func (m *Message) has(audience Audience, port uint16, uri string) bool {
	if m.Audience != audience || m.Port != port {
		return false
	}
	_, found := slices.BinarySearch(m.URIs, uri)
	return found
}

// Triple is what a router's table is keyed by: an endpoint under one URI.
type Triple struct {
	Audience Audience
	Host     string
	Port     uint16
	URI      string
}

// payload is the JSON form that gorouter decodes (contract: "Register payload").
// Fields are marshalled in this order and map keys sorted, so equal endpoints
// have equal bytes.
type payload struct {
	Host             string            `json:"host"`
	Port             uint16            `json:"port"`
	TLSPort          uint16            `json:"tls_port,omitempty"`
	SAN              string            `json:"server_cert_domain_san,omitempty"`
	URIs             []string          `json:"uris"`
	App              string            `json:"app,omitempty"`
	InstanceID       string            `json:"private_instance_id,omitempty"`
	InstanceIndex    string            `json:"private_instance_index,omitempty"`
	IsolationSegment string            `json:"isolation_segment,omitempty"`
	AvailabilityZone string            `json:"availability_zone,omitempty"`
	Protocol         string            `json:"protocol,omitempty"`
	RouteServiceURL  string            `json:"route_service_url,omitempty"`
	UpdatedAt        int64             `json:"endpoint_updated_at_ns,omitempty"`
	Tags             map[string]string `json:"tags,omitempty"`
	Options          map[string]string `json:"options,omitempty"`
	Origin           *origin           `json:"irene,omitempty"`
}

// origin says in an unregister who knows it and how much it knows.
// Routers skip fields that they don't know.
type origin struct {
	Emitter  string   `json:"emitter"`
	Revision Revision `json:"revision,omitzero"`
}

func (p payload) dialled() uint16 {
	if p.TLSPort != 0 {
		return p.TLSPort
	}
	return p.Port
}

// marshal can't fail: payload holds nothing but strings, numbers and maps of
// strings.
func (p payload) marshal() []byte {
	data, err := json.Marshal(p)
	if err != nil {
		panic("route: " + err.Error())
	}
	return data
}

// withURIs is the message's payload with fewer URIs.
func (m *Message) withURIs(uris []string) []byte {
	p := m.decode()
	p.URIs = uris
	return p.marshal()
}

func (m *Message) decode() payload {
	var p payload
	if err := json.Unmarshal(m.Payload, &p); err != nil {
		panic("route: own message: " + err.Error())
	}
	return p
}

// Unregistration takes an endpoint away from some URIs.
type Unregistration struct {
	Audience Audience
	Host     string
	// Port is the one that the router dialled, as in Message.
	Port uint16
	URIs []string
	// Revision is that of the state in which the endpoint is not there any more.
	Revision Revision

	payload payload
}

// unregistration keeps of the message what routers look at: they match by
// address, and a router serves only its own isolation segments.
func (m *Message) unregistration(uris []string, revision Revision) *Unregistration {
	p := m.decode()
	return &Unregistration{
		Audience: m.Audience, Host: m.Host, Port: m.Port, URIs: uris, Revision: revision,
		payload: payload{
			Host: p.Host, Port: p.Port, TLSPort: p.TLSPort, SAN: p.SAN, App: p.App,
			InstanceID: p.InstanceID, InstanceIndex: p.InstanceIndex, IsolationSegment: p.IsolationSegment,
		},
	}
}

// marshal writes the unregister message in the name of an emitter.
func (u *Unregistration) marshal(emitter string) []byte {
	p := u.payload
	p.URIs = u.URIs
	p.Origin = &origin{Emitter: emitter, Revision: u.Revision}
	return p.marshal()
}

func (u *Unregistration) triple(uri string) Triple {
	return Triple{Audience: u.Audience, Host: u.Host, Port: u.Port, URI: uri}
}

func (u *Unregistration) removal(uri string) removal {
	return removal{u.triple(uri), u.payload.IsolationSegment}
}
