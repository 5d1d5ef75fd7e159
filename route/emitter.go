package route

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/nats-io/nats.go"
	"k8s.io/utils/clock"
)

// DefaultMaxPending is how many triples wait for repeats of their unregister at
// the most; about 60 MiB.
const DefaultMaxPending = 200_000

// Options say what an Emitter works with.
type Options struct {
	// NATS is how to reach the message bus.
	NATS NATS
	// Installation names this Irene among those that share the bus: letters,
	// digits, '-' and '_'. All its replicas have the same.
	Installation string
	// Replica names this process among the replicas and its own predecessors, such
	// as a pod's name and uid. Any text, not empty.
	Replica string
	// MaxPending is DefaultMaxPending when 0.
	MaxPending int
	// Clock is the real one when nil.
	Clock  clock.Clock
	Logger lager.Logger
}

var natsToken = regexp.MustCompile(`^[-A-Za-z0-9_]+$`)

// Emitter publishes what it is told to the routers. All its methods may be called
// from any goroutine; none but Run waits for anything. An Emitter is also a
// prometheus.Collector.
type Emitter struct {
	options nats.Options
	subject string // of announcements
	// greetings is where routers answer router.greet.
	greetings string
	replica   string
	clock     clock.Clock
	logger    lager.Logger
	metrics   *metrics
	inbox     *inbox

	schedule *schedule // Run's alone

	mu          sync.Mutex
	connection  *nats.Conn
	connections int
}

// New checks the options, the files that they name included. It connects to
// nothing.
func New(options Options) (*Emitter, error) {
	var errs []error
	if !natsToken.MatchString(options.Installation) {
		errs = append(errs, fmt.Errorf("installation: %q must have letters, digits, '-' and '_' only", options.Installation))
	}
	if options.Replica == "" {
		errs = append(errs, errors.New("replica: is missing"))
	}
	if options.MaxPending < 0 {
		errs = append(errs, fmt.Errorf("maxPending: must not be negative, is %d", options.MaxPending))
	}
	if options.MaxPending == 0 {
		options.MaxPending = DefaultMaxPending
	}
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	e := &Emitter{
		subject: announcementSubject(options.Installation), greetings: nats.NewInbox(), replica: options.Replica,
		clock: options.Clock, logger: options.Logger.Session("emitter"), metrics: newMetrics(), inbox: newInbox(),
	}
	var err error
	e.options, err = options.NATS.options(e.logger.Session("nats"), connectionEvents{
		up: e.up, down: e.down, missed: func() { e.inbox.put(func(m *mail) { m.missed = true }) }, failed: e.metrics.errors.Inc,
	})
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("route emitter: %w", err)
	}
	e.schedule = newSchedule(e.replica, e.subject, options.MaxPending, e.send)
	e.metrics.tell(e.schedule)
	return e, nil
}

// Set replaces everything that the emitter knows: LRPs that are not among the
// states are gone. The states must not be changed afterwards.
func (e *Emitter) Set(states []State) {
	now := e.clock.Now()
	e.inbox.put(func(m *mail) { m.set(states, now) })
}

// Update replaces what the emitter knows of the states' LRPs. Only the last state
// of an LRP is published when several come faster than they can be handled. The
// states must not be changed afterwards.
func (e *Emitter) Update(states ...State) {
	now := e.clock.Now()
	e.inbox.put(func(m *mail) { m.update(states, now) })
}

// Know takes over what the states given so far speak for. From the first call on,
// which must come after Set with all states of a synced view, this replica may
// register. It should be called again whenever that changes.
func (e *Emitter) Know(knowledge Knowledge) {
	e.inbox.put(func(m *mail) { m.knowledge = &knowledge })
}

// Lead sets whether this replica holds the Lease. That matters only next
// to replicas of the version before, which register while they hold it.
func (e *Emitter) Lead(leads bool) {
	e.inbox.put(func(m *mail) { m.lead = &leads })
}

// Connected is nil while there is a connection to NATS.
func (e *Emitter) Connected() error {
	e.mu.Lock()
	connection := e.connection
	e.mu.Unlock()
	switch {
	case connection == nil:
		return errors.New("NATS: no connection was tried yet")
	case connection.IsConnected():
		return nil
	}
	if err := connection.LastError(); err != nil {
		return fmt.Errorf("NATS is %s: %w", connection.Status(), err)
	}
	return fmt.Errorf("NATS is %s", connection.Status())
}

// Run publishes until the context ends; it may be called once. NATS being away is
// no error. It owns the connection and all goroutines, which have ended when it
// returns.
func (e *Emitter) Run(ctx context.Context) error {
	connection, closed, err := e.connect()
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	defer func() {
		connection.Close()
		<-closed
	}()
	timer := e.clock.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			e.step(e.clock.Now())
			e.schedule.resign(e.clock.Now())
			if connection.IsConnected() {
				_ = connection.FlushTimeout(time.Second) // the repeats of other replicas cover what gets lost
			}
			return nil
		case <-e.inbox.wake:
		case <-timer.C():
		}
		next := e.step(e.clock.Now())
		timer.Reset(max(next.Sub(e.clock.Now()), 0))
	}
}

// step handles what happened and publishes what is due; it returns when the next
// is.
func (e *Emitter) step(now time.Time) time.Time {
	mail := e.inbox.take()
	if mail.connection != nil && *mail.connection {
		e.greet()
	}
	changes := mail.deliver(e.schedule, now)
	next := e.schedule.due(now)
	if len(changes.Register) > 0 || len(changes.Unregister) > 0 {
		published := e.clock.Now()
		for _, noted := range mail.noted {
			e.metrics.latency.Observe(published.Sub(noted).Seconds())
		}
	}
	e.metrics.tell(e.schedule)
	e.schedule.end(e.clock.Now())
	return next
}

func (e *Emitter) send(subject string, data []byte) error {
	e.mu.Lock()
	connection := e.connection
	e.mu.Unlock()
	if err := connection.Publish(subject, data); err != nil {
		e.logger.Error("publish", err, lager.Data{"subject": subject})
		return fmt.Errorf("publish to %s: %w", subject, err)
	}
	return nil
}

func (e *Emitter) up() {
	e.mu.Lock()
	e.connections++
	if e.connections > 1 {
		e.metrics.reconnects.Inc()
	}
	e.mu.Unlock()
	e.told(true)
}

func (e *Emitter) down() { e.told(false) }

func (e *Emitter) told(connected bool) {
	e.inbox.put(func(m *mail) { m.connection = &connected })
}
