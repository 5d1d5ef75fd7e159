package route

import (
	"container/list"
	"slices"
	"time"
)

const (
	// unregisterEvery and unregisterTimes are how Diego repeats an unregister, for
	// routers that missed it.
	unregisterEvery = 30 * time.Second
	unregisterTimes = 20
)

// pending is the unregisters that are still to be repeated, next one first.
// Every triple is in one of them at the most.
type pending struct {
	order   *list.List // of *repeat
	triples map[Triple]*list.Element
	// limit is how many triples are kept; the oldest give way.
	limit   int
	dropped int
}

type repeat struct {
	unregistration *Unregistration
	at             time.Time
	left           int
}

func newPending(limit int) *pending {
	return &pending{order: list.New(), triples: map[Triple]*list.Element{}, limit: limit}
}

// len is the number of triples.
func (p *pending) len() int { return len(p.triples) }

// add takes over an unregistration to be sent at once and then as often as the
// contract asks.
func (p *pending) add(u *Unregistration, now time.Time) *repeat {
	for _, uri := range u.URIs {
		p.cancel(u.triple(uri))
	}
	for len(p.triples) > 0 && len(p.triples)+len(u.URIs) > p.limit {
		oldest := p.order.Front()
		p.dropped += len(oldest.Value.(*repeat).unregistration.URIs)
		p.drop(oldest)
	}
	r := &repeat{unregistration: u, at: now, left: unregisterTimes + 1}
	element := p.order.PushBack(r)
	for _, uri := range u.URIs {
		p.triples[u.triple(uri)] = element
	}
	return r
}

// cancel forgets one triple, because it is registered again.
func (p *pending) cancel(triple Triple) {
	element, found := p.triples[triple]
	if !found {
		return
	}
	delete(p.triples, triple)
	u := element.Value.(*repeat).unregistration
	u.URIs = slices.DeleteFunc(u.URIs, func(uri string) bool { return uri == triple.URI })
	if len(u.URIs) == 0 {
		p.order.Remove(element)
	}
}

func (p *pending) drop(element *list.Element) {
	u := element.Value.(*repeat).unregistration
	for _, uri := range u.URIs {
		delete(p.triples, u.triple(uri))
	}
	p.order.Remove(element)
}

// next is the one that is due first, nil where there is none.
func (p *pending) next() *repeat {
	if element := p.order.Front(); element != nil {
		return element.Value.(*repeat)
	}
	return nil
}

// sent notes that r was published.
func (p *pending) sent(r *repeat, now time.Time) {
	element := p.triples[r.unregistration.triple(r.unregistration.URIs[0])]
	r.left--
	if r.left <= 0 {
		p.drop(element)
		return
	}
	r.at = now.Add(unregisterEvery)
	p.order.MoveToBack(element)
}

// again makes everything due now, with all its repeats: whoever has just come
// back may have missed any of them.
func (p *pending) again(now time.Time) {
	for element := p.order.Front(); element != nil; element = element.Next() {
		r := element.Value.(*repeat)
		r.at, r.left = now, unregisterTimes+1
	}
}
