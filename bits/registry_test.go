package bits

import (
	"context"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/platform"
)

func writeFile(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// allOfIt pushes a droplet and assembles its image, through everything that a
// registry is asked for.
func allOfIt(c *cloud, guid string) error {
	d := dropletOf(c.t, guid, 50_000)
	if _, err := c.registry.PushDroplet(context.Background(), d.reader(), DropletPush{}); err != nil {
		return err
	}
	_, err := c.assemble(d)
	return err
}

func TestRegistriesWithAndWithoutLogin(t *testing.T) {
	for name, protect := range map[string]func(*hub){
		"open":     func(*hub) {},
		"password": func(h *hub) { h.password = "secret" },
		"token":    func(h *hub) { h.password, h.token = "secret", "t1" },
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			c := newCloud(t)
			c.hub.set(func() { protect(c.hub) })
			c.options.UsernameFile, c.options.PasswordFile = writeFile(t, "user\n"), writeFile(t, "secret\n")
			c.start()
			g.Expect(allOfIt(c, "first")).To(Succeed())
			g.Expect(c.hub.count("POST cloudfoundry/first/uploads?mount")).To(Equal(4))
			g.Expect(c.hub.count("GET cloudfoundry/droplets/blobs")).To(BeZero(), "every layer was mounted")

			logins := c.hub.count("GET ") // pings are "GET /v2/"
			g.Expect(logins).To(BeNumerically(">", 0))
			if name == "token" {
				return
			}
			c.hub.forget()
			_, _, err := c.registry.head(context.Background(), c.registry.droplets().Tag("none"))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(c.hub.seen()).To(Equal([]string{"HEAD cloudfoundry/droplets:none"}), "one login is enough")
		})
	}
}

func TestLoginsFollowTheRegistryAndTheFiles(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	c.options.UsernameFile, c.options.PasswordFile = writeFile(t, "user"), writeFile(t, "secret")
	c.start()
	g.Expect(allOfIt(c, "open")).To(Succeed())

	c.hub.set(func() { c.hub.password, c.hub.token = "secret", "t1" })
	g.Expect(allOfIt(c, "refused")).To(failWith(opi.ErrUnavailable, "401"))
	g.Expect(allOfIt(c, "token")).To(Succeed(), "the login was made anew")

	c.hub.set(func() { c.hub.token = "t2" })
	g.Expect(allOfIt(c, "expired")).To(Succeed(), "tokens that expired are replaced")

	c.hub.set(func() { c.hub.password, c.hub.token = "changed", "" })
	g.Expect(allOfIt(c, "stale")).To(MatchError(ContainSubstring("refuses Irene's credentials")))
	check(t, os.WriteFile(c.options.PasswordFile, []byte("changed"), 0o600))
	g.Expect(allOfIt(c, "changed")).To(Succeed(), "files are read for every login")
}

func TestCredentialsComeInPairs(t *testing.T) {
	g := NewWithT(t)
	for complaint, o := range map[string]RegistryOptions{
		"belong together":                    {Address: "r", UsernameFile: "x"},
		"no such file":                       {Address: "r", UsernameFile: writeFile(t, "u"), PasswordFile: "/nowhere"},
		"holds no value":                     {Address: "r", UsernameFile: writeFile(t, "u"), PasswordFile: writeFile(t, "\n")},
		"without scheme":                     {Address: "https://r"},
		"can't begin a repository's name":    {Address: "r", Prefix: "Cloud"},
		"holds no certificate":               {Address: "r", CAFile: writeFile(t, "x")},
		"read certificate authorities: open": {Address: "r", CAFile: "/nowhere"},
	} {
		_, err := NewRegistry(o)
		g.Expect(err).To(MatchError(ContainSubstring(complaint)))
	}
}

