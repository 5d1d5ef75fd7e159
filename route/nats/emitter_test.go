package nats

import (
	"context"
	"encoding/json"
	"net"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"code.cloudfoundry.org/lager/v3/lagertest"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/irene-cf/irene/fixtures/loopback"
	"github.com/irene-cf/irene/fixtures/routing"
	"github.com/irene-cf/irene/route"
)

// startNATS starts a server; port -1 is any.
func startNATS(t testing.TB, change func(*server.Options)) *server.Server {
	t.Helper()
	options := &server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true}
	if change != nil {
		change(options)
	}
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(5 * time.Second) {
		t.Fatal("NATS server does not start")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

// liveRouter is the router model behind a NATS connection.
type liveRouter struct {
	*routerModel
	connection *nats.Conn
}

func startRouter(t testing.TB, url string, interval int, options ...nats.Option) *liveRouter {
	t.Helper()
	connection, err := nats.Connect(url, append(options, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(connection.Close)
	r := &liveRouter{routerModel: newRouterModel(), connection: connection}
	for _, subject := range []string{"router.register", "router.unregister", "service-discovery.*"} {
		if _, err := connection.Subscribe(subject, func(m *nats.Msg) { r.handle(m.Subject, m.Data, time.Now()) }); err != nil {
			t.Fatal(err)
		}
	}
	hello, err := json.Marshal(routerStart{ID: "0-router", Interval: interval, PruneThreshold: 120})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := connection.Subscribe("router.greet", func(m *nats.Msg) { _ = m.Respond(hello) }); err != nil {
		t.Fatal(err)
	}
	if err := connection.Flush(); err != nil {
		t.Fatal(err)
	}
	return r
}

func startGate(t testing.TB, url string) *loopback.Gate {
	t.Helper()
	gate, err := loopback.StartGate(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gate.Stop)
	return gate
}

// testEmitter is an emitter with its view.
type testEmitter struct {
	*Emitter
	*routing.View
}

func startEmitter(t testing.TB, replica string, settings Settings) testEmitter {
	t.Helper()
	settings.ReconnectWait = 20 * time.Millisecond
	view := routing.NewView()
	e, err := New(Options{View: view, NATS: settings, Installation: "test", Replica: replica, Logger: lagertest.NewTestLogger("test")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return testEmitter{e, view}
}

func (e *Emitter) gauges() gauges {
	e.metrics.mu.Lock()
	defer e.metrics.mu.Unlock()
	return e.metrics.gauges
}

func TestEmitterAndRouter(t *testing.T) {
	g := NewWithT(t)
	url := startNATS(t, nil).ClientURL()
	router := startRouter(t, url, 5)
	e := startEmitter(t, "a", Settings{Servers: []string{url}})
	e.Sync(route.Progress{Fresh: true}, routing.WithInstance(routing.WithInstance(routing.LRP("dora", "dora.example.com"), 0, "10.0.0.1"), 1, "10.0.0.2"))
	g.Eventually(router.endpoints).Should(HaveLen(2))
	g.Expect(e.Connected()).To(Succeed())
	g.Eventually(func() time.Duration { return e.gauges().interval }).Should(Equal(5 * time.Second))

	e.Update(routing.WithInstance(routing.LRP("dora", "dora.example.com"), 1, "10.0.0.2"), routing.WithInstance(routing.LRP("other", "other.example.com"), 0, "10.0.0.1"))
	g.Eventually(router.endpoints).Should(Equal(map[route.Key]string{
		{Kind: route.HTTP, Host: "10.0.0.2", Port: 8080, URI: "dora.example.com"}:  "dora-process-1-10.0.0.2",
		{Kind: route.HTTP, Host: "10.0.0.1", Port: 8080, URI: "other.example.com"}: "other-process-0-10.0.0.1"}))

	late := startRouter(t, url, 20)
	g.Expect(late.connection.Publish("router.start", []byte(`{"id":"1-late","hosts":["127.0.0.1"],"minimumRegisterIntervalInSeconds":20,"pruneThresholdInSeconds":120}`))).To(Succeed())
	g.Eventually(late.endpoints).WithTimeout(time.Second).Should(HaveLen(2))

	registry := prometheus.NewPedanticRegistry()
	g.Expect(registry.Register(e)).To(Succeed())
	families, err := registry.Gather()
	g.Expect(err).NotTo(HaveOccurred())
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(problems).To(BeEmpty())
	g.Expect(e.gauges().endpoints).To(Equal(2))
	g.Expect(e.gauges().pending).To(Equal(1))
}

func TestNATSAway(t *testing.T) {
	g := NewWithT(t)
	first := startNATS(t, nil)
	url := first.ClientURL()
	router := startRouter(t, url, 20)
	port := first.Addr().(*net.TCPAddr).Port
	at := func(o *server.Options) { o.Port = port }
	first.Shutdown()
	first.WaitForShutdown()

	e := startEmitter(t, "a", Settings{Servers: []string{url}})
	g.Eventually(e.Connected).Should(MatchError(ContainSubstring("NATS")))
	e.Sync(route.Progress{Fresh: true}, routing.WithInstance(routing.LRP("dora", "dora.example.com"), 0, "10.0.0.1"))
	second := startNATS(t, at)
	g.Eventually(e.Connected).WithTimeout(10 * time.Second).Should(Succeed())
	// The router may have missed the first table; greeted or not, it says so.
	g.Eventually(router.connection.IsConnected).WithTimeout(10 * time.Second).Should(BeTrue())
	g.Expect(router.connection.Publish("router.start", []byte(`{}`))).To(Succeed())
	g.Eventually(router.endpoints).Should(HaveLen(1))

	second.Shutdown()
	second.WaitForShutdown()
	g.Eventually(e.Connected).Should(HaveOccurred())
	e.Update(routing.WithInstance(routing.LRP("dora", "dora.example.com"), 0, "10.0.0.7"))
	startNATS(t, at)
	g.Eventually(router.connection.IsConnected).WithTimeout(10 * time.Second).Should(BeTrue())
	g.Eventually(e.Connected).WithTimeout(10 * time.Second).Should(Succeed())
	g.Expect(router.connection.Publish("router.start", []byte(`{}`))).To(Succeed())
	g.Eventually(router.endpoints).WithTimeout(5 * time.Second).Should(Equal(map[route.Key]string{
		{Kind: route.HTTP, Host: "10.0.0.7", Port: 8080, URI: "dora.example.com"}: "dora-process-0-10.0.0.7"}))
	var reconnects dto.Metric
	g.Expect(e.metrics.reconnects.Write(&reconnects)).To(Succeed())
	g.Expect(reconnects.GetCounter().GetValue()).To(BeEquivalentTo(1))
}

func TestTakeover(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(20 * time.Second)
	server := startNATS(t, nil)
	url := server.ClientURL()
	router := startRouter(t, url, 1)
	gate := startGate(t, url)
	a := startEmitter(t, "a", Settings{Servers: []string{gate.URL()}})
	state := routing.WithInstance(routing.LRP("dora", "dora.example.com"), 0, "10.0.0.1")
	at := func(n uint64) route.Progress {
		revision := route.Revision{LRP: n, Instances: n}
		return route.Progress{Seen: revision, Changed: revision, Fresh: true}
	}
	active := func(e testEmitter) func() bool { return func() bool { return e.gauges().active } }
	a.Sync(at(1), state)
	g.Eventually(router.endpoints).Should(HaveLen(1))
	b := startEmitter(t, "b", Settings{Servers: []string{url}})
	b.Sync(at(1), state)
	g.Eventually(b.Connected).Should(Succeed())
	g.Eventually(active(a)).Should(BeTrue())

	// a loses NATS.
	gate.Cut()
	g.Eventually(active(b)).Should(BeTrue())
	b.Update(routing.WithInstance(routing.LRP("dora", "dora.example.com"), 0, "10.0.0.2"))
	g.Eventually(router.endpoints).Should(HaveKey(route.Key{Kind: route.HTTP, Host: "10.0.0.2", Port: 8080, URI: "dora.example.com"}))
	g.Expect(gate.Open()).To(Succeed())
	g.Eventually(a.Connected).Should(Succeed())
	g.Eventually(active(a)).Should(BeFalse())
	g.Expect(b.gauges().active).To(BeTrue())

	// b loses the API server: a knows more.
	a.Update(routing.WithInstance(routing.LRP("dora", "dora.example.com"), 0, "10.0.0.3"))
	a.Follow(at(2))
	g.Eventually(active(a)).Should(BeTrue())
	g.Eventually(active(b)).Should(BeFalse())
	g.Eventually(router.endpoints).Should(HaveKey(route.Key{Kind: route.HTTP, Host: "10.0.0.3", Port: 8080, URI: "dora.example.com"}))

	b.Update(routing.LRP("dora", "dora.example.com"))
	a.Update(routing.LRP("dora", "dora.example.com"))
	g.Eventually(router.endpoints).Should(BeEmpty())
}

// NATS answers for routers that are not there.
func TestGreetWithoutRouters(t *testing.T) {
	g := NewWithT(t)
	logger := lagertest.NewTestLogger("test")
	e, err := New(Options{View: routing.NewView(), NATS: Settings{Servers: []string{startNATS(t, nil).ClientURL()}}, Installation: "test", Replica: "a", Logger: logger})
	g.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	g.Eventually(logger.LogMessages).WithTimeout(20 * time.Second).Should(ContainElement(HaveSuffix("no-router-greeted")))
	cancel()
	g.Expect(<-done).To(Succeed())
	for _, entry := range logger.Logs() {
		g.Expect(entry.LogLevel).To(BeNumerically("<", lager.ERROR), entry.Message)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	g := NewWithT(t)
	_, err := New(Options{View: routing.NewView(), Installation: "a b", MaxPending: -1, Logger: lagertest.NewTestLogger("test"),
		NATS: Settings{Servers: []string{"http://u:secret@h"}, PasswordFile: "/no/password", CertFile: "/c", CAFile: "/does/not/exist"}})
	for _, part := range []string{"installation", "replica", "maxPending", "nats.servers[0]", "nats.user", "/no/password", "nats.certFile", "/does/not/exist"} {
		g.Expect(err).To(MatchError(ContainSubstring(part)))
	}
	g.Expect(err).NotTo(MatchError(ContainSubstring("secret")))
}
