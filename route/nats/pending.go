package nats

import (
	"container/list"
	"slices"
	"time"

	"github.com/irene-cf/irene/route"
)

const (
	// unregisterEvery and unregisterTimes are how Diego repeats an unregister, for
	// routers that missed it.
	unregisterEvery = 30 * time.Second
	unregisterTimes = 20
)

// removal is what an unregister takes away from routers: a key in one isolation
// segment. A router ignores unregisters of segments that it does not serve.
type removal struct {
	route.Key
	segment string
}

// pending holds the unregisters that are still to be repeated, next one first.
// Every removal is in at most one of them.
type pending struct {
	order    *list.List // of *repeat
	removals map[removal]*list.Element
	// limit bounds the number of removals; the oldest are dropped first.
	limit   int
	dropped int
}

type repeat struct {
	unregistration *unregistration
	at             time.Time
	left           int
}

func newPending(limit int) *pending {
	return &pending{order: list.New(), removals: map[removal]*list.Element{}, limit: limit}
}

// len returns the number of removals.
func (p *pending) len() int { return len(p.removals) }

// add takes over an unregistration, to be sent at once and then as often as the
// contract asks.
func (p *pending) add(u *unregistration, now time.Time) *repeat {
	for _, uri := range u.uris {
		p.cancel(u.removal(uri))
	}
	for len(p.removals) > 0 && len(p.removals)+len(u.uris) > p.limit {
		oldest := p.order.Front()
		p.dropped += len(oldest.Value.(*repeat).unregistration.uris)
		p.drop(oldest)
	}
	r := &repeat{unregistration: u, at: now, left: unregisterTimes + 1}
	element := p.order.PushBack(r)
	for _, uri := range u.uris {
		p.removals[u.removal(uri)] = element
	}
	return r
}

// cancel removes one removal, because its key is registered again.
func (p *pending) cancel(r removal) {
	element, found := p.removals[r]
	if !found {
		return
	}
	delete(p.removals, r)
	u := element.Value.(*repeat).unregistration
	u.uris = slices.DeleteFunc(u.uris, func(uri string) bool { return uri == r.URI })
	if len(u.uris) == 0 {
		p.order.Remove(element)
	}
}

func (p *pending) drop(element *list.Element) {
	u := element.Value.(*repeat).unregistration
	for _, uri := range u.uris {
		delete(p.removals, u.removal(uri))
	}
	p.order.Remove(element)
}

// next returns the one that is due first, nil if there is none.
func (p *pending) next() *repeat {
	if element := p.order.Front(); element != nil {
		return element.Value.(*repeat)
	}
	return nil
}

// sent records that r was published.
func (p *pending) sent(r *repeat, now time.Time) {
	element := p.removals[r.unregistration.removal(r.unregistration.uris[0])]
	r.left--
	if r.left <= 0 {
		p.drop(element)
		return
	}
	r.at = now.Add(unregisterEvery)
	p.order.MoveToBack(element)
}

// again makes everything due now, with all its repeats: a router that has just come
// back may have missed any of them.
func (p *pending) again(now time.Time) {
	for element := p.order.Front(); element != nil; element = element.Next() {
		r := element.Value.(*repeat)
		r.at, r.left = now, unregisterTimes+1
	}
}
