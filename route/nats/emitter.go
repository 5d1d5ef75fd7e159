package nats

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

	"github.com/irene-cf/irene/route"
)

// DefaultMaxPending bounds the keys with pending unregisters; they take about 60 MiB.
const DefaultMaxPending = 200_000

// syncPoll is the longest pause between two steps until the view has been synced.
const syncPoll = 100 * time.Millisecond

// Options configure an Emitter.
type Options struct {
	// View provides the LRPs to publish. It must not be running yet.
	View route.View
	// NATS configures the connection to the message bus.
	NATS Settings
	// Installation names this Irene among those that share the bus: letters,
	// digits, '-' and '_'. All its replicas have the same.
	Installation string
	// Replica names this process among the replicas and its own predecessors, such
	// as a pod's name and uid. Any text, not empty.
	Replica string
	// MaxPending bounds the keys with pending unregisters; DefaultMaxPending if 0.
	MaxPending int
	// Clock is the real one if nil.
	Clock  clock.Clock
	Logger lager.Logger
}

var natsToken = regexp.MustCompile(`^[-A-Za-z0-9_]+$`)

// Emitter publishes the endpoints of a view to the routers. It is safe for concurrent
// use. An Emitter is also a prometheus.Collector.
type Emitter struct {
	options nats.Options
	subject string // of announcements
	// greetings is where routers answer router.greet.
	greetings string
	replica   string
	clock     clock.Clock
	logger    lager.Logger
	metrics   *metrics
	feed      *route.Feed
	inbox     *inbox

	schedule *schedule // used by Run only

	mu          sync.Mutex
	connection  *nats.Conn
	connections int
}

// New checks the options, including the files that they name, and subscribes to the
// view. It connects to nothing.
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
	e.feed = route.NewFeed(options.View, options.Clock)
	e.schedule = newSchedule(e.replica, e.subject, options.MaxPending, e.send)
	e.metrics.record(e.schedule)
	return e, nil
}

// Lead marks this replica as the holder of the Lease until ctx ends, which is no error.
// That matters only next to replicas of the version before, which register while they
// hold it.
func (e *Emitter) Lead(ctx context.Context) error {
	e.leads(true)
	<-ctx.Done()
	e.leads(false)
	return nil
}

func (e *Emitter) leads(leads bool) {
	e.inbox.put(func(m *mail) { m.lead = &leads })
}

// Connected returns an error while there is no connection to NATS.
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

// Run publishes until ctx ends; it may be called once. That NATS is away is no error.
// Run owns the connection and its goroutines, which have ended when it returns.
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
		case <-e.feed.Wake():
		case <-e.inbox.wake:
		case <-timer.C():
		}
		next := e.step(e.clock.Now())
		timer.Reset(max(next.Sub(e.clock.Now()), 0))
	}
}

// step handles pending events, publishes what is due, and returns the time of the next
// step.
func (e *Emitter) step(now time.Time) time.Time {
	mail := e.inbox.take()
	if mail.connection != nil && *mail.connection {
		e.greet()
	}
	update := e.feed.Read(e.schedule.table)
	mail.deliver(e.schedule, update, now)
	next := e.schedule.due(now)
	if len(update.Changes.Register) > 0 || len(update.Changes.Unregister) > 0 {
		published := e.clock.Now()
		for _, noted := range update.Noted {
			e.metrics.latency.Observe(published.Sub(noted).Seconds())
		}
	}
	e.metrics.record(e.schedule)
	e.schedule.end(e.clock.Now())
	if latest := now.Add(syncPoll); !update.Synced && next.After(latest) {
		return latest
	}
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
	e.connected(true)
}

func (e *Emitter) down() { e.connected(false) }

func (e *Emitter) connected(connected bool) {
	e.inbox.put(func(m *mail) { m.connection = &connected })
}
