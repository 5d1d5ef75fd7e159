package nats

import (
	"container/list"
	"time"

	"github.com/irene-cf/irene/route"
)

// queue holds the endpoints to register, the one that was published longest ago
// first, so that the next to refresh is always at the front.
type queue struct {
	order    *list.List // of *queued
	elements map[*route.Endpoint]*list.Element
}

type queued struct {
	endpoint *route.Endpoint
	// publishedAt is zero if this process has never published the endpoint.
	publishedAt time.Time
	// pass is the full pass during or after which it was last published.
	pass uint64
}

func newQueue() *queue {
	return &queue{order: list.New(), elements: map[*route.Endpoint]*list.Element{}}
}

func (q *queue) len() int { return q.order.Len() }

// add puts a new endpoint before all others.
func (q *queue) add(e *route.Endpoint) {
	q.elements[e] = q.order.PushFront(&queued{endpoint: e})
}

func (q *queue) remove(e *route.Endpoint) {
	if element, found := q.elements[e]; found {
		q.order.Remove(element)
		delete(q.elements, e)
	}
}

func (q *queue) front() *queued {
	if element := q.order.Front(); element != nil {
		return element.Value.(*queued)
	}
	return nil
}

// published moves an endpoint to the end.
func (q *queue) published(e *route.Endpoint, now time.Time, pass uint64) {
	if element, found := q.elements[e]; found {
		entry := element.Value.(*queued)
		entry.publishedAt, entry.pass = now, pass
		q.order.MoveToBack(element)
	}
}

// publishedAfter reports whether an endpoint was last published after the given time.
func (q *queue) publishedAfter(e *route.Endpoint, after time.Time) bool {
	element, found := q.elements[e]
	return found && element.Value.(*queued).publishedAt.After(after)
}
