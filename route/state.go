package route

import (
	"time"

	"github.com/irene-cf/irene/opi"
)

// State is an LRP with its instances at one moment. A state without instances or
// without routes has no endpoints; the state of a deleted LRP has neither.
type State struct {
	LRP LRP
	// Instances are the LRP's instances, routable or not, in any order.
	Instances []Instance
	// Revision states how recent the data was when the state was read. A
	// replica accepts another's unregister only if its own revision does not cover the
	// other's. With the zero value every replica trusts its own state.
	Revision Revision
}

// LRP holds the routes of an LRP, and what identifies it.
type LRP struct {
	ID           opi.LRPIdentifier
	App          opi.Owner
	Space        opi.Owner
	Organization opi.Owner
	ProcessType  string
	// HTTP are the routes through gorouter. Malformed ones are left out, because a
	// router drops the whole message that contains one.
	HTTP []opi.HTTPRoute
	// Internal are names that service discovery resolves to the instances' addresses,
	// as "<hostname>" and "<index>.<hostname>".
	Internal []opi.InternalRoute
}

// Instance is one instance of an LRP. The caller decides whether it is ready, also if
// its node is lost.
type Instance struct {
	GUID  string
	Index int
	// Address is the IP address that routers dial; empty if there is none yet.
	Address string
	// Ready reports whether it may receive requests.
	Ready bool
	// Terminating instances receive no new requests, ready or not.
	Terminating bool
	// Zone is the availability zone of its node; empty if unknown.
	Zone string
	// UpdatedAt is when it last became ready or unready. If two instances claim one
	// address, the later one has it: the other's record is outdated.
	UpdatedAt time.Time
	// TLSPorts maps the ports of routes to those on which a proxy of the instance
	// accepts TLS. A route to a port that is not listed is plain.
	TLSPorts map[int32]int32
	// SAN is the name in the proxy's certificate.
	SAN string
}

func (i Instance) routable() bool { return i.Ready && !i.Terminating && i.Address != "" }