func TestNothingIsSentInTheClear(t *testing.T) {
	g := NewWithT(t)
	var sent atomic.Int32
	network := roundTripper(func(request *http.Request) (*http.Response, error) {
		if request.URL.Scheme == "http" {
			sent.Add(1)
		}
		return nil, io.ErrUnexpectedEOF
	})
	for _, address := range []string{"10.1.2.3:5000", "registry.example", "192.168.1.1"} {
		registry := registryOf(t, RegistryOptions{Address: address, network: network, firstBackoff: time.Microsecond})
		_, err := registry.StackDigest(context.Background(), "s")
		g.Expect(err).To(MatchError(opi.ErrUnavailable))
	}
	g.Expect(sent.Load()).To(BeZero())

	for _, o := range []RegistryOptions{{Address: "10.1.2.3:5000", PlainHTTP: true}, {Address: "127.0.0.1:5000"}, {Address: "localhost"}, {Address: "127.8.9.1"}, {Address: "[::1]:5000"}} {
		sent.Store(0)
		o.network, o.firstBackoff = network, time.Microsecond
		_, err := registryOf(t, o).StackDigest(context.Background(), "s")
		g.Expect(err).To(MatchError(opi.ErrUnavailable))
		g.Expect(sent.Load()).NotTo(BeZero(), o.Address)
	}
}

func TestPrivateAuthorities(t *testing.T) {
	g := NewWithT(t)
	h := newUnstartedHub(t)
	h.server = httptest.NewTLSServer(h)
	t.Cleanup(h.server.Close)
	h.server.Config.ErrorLog = silent
	o := h.options()
	_, err := registryOf(t, o).StackDigest(context.Background(), "s")
	g.Expect(err).To(failWith(opi.ErrUnavailable, "certificate"))

	o.CAFile = writeFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.server.Certificate().Raw})))
	_, err = registryOf(t, o).StackDigest(context.Background(), "s")
	g.Expect(err).To(MatchError(ContainSubstring("stack s is not in the registry")))
	g.Expect(err).To(MatchError(opi.ErrUnavailable))
}

// failing answers the first n requests that match with a status.
func failing(n int32, status int, retryAfter string, matches func(*http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	var left atomic.Int32
	left.Store(n)
	return func(w http.ResponseWriter, request *http.Request) bool {
		if !matches(request) || left.Add(-1) < 0 {
			return false
		}
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
		return true
	}
}

func TestBusyRegistriesAreAskedAgain(t *testing.T) {
	anything := func(*http.Request) bool { return true }
	uploads := func(request *http.Request) bool { return request.Method == http.MethodPatch }
	for name, obstruct := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"429":                failing(3, 429, "", anything),
		"429 with a date":    failing(2, 429, time.Now().UTC().Format(http.TimeFormat), anything),
		"500 for a while":    failing(4, 500, "", anything),
		"503 with a time":    failing(1, 503, "0", anything),
		"500 of an upload":   failing(1, 500, "", uploads),
		"several of uploads": failing(2, 502, "", uploads),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			c := newCloud(t)
			d := dropletOf(t, "d", 300_000)
			c.hub.set(func() { c.hub.obstruct = obstruct })
			// A droplet that can be read again is sent again.
			_, err := c.registry.PushDroplet(context.Background(), strings.NewReader(string(d.content)), DropletPush{})
			g.Expect(err).NotTo(HaveOccurred())
			assembled, err := c.assemble(d)
			g.Expect(err).NotTo(HaveOccurred())
			c.pull(assembled)
		})
	}
}

func TestEndlessFailuresEnd(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	all := func(*http.Request) bool { return true }
	c.hub.set(func() { c.hub.obstruct = failing(1<<30, 503, "", all) })
	began := time.Now()
	g.Expect(allOfIt(c, "d")).To(failWith(opi.ErrUnavailable, "503"))
	g.Expect(len(c.hub.seen())).To(BeNumerically("<=", maxAttempts*2), "the wait is bounded by attempts")
	g.Expect(time.Since(began)).To(BeNumerically("<", 10*time.Second))

	// A server that asks for much patience is believed at once.
	c.hub.forget()
	c.hub.set(func() { c.hub.obstruct = failing(1<<30, 429, strconv.Itoa(3600), all) })
	g.Expect(allOfIt(c, "d")).To(failWith(opi.ErrUnavailable, "429"))
	g.Expect(len(c.hub.seen())).To(BeNumerically("<=", 2))

	// So is a deadline: the answer says more than "too late".
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	o := c.hub.options()
	o.firstBackoff = time.Minute
	c.hub.set(func() { c.hub.obstruct = failing(1<<30, 500, "", all) })
	_, err := registryOf(t, o).StackDigest(ctx, "s")
	g.Expect(err).To(MatchError(ContainSubstring("500")))
}

