package route

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/irene-cf/irene/opi"
)

// Table holds the endpoints of a set of LRPs. Each key belongs to at most one
// endpoint: an address belongs to one instance, and an instance serves a URI once per
// port. A Table is not safe for concurrent use.
type Table struct {
	lrps map[opi.LRPIdentifier]*knownLRP
	// addresses holds the instances that claim each address. The first one has it.
	addresses map[string][]*claim
	endpoints int
}

type knownLRP struct {
	revision Revision
	claims   []*claim
}

// claim holds the endpoints that a routable instance has if its address is its own.
type claim struct {
	lrp       opi.LRPIdentifier
	guid      string
	address   string
	updatedAt time.Time
	endpoints []*Endpoint
}

// Changes lead from one table to another. A consumer that publishes Register before
// Unregister never leaves a URI without endpoints in between.
type Changes struct {
	// Register holds the endpoints that are new or have changed.
	Register []*Endpoint
	// Unregister holds the keys that no endpoint of the new table has, or only one in
	// another isolation segment. The latter are in removals of their own.
	Unregister []Removal
	// Dropped holds the endpoints of the old table that are not in the new one:
	// removed, or replaced by one in Register.
	Dropped []*Endpoint
}

// Removal takes some URIs away from an endpoint.
type Removal struct {
	// Endpoint is the endpoint as it was before.
	Endpoint *Endpoint
	// URIs are the URIs that it serves no longer. They belong to the receiver.
	URIs []string
	// Revision is that of the state in which the endpoint does not serve them.
	Revision Revision
}

// NewTable returns the table of the given states.
func NewTable(states ...State) *Table {
	t := &Table{lrps: map[opi.LRPIdentifier]*knownLRP{}, addresses: map[string][]*claim{}}
	t.Apply(states...)
	return t
}

// Len returns the number of endpoints.
func (t *Table) Len() int { return t.endpoints }

// Endpoints yields all endpoints, in no particular order.
func (t *Table) Endpoints() iter.Seq[*Endpoint] {
	return func(yield func(*Endpoint) bool) {
		for address := range t.addresses {
			for _, e := range t.at(address) {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// Lookup returns the endpoint that has a key, and the revision of its LRP. The
// endpoint is nil if there is none.
func (t *Table) Lookup(key Key) (*Endpoint, Revision) {
	e := find(t.at(key.Host), key.Kind, key.Port, key.URI)
	if e == nil {
		return nil, Revision{}
	}
	return e, t.revisionAt(key.Host)
}

// Apply replaces the states of LRPs and returns what has changed. Of several states of
// one LRP the last one counts.
func (t *Table) Apply(states ...State) Changes {
	before := map[string][]*Endpoint{}
	revisions := map[string]Revision{}
	touch := func(c *claim, revision Revision) {
		if _, done := before[c.address]; !done {
			before[c.address] = t.at(c.address)
		}
		revisions[c.address] = revisions[c.address].Union(revision)
	}
	for _, state := range states {
		next := &knownLRP{revision: state.Revision, claims: state.claims()}
		for _, c := range next.claims {
			touch(c, state.Revision)
		}
		if old := t.lrps[state.LRP.ID]; old != nil {
			for _, c := range old.claims {
				touch(c, state.Revision)
				t.withdraw(c)
			}
		}
		for _, c := range next.claims {
			t.claim(c)
		}
		if len(next.claims) == 0 {
			delete(t.lrps, state.LRP.ID)
		} else {
			t.lrps[state.LRP.ID] = next
		}
	}
	var changes Changes
	for _, address := range slices.Sorted(maps.Keys(before)) {
		changes.compare(before[address], t.at(address), revisions[address])
		t.endpoints += len(t.at(address)) - len(before[address])
	}
	return changes
}

// Replace makes the table that of the given states alone: it removes LRPs that are not
// among them.
func (t *Table) Replace(states ...State) Changes {
	present := make(map[opi.LRPIdentifier]bool, len(states))
	var newest Revision
	for _, state := range states {
		present[state.LRP.ID] = true
		newest = newest.Union(state.Revision)
	}
	all := slices.Clone(states)
	for id := range t.lrps {
		if !present[id] {
			all = append(all, State{LRP: LRP{ID: id}, Revision: newest})
		}
	}
	return t.Apply(all...)
}

// Diff returns what leads from one table to another. Neither is changed.
func Diff(from, to *Table) Changes {
	addresses := map[string]bool{}
	for address := range from.addresses {
		addresses[address] = true
	}
	for address := range to.addresses {
		addresses[address] = true
	}
	var changes Changes
	for _, address := range slices.Sorted(maps.Keys(addresses)) {
		// compare writes to its second argument.
		changes.compare(from.at(address), slices.Clone(to.at(address)), to.revisionAt(address))
	}
	return changes
}

// compare adds what differs between the endpoints of one address. In now it replaces
// an endpoint that equals one of before by that one, so that an endpoint keeps its
// pointer until it changes.
func (c *Changes) compare(before, now []*Endpoint, revision Revision) {
	for i, e := range now {
		if old := slices.IndexFunc(before, e.equal); old >= 0 {
			now[i] = before[old]
		} else {
			c.Register = append(c.Register, e)
		}
	}
	for _, old := range before {
		if slices.Contains(now, old) {
			continue
		}
		c.Dropped = append(c.Dropped, old)
		var gone, moved []string
		for _, uri := range old.URIs {
			switch e := find(now, old.Kind, old.DialledPort(), uri); {
			case e == nil:
				gone = append(gone, uri)
			case e.IsolationSegment != old.IsolationSegment:
				moved = append(moved, uri)
			}
		}
		for _, uris := range [][]string{gone, moved} {
			if len(uris) > 0 {
				c.Unregister = append(c.Unregister, Removal{Endpoint: old, URIs: uris, Revision: revision})
			}
		}
	}
}

func find(endpoints []*Endpoint, kind Kind, port uint16, uri string) *Endpoint {
	for _, e := range endpoints {
		if e.serves(kind, port, uri) {
			return e
		}
	}
	return nil
}

// at returns the endpoints of the instance that has an address.
func (t *Table) at(address string) []*Endpoint {
	if claims := t.addresses[address]; len(claims) > 0 {
		return claims[0].endpoints
	}
	return nil
}

func (t *Table) revisionAt(address string) Revision {
	if claims := t.addresses[address]; len(claims) > 0 {
		return t.lrps[claims[0].lrp].revision
	}
	return Revision{}
}

func (t *Table) claim(c *claim) {
	claims := append(t.addresses[c.address], c)
	slices.SortStableFunc(claims, func(a, b *claim) int {
		return cmp.Or(b.updatedAt.Compare(a.updatedAt), cmp.Compare(a.guid, b.guid))
	})
	t.addresses[c.address] = claims
}

func (t *Table) withdraw(c *claim) {
	claims := slices.DeleteFunc(t.addresses[c.address], func(other *claim) bool { return other == c })
	if len(claims) == 0 {
		delete(t.addresses, c.address)
	} else {
		t.addresses[c.address] = claims
	}
}
