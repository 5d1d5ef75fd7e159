package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestHealthPort(t *testing.T) {
	g := NewWithT(t)
	service := start(t, hello, nil, nil)
	status, _, err := get(http.DefaultClient, service.observeURL("/healthz"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(status).To(Equal(200))
	status, _, err = get(http.DefaultClient, service.observeURL("/readyz"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(status).To(Equal(200))
	status, _, err = get(http.DefaultClient, service.observeURL("/debug/pprof/"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(status).To(Equal(404))
}

func TestReadinessTellsTheReasonAndProfilesAreThereWhereConfigured(t *testing.T) {
	g := NewWithT(t)
	logger, _ := newLog(t)
	server := newObserveServer(&readiness{check: func() error { return errors.New("caches aren't synced") }},
		map[string]func() error{"/readyz/emitter": func() error { return errors.New("NATS is away") }}, true, newMetricsRegistry(), logger)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	status, body, err := get(http.DefaultClient, "http://"+listener.Addr().String()+"/readyz")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(status).To(Equal(503))
	g.Expect(body).To(Equal("not ready: caches aren't synced\n"))
	status, body, err = get(http.DefaultClient, "http://"+listener.Addr().String()+"/readyz/emitter")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(status).To(Equal(503))
	g.Expect(body).To(Equal("not ready: NATS is away\n"))
	status, body, err = get(http.DefaultClient, "http://"+listener.Addr().String()+"/debug/pprof/heap?debug=1")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(status).To(Equal(200))
	g.Expect(body).To(HavePrefix("heap profile: "))
	g.Expect(server.Close()).To(Succeed())
	g.Expect(<-ended).To(MatchError(http.ErrServerClosed))
}

func TestShutdownInOrder(t *testing.T) {
	g := NewWithT(t)
	begun, finish := make(chan struct{}), make(chan struct{})
	api := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-finish
		_, _ = w.Write([]byte("done"))
	})
	worked := make(chan struct{})
	work := func(ctx context.Context) error {
		<-ctx.Done()
		close(worked)
		return ctx.Err()
	}
	service := start(t, api, nil, func(c *Configuration) {
		c.Shutdown.Delay = Duration{Duration: 300 * time.Millisecond}
	}, work)

	type outcome struct {
		body string
		err  error
	}
	answered := make(chan outcome, 1)
	go func() {
		_, body, err := get(client(newAuthority(t, "unused"), nil), service.apiURL("http", "/"))
		answered <- outcome{body, err}
	}()
	g.Eventually(begun).Should(BeClosed())

	service.stop()
	g.Eventually(func() int {
		status, _, err := get(http.DefaultClient, service.observeURL("/readyz"))
		g.Expect(err).NotTo(HaveOccurred())
		return status
	}).Should(Equal(503))
	connection, err := net.Dial("tcp", service.apiListener.Addr().String())
	g.Expect(err).NotTo(HaveOccurred(), "the API listens on while others learn that it leaves")
	g.Expect(connection.Close()).To(Succeed())

	g.Eventually(func() error {
		connection, err := net.Dial("tcp", service.apiListener.Addr().String())
		if err == nil {
			connection.Close()
		}
		return err
	}).Should(HaveOccurred(), "then it takes no more connections")
	g.Expect(worked).NotTo(BeClosed(), "controllers run on while a request does")
	status, _, err := get(http.DefaultClient, service.observeURL("/healthz"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(status).To(Equal(200), "alive until the end")

	close(finish)
	g.Eventually(answered).Should(Receive(Equal(outcome{body: "done"})))
	g.Eventually(worked).Should(BeClosed())
	g.Eventually(service.ended).Should(Receive(BeNil()))
}

func TestShutdownIsBounded(t *testing.T) {
	g := NewWithT(t)
	never := make(chan struct{})
	defer close(never)
	begun := make(chan struct{})
	service := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-never
	}), nil, func(c *Configuration) { c.Shutdown.Timeout = Duration{Duration: 50 * time.Millisecond} },
		func(context.Context) error { <-never; return nil })
	go func() { _, _, _ = get(http.DefaultClient, service.apiURL("http", "/")) }()
	g.Eventually(begun).Should(BeClosed())
	service.stop()
	g.Eventually(service.ended).Should(Receive(MatchError(And(
		ContainSubstring("requests were still running after shutdown.timeout, 50ms"),
		ContainSubstring("background work was still running after shutdown.timeout, 50ms"),
	))))
}

func TestAFailingPartEndsTheService(t *testing.T) {
	g := NewWithT(t)
	fail := make(chan struct{})
	service := start(t, hello, nil, func(c *Configuration) {
		c.Shutdown.Delay = Duration{Duration: time.Hour}
	}, func(context.Context) error {
		<-fail
		return errors.New("controller broke")
	})
	status, _, err := get(http.DefaultClient, service.apiURL("http", "/"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(status).To(Equal(200))
	close(fail)
	g.Eventually(service.ended).Should(Receive(MatchError("controller broke")), "without waiting for shutdown.delay")
}

func TestPortInUseIsNamed(t *testing.T) {
	g := NewWithT(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	defer taken.Close()
	_, _, err = listen("127.0.0.1:0", taken.Addr().String(), nil)
	g.Expect(err).To(MatchError(And(ContainSubstring("observe.address: "), ContainSubstring("address already in use"))))
}
