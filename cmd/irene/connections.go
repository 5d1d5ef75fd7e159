package main

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

const (
	// maxHeaderBytes is the largest request header that a server of ours reads, in
	// bytes; net/http answers 431 to a larger one. Its own default of 1 MiB lets a few
	// dozen connections that never finish a header hold the memory of a small pod.
	maxHeaderBytes = 16 << 10
	// maxObserveConnections bounds the port of health and metrics, which a kubelet, a
	// Prometheus and a person use.
	maxObserveConnections = 64
)

// boundConnections makes server keep at most limit open connections and read headers of
// at most maxHeaderBytes. It must be called before the server serves.
//
// When a connection above the limit arrives, the server closes the one that has waited
// longest for a complete request header, so that a peer that opens connections and sends
// nothing keeps no other peer out, as it would with a listener that stops accepting. When
// every other connection is in the middle of a request, the new one is closed.
func boundConnections(server *http.Server, limit int) {
	server.MaxHeaderBytes = maxHeaderBytes
	bound := &connectionBound{limit: limit, open: map[net.Conn]*list.Element{}, waiting: list.New()}
	server.ConnState = bound.observe
}

// connectionBound tracks a server's connections by [http.Server.ConnState].
type connectionBound struct {
	limit int

	mu sync.Mutex
	// open holds each connection and its place in waiting; nil during a request.
	open map[net.Conn]*list.Element
	// waiting lists connections without a complete request header, longest first.
	waiting *list.List
}

// observe implements [http.Server.ConnState]. The server calls it for a new connection
// before it reads from it.
func (b *connectionBound) observe(connection net.Conn, state http.ConnState) {
	if surplus := b.record(connection, state); surplus != nil {
		// Not Close of a TLS connection, which waits until its alert is written. The
		// server notices by its failed read and reports the connection as closed.
		if encrypted, ok := surplus.(*tls.Conn); ok {
			surplus = encrypted.NetConn()
		}
		_ = surplus.Close()
	}
}

// record returns the connection that has to be closed; nil for none.
func (b *connectionBound) record(connection net.Conn, state http.ConnState) net.Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	if place := b.open[connection]; place != nil {
		b.waiting.Remove(place)
	}
	switch state {
	case http.StateNew, http.StateIdle:
		b.open[connection] = b.waiting.PushBack(connection)
	case http.StateActive:
		b.open[connection] = nil
	case http.StateHijacked, http.StateClosed:
		delete(b.open, connection)
		return nil
	}
	if state != http.StateNew || len(b.open) <= b.limit {
		return nil
	}
	longest := b.waiting.Front().Value.(net.Conn)
	b.waiting.Remove(b.open[longest])
	// The server still reports it as closed; until then it counts neither way.
	delete(b.open, longest)
	return longest
}
