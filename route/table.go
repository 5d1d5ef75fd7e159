package route

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/irene-cf/irene/opi"
)

// Table is the endpoints that a set of LRPs should have. Each triple is in one
// message at the most: an address belongs to one instance, and an instance has a
// URI once per port. A Table is not safe for concurrent use.
type Table struct {
	lrps map[opi.LRPIdentifier]*knownLRP
	// addresses has for each address the instances that claim it. The first one
	// has it.
	addresses map[string][]*claim
	messages  int
}

type knownLRP struct {
	revision Revision
	claims   []*claim
}

// claim is a routable instance's wish to be reached at its address.
type claim struct {
	lrp       opi.LRPIdentifier
	guid      string
	address   string
	updatedAt time.Time
	messages  []*Message
}

// Changes lead from one table to another, in the order in which to publish them:
// what comes first, then what goes, so that a URI is not without endpoints
// between.
type Changes struct {
	// Register are messages that are new or differ from what was registered.
	Register []*Message
	// Unregister are the triples that no message of the new table registers, or only
	// in another isolation segment. The latter are in messages of their own.
	Unregister []*Unregistration
	// Dropped are the messages of the old table that the new one does not have.
	Dropped []*Message
}

// NewTable is the table of the given states.
func NewTable(states ...State) *Table {
	t := &Table{lrps: map[opi.LRPIdentifier]*knownLRP{}, addresses: map[string][]*claim{}}
	t.Apply(states...)
	return t
}

// Len is the number of messages.
func (t *Table) Len() int { return t.messages }

// Messages are all messages, in no particular order.
func (t *Table) Messages() iter.Seq[*Message] {
	return func(yield func(*Message) bool) {
		for address := range t.addresses {
			for _, m := range t.at(address) {
				if !yield(m) {
					return
				}
			}
		}
	}
}

// Apply replaces what the table knows of the states' LRPs and returns what has
// changed. Of several states of one LRP the last one counts.
func (t *Table) Apply(states ...State) Changes {
	before := map[string][]*Message{}
	revisions := map[string]Revision{}
	touch := func(c *claim, revision Revision) {
		if _, done := before[c.address]; !done {
			before[c.address] = t.at(c.address)
		}
		revisions[c.address] = revisions[c.address].and(revision)
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
		t.messages += len(t.at(address)) - len(before[address])
	}
	return changes
}

// Replace makes the table that of the given states alone: LRPs that are not
// among them are gone.
func (t *Table) Replace(states ...State) Changes {
	present := make(map[opi.LRPIdentifier]bool, len(states))
	var newest Revision
	for _, state := range states {
		present[state.LRP.ID] = true
		newest = newest.and(state.Revision)
	}
	all := slices.Clone(states)
	for id := range t.lrps {
		if !present[id] {
			all = append(all, State{LRP: LRP{ID: id}, Revision: newest})
		}
	}
	return t.Apply(all...)
}

// Diff is what leads from one table to another. Neither is changed.
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
		// compare puts old messages where equal new ones are; to must stay as it is.
		changes.compare(from.at(address), slices.Clone(to.at(address)), to.revisionAt(address))
	}
	return changes
}

// compare adds what differs between the messages of one address. In now, a
// message that equals one of before gives way to that one, so that a message is
// the same pointer for as long as it says the same.
func (c *Changes) compare(before, now []*Message, revision Revision) {
	for i, m := range now {
		if old := slices.IndexFunc(before, m.equal); old >= 0 {
			now[i] = before[old]
		} else {
			c.Register = append(c.Register, m)
		}
	}
	for _, old := range before {
		if slices.Contains(now, old) {
			continue
		}
		c.Dropped = append(c.Dropped, old)
		var gone, moved []string
		for _, uri := range old.URIs {
			switch m := find(now, old.Audience, old.Port, uri); {
			case m == nil:
				gone = append(gone, uri)
			case m.Segment != old.Segment:
				moved = append(moved, uri)
			}
		}
		for _, uris := range [][]string{gone, moved} {
			if len(uris) > 0 {
				c.Unregister = append(c.Unregister, old.unregistration(uris, revision))
			}
		}
	}
}

func find(messages []*Message, audience Audience, port uint16, uri string) *Message {
	for _, m := range messages {
		if m.has(audience, port, uri) {
			return m
		}
	}
	return nil
}

// registration is the message that registers a triple, nil where none does, and
// how much is known of it.
func (t *Table) registration(triple Triple) (*Message, Revision) {
	m := find(t.at(triple.Host), triple.Audience, triple.Port, triple.URI)
	if m == nil {
		return nil, Revision{}
	}
	return m, t.revisionAt(triple.Host)
}

// at is the messages of the instance that has an address.
func (t *Table) at(address string) []*Message {
	if claims := t.addresses[address]; len(claims) > 0 {
		return claims[0].messages
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
