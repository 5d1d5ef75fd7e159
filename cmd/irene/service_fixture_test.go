package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/onsi/gomega/gbytes"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/opi/api"
)

// movableClock is a time that tests move.
type movableClock struct{ nanoseconds atomic.Int64 }

func (c *movableClock) now() time.Time             { return time.Unix(0, c.nanoseconds.Load()) }
func (c *movableClock) advance(span time.Duration) { c.nanoseconds.Add(int64(span)) }
func newLog(t *testing.T) (lager.Logger, *gbytes.Buffer) {
	t.Helper()
	buffer := gbytes.NewBuffer()
	logger, err := newLogger(buffer, Log{Level: "debug"})
	if err != nil {
		t.Fatal(err)
	}
	return logger, buffer
}

// running is a whole service on loopback.
type running struct {
	*service
	log      *gbytes.Buffer
	registry *prometheus.Registry
	// stop ends the service as a signal does.
	stop context.CancelFunc
	// ended gets what service.run returned.
	ended chan error
}

// start runs a service that answers with handler until the test ends. certs nil means
// plaintext. change may alter the configuration.
func start(t *testing.T, handler http.Handler, certs *serverCertificates, change func(*Configuration), background ...work) *running {
	t.Helper()
	return startWith(t, handler, certs, change, nil, background...)
}

// startWith is start with further front doors.
func startWith(t *testing.T, handler http.Handler, certs *serverCertificates, change func(*Configuration), doors []listeningDoor, background ...work) *running {
	t.Helper()
	config := DefaultConfiguration()
	config.Listen.Address, config.Observe.Address = "127.0.0.1:0", "127.0.0.1:0"
	config.Listen.Plaintext = certs == nil
	if certs != nil {
		config.Listen.TLS = certs.files
	}
	config.Shutdown.Delay = Duration{}
	if change != nil {
		change(&config)
	}
	logger, buffer := newLog(t)
	registry := newMetricsRegistry()
	ready := &readiness{check: func() error { return nil }}
	apiListener, observeListener, err := listen(config.Listen.Address, config.Observe.Address, certs)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{
		service: &service{
			shutdown:        config.Shutdown,
			logger:          logger,
			api:             newAPIServer(config.Listen, door{Handler: handler, fault: api.WriteFault}, newRequestMetrics(registry), logger),
			observe:         newObserveServer(ready, nil, false, registry, logger),
			apiListener:     apiListener,
			observeListener: observeListener,
			doors:           doors,
			ready:           ready,
			background:      background,
		},
		log: buffer, registry: registry, stop: stop, ended: make(chan error, 1),
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		r.ended <- r.run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-finished
	})
	return r
}

func (r *running) apiURL(scheme, path string) string {
	return scheme + "://" + r.apiListener.Addr().String() + path
}

func (r *running) observeURL(path string) string {
	return "http://" + r.observeListener.Addr().String() + path
}

// metrics returns the text of /metrics. A request is counted after its answer was sent,
// so tests look for it with Eventually.
func (r *running) metrics() (string, error) {
	_, text, err := get(http.DefaultClient, r.observeURL("/metrics"))
	return text, err
}

// client trusts server and presents certificates; each request uses a connection
// of its own.
func client(server *authority, certificates []tls.Certificate) *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(server.certificate)
	return &http.Client{
		Timeout: 20 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: certificates},
		},
	}
}

// get is the status and the body of a GET.
func get(c *http.Client, url string) (int, string, error) {
	response, err := c.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}
