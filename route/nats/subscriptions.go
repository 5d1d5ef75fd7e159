package nats

import (
	"fmt"

	"code.cloudfoundry.org/lager/v3"
	"github.com/nats-io/nats.go"

	"github.com/irene-cf/irene/route"
)

const (
	startSubject = "router.start"
	greetSubject = "router.greet"
	noResponders = "503"
)

// connect subscribes before the first connection is made: the client makes the
// subscriptions whenever it gets connected.
func (e *Emitter) connect() (connection *nats.Conn, closed <-chan struct{}, err error) {
	options, done := e.options, make(chan struct{})
	options.ClosedCB = func(*nats.Conn) { close(done) }
	connection, err = options.Connect()
	if err != nil {
		return nil, nil, err
	}
	e.mu.Lock()
	e.connection = connection
	e.mu.Unlock()
	for subject, handle := range map[string]nats.MsgHandler{
		startSubject:               e.routerStarted,
		e.greetings:                e.routerGreeted,
		e.subject:                  e.announced,
		unregisterSubject:          e.unregistered(route.HTTP),
		discoveryUnregisterSubject: e.unregistered(route.Internal),
	} {
		if _, err := connection.Subscribe(subject, handle); err != nil {
			connection.Close()
			<-done
			return nil, nil, fmt.Errorf("subscribe to %s: %w", subject, err)
		}
	}
	return connection, done, nil
}

// greet asks all routers for their intervals. Routers that are not connected yet send
// them in router.start.
func (e *Emitter) greet() {
	if err := e.connection.PublishRequest(greetSubject, e.greetings, nil); err != nil {
		e.logger.Error("greet", err)
	}
}

func (e *Emitter) routerStarted(message *nats.Msg) {
	if start, ok := e.parseStart(message); ok {
		e.inbox.put(func(m *mail) { m.started(start) })
	}
}

// routerGreeted handles the answer to router.greet. Without any router NATS itself
// answers, with an empty message and the status 503.
func (e *Emitter) routerGreeted(message *nats.Msg) {
	if len(message.Data) == 0 && message.Header.Get("Status") == noResponders {
		e.logger.Debug("no-router-greeted")
		return
	}
	if start, ok := e.parseStart(message); ok {
		e.inbox.put(func(m *mail) { m.greet(start) })
	}
}

func (e *Emitter) parseStart(message *nats.Msg) (routerStart, bool) {
	start, err := parseRouterStart(message.Data)
	if err != nil {
		// The router needs the table all the same.
		e.logger.Error("understand-router", err)
	}
	return start, err == nil || message.Subject == startSubject
}

func (e *Emitter) announced(message *nats.Msg) {
	a, err := parseAnnouncement(message.Data, e.replica)
	switch {
	case err != nil:
		e.logger.Error("understand-announcement", err)
	case a != nil:
		e.inbox.put(func(m *mail) { m.announced(*a) })
	}
}

func (e *Emitter) unregistered(kind route.Kind) nats.MsgHandler {
	return func(message *nats.Msg) {
		u, err := parseUnregister(kind, message.Data, e.replica)
		if err != nil {
			e.logger.Debug("understand-unregister", lager.Data{"error": err.Error()})
			return
		}
		if u != nil {
			e.inbox.put(func(m *mail) { m.unregistered(u) })
		}
	}
}
