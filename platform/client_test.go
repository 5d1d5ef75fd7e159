package platform

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3/lagertest"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/irene-cf/irene/outbound"
	"github.com/irene-cf/irene/reload"
	"github.com/irene-cf/irene/stager/steps/steptest"
)

func newClient(t *testing.T, o Options) *Client {
	t.Helper()
	client, err := New(o)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func filesOf(p *steptest.Platform) Files {
	return Files{Authorities: []string{p.File("ca.pem")}, Certificate: p.File("client.pem"), Key: p.File("client.key")}
}

// send sends a request and reads the answer.
func send(ctx context.Context, client *Client, method, to string, body io.Reader) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, to, body)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return fmt.Sprint(response.StatusCode, " ", string(text)), err
}

func TestCertificatesAreReadAgain(t *testing.T) {
	g := NewWithT(t)
	first, second := steptest.NewPlatform(t), steptest.NewPlatform(t)
	serve := func(p *steptest.Platform) string {
		return p.Serve(t, tls.RequireAndVerifyClientCert, func(http.ResponseWriter, *http.Request) {}).URL
	}
	before, after := serve(first), serve(second)
	now, logger := time.Now(), lagertest.NewTestLogger("test")
	client := newClient(t, Options{Files: filesOf(first), Logger: logger, now: func() time.Time { return now }})
	post := func(to string) error {
		now = now.Add(reload.CheckInterval)
		_, err := send(t.Context(), client, http.MethodPost, to, nil)
		return err
	}
	g.Expect(post(before)).To(Succeed())
	g.Expect(post(after)).To(MatchError(ContainSubstring("certificate")))

	replace := func(name string) {
		text, err := os.ReadFile(second.File(name))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(os.WriteFile(first.File(name), text, 0o600)).To(Succeed())
	}
	replace("client.pem") // which does not fit the key yet
	g.Expect(post(before)).To(Succeed())
	g.Expect(logger).To(gbytes.Say("test.certificates.reload-failed"))
	replace("client.key")
	replace("ca.pem")
	g.Expect(post(after)).To(Succeed())
	g.Expect(logger).To(gbytes.Say("test.certificates.reloaded"))
	g.Expect(post(before)).NotTo(Succeed())
}

func TestBadFilesAreNamed(t *testing.T) {
	g := NewWithT(t)
	p := steptest.NewPlatform(t)
	for text, files := range map[string]Files{
		"certificate authorities: open " + p.File("missing"):                                               {Authorities: []string{p.File("missing")}},
		"certificate authorities: " + p.File("client.key") + " holds no certificate in PEM form":           {Authorities: []string{p.File("ca.pem"), p.File("client.key")}, System: true},
		"the client certificate: a certificate file and a key file belong together":                        {Certificate: p.File("client.pem")},
		"the client certificate: " + p.File("client.pem") + " and " + p.File("server.key") + ": tls: priv": {Certificate: p.File("client.pem"), Key: p.File("server.key")},
		"the client certificate: open " + p.File("missing"):                                                {Certificate: p.File("client.pem"), Key: p.File("missing")},
	} {
		_, err := New(Options{Files: files})
		g.Expect(err).To(MatchError(HavePrefix(text)))
	}
}

func TestAuthorities(t *testing.T) {
	g := NewWithT(t)
	p := steptest.NewPlatform(t)
	server := p.Serve(t, tls.RequestClientCert, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, len(r.TLS.PeerCertificates)) })
	for _, system := range []bool{false, true} {
		files := filesOf(p)
		files.System = system
		g.Expect(send(t.Context(), newClient(t, Options{Files: files}), http.MethodGet, server.URL, nil)).To(Equal("200 1"))
		files.Certificate, files.Key = "", ""
		g.Expect(send(t.Context(), newClient(t, Options{Files: files}), http.MethodGet, server.URL, nil)).To(Equal("200 0"))
	}
	_, err := send(t.Context(), newClient(t, Options{}), http.MethodGet, server.URL, nil)
	g.Expect(err).To(MatchError(ContainSubstring("unknown authority")))
}

func TestErrorsHoldNoURL(t *testing.T) {
	g := NewWithT(t)
	client := newClient(t, Options{})
	for _, to := range []string{"http://user:hidden@127.0.0.1:1/hidden?hidden", "ftp://user:hidden@host/hidden"} {
		_, err := send(t.Context(), client, http.MethodGet, to, nil)
		g.Expect(err).To(HaveOccurred())
		g.Expect(err.Error()).NotTo(ContainSubstring("hidden"))
	}
}

func TestRedirectsAreReturned(t *testing.T) {
	g := NewWithT(t)
	server := steptest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		g.Expect(user + ":" + password).To(Equal("us@er:pa:ss/"))
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	to := strings.Replace(server.URL, "://", "://us%40er:pa:ss%2F@", 1)
	g.Expect(send(t.Context(), newClient(t, Options{}), http.MethodPost, to, strings.NewReader("x"))).To(Equal("307 "))
}

func TestOutboundRulesCount(t *testing.T) {
	g := NewWithT(t)
	server := steptest.Serve(t, func(http.ResponseWriter, *http.Request) {})
	rules, err := outbound.New(outbound.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = send(t.Context(), newClient(t, Options{Outbound: rules}), http.MethodGet, server.URL, nil)
	g.Expect(err).To(MatchError(ContainSubstring("outbound.allowed")))
}

func TestRequestsAreCounted(t *testing.T) {
	g := NewWithT(t)
	server := steptest.Serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	registry := prometheus.NewPedanticRegistry()
	client := newClient(t, Options{Peer: "uaa", Metrics: NewMetrics(registry)})
	_, err := send(t.Context(), client, http.MethodGet, server.URL, nil)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = send(t.Context(), client, http.MethodGet, "http://127.0.0.1:1", nil)
	g.Expect(err).To(HaveOccurred())
	g.Expect(testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP irene_platform_requests_total Requests to services of the platform, repeats included, by peer and status code (0: no answer).
# TYPE irene_platform_requests_total counter
irene_platform_requests_total{code="0",peer="uaa"} 1
irene_platform_requests_total{code="418",peer="uaa"} 1
`), "irene_platform_requests_total")).To(Succeed())
	g.Expect(testutil.GatherAndCount(registry, "irene_platform_request_seconds")).To(Equal(1))
}
