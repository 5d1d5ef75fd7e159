package route

import (
	"time"

	"github.com/irene-cf/irene/opi"
)

// State is all that the table needs to know of one LRP at one moment. A state
// without instances or without routes has no endpoints; it is also how an LRP
// that is gone is told.
type State struct {
	LRP LRP
	// Instances are the LRP's instances, routable or not, in any order.
	Instances []Instance
	// Revision is how much was known of the LRP when the state was read. A replica
	// believes another's unregister only when its own revision does not cover that
	// one's. Zero is unknown; then every replica trusts itself.
	Revision Revision
}

// LRP is what the router is told of an LRP apart from its instances.
type LRP struct {
	ID           opi.LRPIdentifier
	App          opi.Owner
	Space        opi.Owner
	Organization opi.Owner
	ProcessType  string
	// HTTP are the routes by which gorouter reaches the instances. A route that
	// opi would refuse is left out: it would cost its neighbours in the message.
	HTTP []opi.HTTPRoute
	// Internal are names that service discovery answers with the instances'
	// addresses, as "<hostname>" and "<index>.<hostname>".
	Internal []opi.InternalRoute
}

// Instance is one instance of an LRP. Whether it is ready, also when its node is
// lost, is the caller's decision.
type Instance struct {
	GUID  string
	Index int
	// Address is the IP that routers dial; empty while there is none.
	Address string
	// Ready is whether it may get requests.
	Ready bool
	// Terminating instances get no new requests, ready or not.
	Terminating bool
	// Zone is the availability zone of its node; empty where unknown.
	Zone string
	// UpdatedAt is when it last changed between ready and not ready. Where two
	// instances claim one address, the later one has it: the other's record is old.
	UpdatedAt time.Time
	// TLSPorts maps the ports of routes to those on which a proxy of the instance
	// accepts TLS. A route to a port that is not listed is plain.
	TLSPorts map[int32]int32
	// SAN is the name that the proxy's certificate carries.
	SAN string
}

func (i Instance) routable() bool { return i.Ready && !i.Terminating && i.Address != "" }