func TestStandstillEndsARequest(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	c.options.StallTimeout = 50 * time.Millisecond
	c.start()
	still := make(chan struct{})
	defer close(still)
	wait := func(request *http.Request) {
		select {
		case <-still:
		case <-request.Context().Done():
		}
	}

	c.hub.set(func() {
		c.hub.obstruct = func(w http.ResponseWriter, request *http.Request) bool {
			if request.Method != http.MethodGet || !strings.Contains(request.URL.Path, "/manifests/") {
				return false
			}
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "{")
			_ = http.NewResponseController(w).Flush()
			wait(request)
			return true
		}
	})
	_, err := c.registry.Droplet(context.Background(), opi.Checksum{Value: "x"})
	g.Expect(err).To(failWith(opi.ErrUnavailable, platform.ErrStalled.Error()))

	// A registry that takes no more bytes.
	c.hub.set(func() {
		c.hub.obstruct = func(_ http.ResponseWriter, request *http.Request) bool {
			if request.Method == http.MethodPatch {
				_, _ = io.ReadFull(request.Body, make([]byte, 1000))
				wait(request)
			}
			return request.Method == http.MethodPatch
		}
	})
	_, err = c.registry.PushDroplet(context.Background(), dropletOf(t, "d", 20<<20).reader(), DropletPush{})
	g.Expect(err).To(failWith(opi.ErrUnavailable, platform.ErrStalled.Error()))
}

func TestSlowContentIsNoStandstill(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	c.options.StallTimeout = 300 * time.Millisecond
	c.start()
	d := dropletOf(t, "d", 100_000)
	slow := pausing(d.content, 1000, 900*time.Millisecond)
	_, err := c.registry.PushDroplet(context.Background(), slow, DropletPush{})
	g.Expect(err).NotTo(HaveOccurred())
}

// pausing is content with a pause after some bytes.
func pausing(content []byte, after int, pause time.Duration) io.Reader {
	reader, writer := io.Pipe()
	go func() {
		_, _ = writer.Write(content[:after])
		timer := time.NewTimer(pause)
		<-timer.C
		_, err := writer.Write(content[after:])
		_ = writer.CloseWithError(err)
	}()
	return reader
}

func TestMetrics(t *testing.T) {
	g := NewWithT(t)
	c := newCloud(t)
	g.Expect(allOfIt(c, "d")).To(Succeed())
	_, err := c.assemble(dropletOf(t, "d", 50_000))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.metric("irene_registry_blobs_total", "mounted")).To(Equal(4.0))
	g.Expect(c.metric("irene_registry_blobs_total", "copied")).To(Equal(0.0))
	g.Expect(c.metric("irene_registry_blobs_total", "uploaded")).To(Equal(2.0), "lifecycle and droplet")
	g.Expect(c.metric("irene_image_assemblies_total", "assembled")).To(Equal(1.0))
	g.Expect(c.metric("irene_image_assemblies_total", "found")).To(Equal(1.0))
	received, sent := c.hub.bytes()
	g.Expect(c.metric("irene_registry_bytes_total", "sent")).To(Equal(float64(received)))
	g.Expect(c.metric("irene_registry_bytes_total", "received")).To(BeNumerically(">=", float64(sent)*0.5))
	g.Expect(c.metric("irene_image_assemblies_under_way")).To(BeZero())
	g.Expect(c.metric("irene_stack_info", c.stack.String(), revisionOf(c.stack, c.lifecycle.Digest()), "cflinuxfs4")).To(Equal(1.0))
}

// metric is a counter or gauge with the given values of labels, which are sorted by
// the labels' names.
func (c *cloud) metric(name string, labels ...string) float64 {
	c.t.Helper()
	registry := prometheus.NewPedanticRegistry()
	check(c.t, registry.Register(c.registry))
	families, err := registry.Gather()
	check(c.t, err)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var values []string
			for _, label := range metric.GetLabel() {
				values = append(values, label.GetValue())
			}
			if family.GetName() == name && slices.Equal(values, labels) {
				return metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
			}
		}
	}
	c.t.Fatalf("there is no metric %s %v", name, labels)
	return 0
}

func TestPlatformOf(t *testing.T) {
	g := NewWithT(t)
	g.Expect(PlatformOf("linux/arm64/v8")).To(Equal(&v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}))
	g.Expect(PlatformOf("")).To(Equal(&ownPlatform))
	for _, wrong := range []string{"linux", "/", "a/b/c/d"} {
		_, err := PlatformOf(wrong)
		g.Expect(err).To(MatchError(ContainSubstring("not of the form linux/amd64")))
	}
}
