package route

import (
	"container/list"
	"time"
)

// queue holds the registered messages, the one that was published longest ago
// first, so that the next to refresh is always at the front.
type queue struct {
	order    *list.List // of *queued
	elements map[*Message]*list.Element
}

type queued struct {
	message *Message
	// publishedAt is zero for one that was never published by this process.
	publishedAt time.Time
	// pass is the full pass during or after which it was last published.
	pass uint64
}

func newQueue() *queue { return &queue{order: list.New(), elements: map[*Message]*list.Element{}} }

func (q *queue) len() int { return q.order.Len() }

// add puts a new message before all others.
func (q *queue) add(m *Message) { q.elements[m] = q.order.PushFront(&queued{message: m}) }

func (q *queue) remove(m *Message) {
	if element, found := q.elements[m]; found {
		q.order.Remove(element)
		delete(q.elements, m)
	}
}

func (q *queue) front() *queued {
	if element := q.order.Front(); element != nil {
		return element.Value.(*queued)
	}
	return nil
}

// published moves a message to the end.
func (q *queue) published(m *Message, now time.Time, pass uint64) {
	if element, found := q.elements[m]; found {
		entry := element.Value.(*queued)
		entry.publishedAt, entry.pass = now, pass
		q.order.MoveToBack(element)
	}
}

// publishedAfter is whether a message was last published after that.
func (q *queue) publishedAfter(m *Message, after time.Time) bool {
	element, found := q.elements[m]
	return found && element.Value.(*queued).publishedAt.After(after)
}
