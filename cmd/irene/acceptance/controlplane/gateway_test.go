//go:build controlplane

package controlplane_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/irene-cf/irene/fixtures/loopback"
)

// gateway stands between irene and the API server, speaks TLS and HTTP/2 as that
// does, and plays its faults. It ends with the spec.
type gateway struct {
	address     string
	certificate *x509.Certificate
	tls         *tls.Config
	forward     http.Handler
	upstream    *http.Transport

	mutex   sync.Mutex
	server  *http.Server
	matches func(*http.Request) bool
	fault   http.HandlerFunc
	play    func(pass func())
}

func newGateway() *gateway {
	GinkgoHelper()
	// httptest's certificate is valid for example.com.
	borrowed := httptest.NewTLSServer(http.NotFoundHandler())
	defer borrowed.Close()
	target, err := url.Parse(apiConfig.Host)
	Expect(err).NotTo(HaveOccurred())
	clientTLS, err := rest.TLSConfigFor(apiConfig)
	Expect(err).NotTo(HaveOccurred())
	g := &gateway{
		certificate: borrowed.Certificate(),
		tls:         &tls.Config{Certificates: borrowed.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}},
		upstream:    &http.Transport{TLSClientConfig: clientTLS, ForceAttemptHTTP2: true},
	}
	g.forward = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     g.upstream,
		FlushInterval: -1, // watches
		ErrorLog:      log.New(&processLog{}, "", 0),
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	g.open(loopback.Address())
	DeferCleanup(func() {
		g.close()
		g.upstream.CloseIdleConnections()
	})
	return g
}

// open begins to listen; closed gateways can be opened at their address again.
func (g *gateway) open(address string) {
	GinkgoHelper()
	listener, err := net.Listen("tcp", address)
	Expect(err).NotTo(HaveOccurred())
	server := &http.Server{Handler: g, TLSConfig: g.tls.Clone(), ErrorLog: log.New(&processLog{}, "", 0)}
	g.mutex.Lock()
	g.address, g.server = listener.Addr().String(), server
	g.mutex.Unlock()
	go func() {
		defer GinkgoRecover()
		Expect(server.ServeTLS(listener, "", "")).To(MatchError(http.ErrServerClosed))
	}()
}

// close refuses connections and cuts those that are open.
func (g *gateway) close() {
	g.mutex.Lock()
	server := g.server
	g.mutex.Unlock()
	_ = server.Close() // closing twice is no fault
}

// reopen ends what close began.
func (g *gateway) reopen() { g.open(g.address) }

// kubeconfig leads to the gateway, which knows the API server's credentials.
func (g *gateway) kubeconfig() string {
	GinkgoHelper()
	config := clientcmdapi.NewConfig()
	config.Clusters["gateway"] = &clientcmdapi.Cluster{
		Server:                   "https://" + g.address,
		TLSServerName:            "example.com",
		CertificateAuthorityData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.certificate.Raw}),
	}
	config.Contexts["gateway"] = &clientcmdapi.Context{Cluster: "gateway"}
	config.CurrentContext = "gateway"
	path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(clientcmd.WriteToFile(*config, path)).To(Succeed())
	return path
}

// ServeHTTP implements http.Handler.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mutex.Lock()
	matches, fault, play := g.matches, g.fault, g.play
	g.mutex.Unlock()
	switch {
	case matches == nil || !matches(r):
		g.forward.ServeHTTP(w, r)
	case fault != nil:
		fault(w, r)
	default:
		answer := httptest.NewRecorder()
		passed := false
		play(func() {
			passed = true
			g.forward.ServeHTTP(answer, r)
		})
		if !passed {
			panic(http.ErrAbortHandler)
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes()) // irene may be gone
	}
}

// meddle plays with the requests that match: pass forwards the request, whose
// answer goes back when play returns; without pass the connection is cut.
func (g *gateway) meddle(matches func(*http.Request) bool, play func(pass func())) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.matches, g.fault, g.play = matches, nil, play
}

// fail answers the requests that match.
func (g *gateway) fail(matches func(*http.Request) bool, fault http.HandlerFunc) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.matches, g.fault, g.play = matches, fault, nil
}

// heal forwards everything again.
func (g *gateway) heal() { g.fail(nil, nil) }

// calls matches one method on one resource.
func calls(method, resource string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		_, path, namespaced := strings.Cut(r.URL.Path, "/namespaces/")
		parts := strings.Split(path, "/")
		return namespaced && r.Method == method && len(parts) > 1 && parts[1] == resource
	}
}

func creates(resource string) func(*http.Request) bool { return calls(http.MethodPost, resource) }

// writes matches every change of what apps are made of.
func writes(r *http.Request) bool {
	if r.Method == http.MethodGet {
		return false
	}
	for _, resource := range []string{"statefulsets", "secrets", "pods", "poddisruptionbudgets"} {
		if calls(r.Method, resource)(r) {
			return true
		}
	}
	return false
}

// meeting lets nobody go on until all have come.
type meeting struct {
	mutex   sync.Mutex
	missing int
	all     chan struct{}
}

func newMeeting(size int) *meeting { return &meeting{missing: size, all: make(chan struct{})} }

func (m *meeting) attend(ctx context.Context) {
	m.mutex.Lock()
	m.missing--
	if m.missing == 0 {
		close(m.all)
	}
	m.mutex.Unlock()
	select {
	case <-m.all:
	case <-ctx.Done():
	}
}

func (m *meeting) met() bool {
	select {
	case <-m.all:
		return true
	default:
		return false
	}
}
