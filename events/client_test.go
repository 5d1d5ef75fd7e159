package events

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3/lagertest"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/stager/steps/steptest"
)

func newClient(t *testing.T, edit func(*ClientOptions)) (*CloudController, *prometheus.Registry) {
	t.Helper()
	metrics := prometheus.NewRegistry()
	options := ClientOptions{Logger: lagertest.NewTestLogger("test"), Registerer: metrics, RequestTimeout: 10 * time.Second}
	if edit != nil {
		edit(&options)
	}
	client, err := NewCloudController(options)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(client.Close)
	return client, metrics
}

func TestPost(t *testing.T) {
	g := NewWithT(t)
	server := steptest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		body, err := io.ReadAll(r.Body)
		g.Expect(err).NotTo(HaveOccurred())
		if r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" || r.URL.RawQuery != "start=true" ||
			user != "us@er" || password != "pa:ss/" || string(body) != `{"a":1}` {
			w.WriteHeader(599)
		}
	})
	client, metrics := newClient(t, nil)
	answer, err := client.Post(t.Context(), EndpointBuildCompleted, strings.Replace(server.URL, "://", "://us%40er:pa:ss%2F@", 1)+"/path?start=true", []byte(`{"a":1}`))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(answer).To(Equal(Answer{Status: 200}))
	g.Expect(measured(g, metrics)).To(And(
		HaveKeyWithValue(`irene_cloud_controller_requests_total{code="200",endpoint="build_completed"}`, 1.0),
		HaveKeyWithValue(`irene_cloud_controller_request_seconds{endpoint="build_completed"}`, 1.0),
	))
}

func TestVerdicts(t *testing.T) {
	g := NewWithT(t)
	for verdict, statuses := range map[Verdict][]int{
		Accepted:      {200, 201, 202, 204},
		Refused:       {400, 404, 405, 409, 410, 413, 422},
		TryAgain:      {408, 425, 429, 500, 502, 503, 504, 0, 100},
		Misconfigured: {301, 302, 307, 401, 403},
	} {
		for _, status := range statuses {
			g.Expect(Answer{Status: status}.Verdict()).To(Equal(verdict), "status %d", status)
		}
	}
}

func TestNothingSecretIsSaid(t *testing.T) {
	g := NewWithT(t)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	slow := steptest.Serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	cut := steptest.Serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	client, _ := newClient(t, func(o *ClientOptions) { o.RequestTimeout = 50 * time.Millisecond })
	for _, to := range []string{
		strings.Replace(gone.URL, "://", "://user:hidden@", 1) + "/hidden?hidden",
		strings.Replace(slow.URL, "://", "://user:hidden@", 1) + "/hidden?hidden",
		strings.Replace(cut.URL, "://", "://user:hidden@", 1) + "/hidden?hidden",
		"ftp://user:hidden@host", "http://user:hidden@", "://hidden", "http://user:hidden@host:hidden/\x00", "",
	} {
		_, err := client.Post(t.Context(), "e", to, nil)
		g.Expect(err).To(HaveOccurred())
		g.Expect(err.Error()).NotTo(ContainSubstring("hidden"))
		t.Log(err)
	}
	_, err := client.Post(t.Context(), "e", slow.URL, nil)
	g.Expect(err).To(MatchError(ContainSubstring("no answer within 50ms")))
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	g := NewWithT(t)
	other := steptest.Serve(t, func(http.ResponseWriter, *http.Request) { t.Error("was followed") })
	server := steptest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	client, _ := newClient(t, nil)
	answer, err := client.Post(t.Context(), "e", strings.Replace(server.URL, "://", "://u:p@", 1), nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(answer.Status).To(Equal(http.StatusTemporaryRedirect))
}

func TestWhatAnAnswerSays(t *testing.T) {
	g := NewWithT(t)
	for body, code := range map[string]string{
		`{"code":1,"error_code":"CF-StagingError","description":"d"}`:        "CF-StagingError",
		`{"errors":[{"code":1,"title":"CF-ResourceNotFound","detail":"d"}]}`: "CF-ResourceNotFound",
		`{"error_code":"password=hidden"}`:                                   "",
		`{"error_code":"CF-` + strings.Repeat("x", 100) + `"}`:               "",
		`<html>`: "", `null`: "", `[]`: "", ``: "", `{"errors":[]}`: "",
	} {
		g.Expect(errorCode([]byte(body))).To(Equal(code), body)
	}
}

func TestAnAnswerSaysWhenToComeBack(t *testing.T) {
	g := NewWithT(t)
	text := ""
	server := steptest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", text)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	client, _ := newClient(t, nil)
	for _, c := range []struct {
		text  string
		pause time.Duration
	}{{"7", 7 * time.Second}, {"999999", maxRetryAfter}, {"soon", 0}} {
		text = c.text
		answer, err := client.Post(t.Context(), "e", server.URL, nil)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(answer).To(Equal(Answer{Status: 503, RetryAfter: c.pause}), text)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	g := NewWithT(t)
	var mutex sync.Mutex
	from := map[string]bool{}
	p := steptest.NewPlatform(t)
	server := p.Serve(t, tls.RequireAndVerifyClientCert, func(w http.ResponseWriter, r *http.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		from[r.RemoteAddr] = true
		fmt.Fprint(w, strings.Repeat("x", 10_000))
	})
	client, _ := newClient(t, withFiles(p))
	for range 20 {
		_, err := client.Post(t.Context(), "e", server.URL, []byte("{}"))
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(from).To(HaveLen(1))
}

func withFiles(p *steptest.Platform) func(*ClientOptions) {
	return func(o *ClientOptions) {
		o.CAFile, o.CertificateFile, o.KeyFile = p.File("ca.pem"), p.File("client.pem"), p.File("client.key")
	}
}

func TestBadFilesAreRefused(t *testing.T) {
	g := NewWithT(t)
	p := steptest.NewPlatform(t)
	for _, options := range []ClientOptions{
		{CAFile: p.File("missing")},
		{CAFile: p.File("client.key")},
		{CertificateFile: p.File("client.pem")},
		{CertificateFile: p.File("client.pem"), KeyFile: p.File("server.key")},
		{RequestTimeout: -1},
	} {
		options.Logger, options.Registerer = lagertest.NewTestLogger("test"), prometheus.NewRegistry()
		_, err := NewCloudController(options)
		g.Expect(err).To(MatchError(HavePrefix("make a client to Cloud Controller: ")))
	}
}

// measured are all samples by name and labels; of a histogram, how many there were.
func measured(g *WithT, metrics *prometheus.Registry) map[string]float64 {
	families, err := metrics.Gather()
	g.Expect(err).NotTo(HaveOccurred())
	found := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.Metric {
			var labels []string
			for _, label := range metric.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", label.GetName(), label.GetValue()))
			}
			name := family.GetName()
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			found[name] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return found
}
