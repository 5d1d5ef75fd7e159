package bits

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/opi"
)

// blobstore serves one content, with all the ways to do that badly.
type blobstore struct {
	content []byte
	etag    string
	// ranges says whether a part can be had.
	ranges bool
	// cut ends the first connections after some bytes.
	cut   []int
	hang  bool
	asked atomic.Int32

	mu     sync.Mutex
	header []http.Header
	served int
}

// ServeHTTP implements http.Handler.
func (b *blobstore) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	n := int(b.asked.Add(1))
	b.mu.Lock()
	b.header = append(b.header, request.Header.Clone())
	b.mu.Unlock()
	if b.etag != "" {
		w.Header().Set("ETag", b.etag)
	}
	content := b.content
	var from int
	if given := request.Header.Get("Range"); b.ranges && given != "" && request.Header.Get("If-Range") == b.etag {
		_, _ = fmt.Sscanf(given, "bytes=%d-", &from)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
		w.Header().Set("Content-Length", fmt.Sprint(len(content)-from))
		w.WriteHeader(http.StatusPartialContent)
	} else {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	}
	content = content[from:]
	if n <= len(b.cut) {
		_, _ = w.Write(content[:min(b.cut[n-1], len(content))])
		_ = http.NewResponseController(w).Flush()
		if b.hang {
			<-request.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}
	served, _ := w.Write(content)
	b.mu.Lock()
	b.served += served
	b.mu.Unlock()
}

func sourceOf(t testing.TB, o HTTPSourceOptions) *HTTPSource {
	t.Helper()
	o.firstBackoff = time.Millisecond
	source, err := NewHTTPSource(o)
	check(t, err)
	return source
}

func fetched(source *HTTPSource, d opi.Droplet) ([]byte, error) {
	content, err := source.Open(context.Background(), d, "process-guid")
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return io.ReadAll(content)
}

func TestDownloadsGoOn(t *testing.T) {
	d := dropletOf(t, "abcdef-guid", 200_000)
	for name, example := range map[string]struct {
		store *blobstore
		// served is what the last connection brought; 0 for all.
		served int
	}{
		"at once":           {store: &blobstore{}},
		"continued":         {store: &blobstore{etag: `"1"`, ranges: true, cut: []int{100_000, 50_000}}, served: len(d.content) - 150_000},
		"no ranges":         {store: &blobstore{etag: `"1"`, cut: []int{100_000}}},
		"no validator":      {store: &blobstore{ranges: true, cut: []int{100_000}}},
		"a weak validator":  {store: &blobstore{etag: `W/"1"`, ranges: true, cut: []int{100_000}}},
		"cut while skipped": {store: &blobstore{cut: []int{100_000, 50_000, 120_000}}},
		"standstill":        {store: &blobstore{etag: `"1"`, ranges: true, cut: []int{100_000}, hang: true}, served: len(d.content) - 100_000},
		"cut at the start":  {store: &blobstore{cut: []int{0, 0, 0, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			store := example.store
			store.content = d.content
			server := httptest.NewServer(store)
			defer server.Close()
			source := sourceOf(t, HTTPSourceOptions{URL: server.URL + "/{partition}/{droplet_guid}/{hash}", PlainHTTP: true, Timeout: time.Second})
			content, err := fetched(source, d.Droplet)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(bytes.Equal(content, d.content)).To(BeTrue())
			server.Close()
			if example.served == 0 {
				example.served = len(d.content)
			}
			g.Expect(store.served).To(Equal(example.served))
			for _, header := range store.header {
				g.Expect(header.Get("Accept-Encoding")).To(Equal("identity"))
			}
		})
	}
}

func TestDownloadsThatNeverEnd(t *testing.T) {
	g := NewWithT(t)
	d := dropletOf(t, "abcdef-guid", 200_000)
	store := &blobstore{content: d.content, etag: `"1"`, ranges: true, cut: []int{1000, 0, 0, 0, 0, 0, 0, 0, 0}}
	server := httptest.NewServer(store)
	t.Cleanup(server.Close)
	source := sourceOf(t, HTTPSourceOptions{URL: server.URL, PlainHTTP: true})
	content, err := source.Open(context.Background(), d.Droplet, "")
	g.Expect(err).NotTo(HaveOccurred())
	_, err = io.ReadAll(content)
	g.Expect(err).To(failWith(opi.ErrUnavailable, "after 1000 bytes, 5 attempts"))
	_, again := content.Read(make([]byte, 1))
	g.Expect(again).To(Equal(err), "a failed download never looks finished")
	g.Expect(content.Close()).To(Succeed())
}

func TestAnswersOfDropletSources(t *testing.T) {
	d := dropletOf(t, "abcdef-guid", 1000)
	status := func(codes ...int) http.HandlerFunc {
		var n atomic.Int32
		return func(w http.ResponseWriter, _ *http.Request) {
			if at := int(n.Add(1)) - 1; at < len(codes) {
				w.Header().Set("Location", "")
				w.WriteHeader(codes[at])
				return
			}
			_, _ = w.Write(d.content)
		}
	}
	for name, example := range map[string]struct {
		handler http.HandlerFunc
		fails   error
		text    string
	}{
		"404":             {status(404), opi.ErrRefused, "no such droplet there (127.0.0.1:"},
		"410":             {status(410), opi.ErrRefused, "answers 410 Gone"},
		"403":             {status(403), opi.ErrUnavailable, "answers 403 Forbidden"},
		"busy":            {status(503, 429, 500), nil, ""},
		"always busy":     {status(503, 503, 503, 503, 503), opi.ErrUnavailable, "answers 503"},
		"nowhere":         {status(302), opi.ErrUnavailable, "redirects to no usable address"},
		"no content":      {status(204), opi.ErrUnavailable, "answers 204"},
		"unasked range":   {status(206), opi.ErrUnavailable, "asked for the bytes from 0 on"},
		"range not there": {status(416), opi.ErrUnavailable, "it got shorter"},
		"waits for too long": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(503)
		}, opi.ErrUnavailable, "503"},
		"in circles": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) }, opi.ErrUnavailable, "more than 5 redirects"},
		"another scheme": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		}, opi.ErrUnavailable, "over file, which is not allowed"},
		"too large": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 5000)) }, opi.ErrRefused, "the limit is 4000"},
		"too large, chunked": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, 100))
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(make([]byte, 5000))
		}, opi.ErrRefused, "the limit is 4000"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			server := httptest.NewServer(example.handler)
			t.Cleanup(server.Close)
			source := sourceOf(t, HTTPSourceOptions{URL: server.URL + "/x?signature=secret", PlainHTTP: true, MaxBytes: 4000})
			content, err := fetched(source, d.Droplet)
			if example.fails == nil {
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(content).To(Equal(d.content))
				return
			}
			g.Expect(err).To(failWith(example.fails, example.text))
			g.Expect(err).NotTo(MatchError(ContainSubstring("secret")))
		})
	}
}

func TestCancelledDownloads(t *testing.T) {
	g := NewWithT(t)
	store := &blobstore{content: make([]byte, 1000), cut: []int{10}, hang: true}
	server := httptest.NewServer(store)
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(context.Background())
	content, err := sourceOf(t, HTTPSourceOptions{URL: server.URL, PlainHTTP: true}).Open(ctx, opi.Droplet{}, "")
	g.Expect(err).NotTo(HaveOccurred())
	_, err = io.ReadFull(content, make([]byte, 10))
	g.Expect(err).NotTo(HaveOccurred())
	cancel()
	_, err = content.Read(make([]byte, 1))
	g.Expect(err).To(MatchError(context.Canceled))
	g.Expect(content.Close()).To(Succeed())
	g.Expect(store.asked.Load()).To(Equal(int32(1)))
}

// cloudController is the stand-in, which compares checksums, behind a server that asks for
// a client certificate, as Cloud Controller's nginx does, and with its blobstore at another
// address. Both record what they are shown.
type cloudController struct {
	*httptest.Server
	behind *standin.Server
	store  *httptest.Server
	// signed is the path and query of the last redirect.
	signed      atomic.Value
	blobs       *blobstore
	ca          string
	certificate string
	key         string
	shown       atomic.Int32
	leaked      atomic.Int32
	paths       chan string
}

// newCloudController has the droplet as the one that a process runs, without a SHA-256.
func newCloudController(t *testing.T, process string, d testDroplet) *cloudController {
	t.Helper()
	cc := &cloudController{blobs: &blobstore{content: d.content, etag: `"1"`, ranges: true}, paths: make(chan string, 10)}
	var err error
	cc.behind, err = standin.Start(standin.Options{})
	check(t, err)
	t.Cleanup(func() { check(t, cc.behind.Close()) })
	_, err = cc.behind.AddDroplet(process, d.reader())
	check(t, err)
	cc.behind.ForgetSHA256(process)
	behind, err := url.Parse(cc.behind.URL())
	check(t, err)
	cc.certificate, cc.key = clientCertificate(t)
	start := func(handler http.HandlerFunc, ask tls.ClientAuthType) *httptest.Server {
		server := httptest.NewUnstartedServer(handler)
		server.TLS = &tls.Config{ClientAuth: ask}
		server.Config.ErrorLog = silent
		server.StartTLS()
		t.Cleanup(server.Close)
		return server
	}
	cc.store = start(func(w http.ResponseWriter, request *http.Request) {
		if len(request.TLS.PeerCertificates) > 0 || request.Header.Get("Authorization") != "" || request.Header.Get("Referer") != "" {
			cc.leaked.Add(1)
		}
		if request.URL.RequestURI() != cc.signed.Load() {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		cc.blobs.ServeHTTP(w, request)
	}, tls.RequestClientCert)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(request *httputil.ProxyRequest) { request.SetURL(behind) },
		ModifyResponse: func(response *http.Response) error {
			location, err := response.Location()
			if errors.Is(err, http.ErrNoLocation) {
				return nil
			}
			if err != nil {
				return err
			}
			cc.signed.Store(location.RequestURI())
			response.Header.Set("Location", cc.store.URL+location.RequestURI())
			return nil
		},
		ErrorLog: silent,
	}
	cc.Server = start(func(w http.ResponseWriter, request *http.Request) {
		if _, password, _ := request.BasicAuth(); len(request.TLS.PeerCertificates) > 0 && password == "secret" {
			cc.shown.Add(1)
		}
		cc.paths <- request.URL.Path
		proxy.ServeHTTP(w, request)
	}, tls.RequireAnyClientCert)
	cc.ca = writeFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cc.Certificate().Raw})))
	return cc
}

func clientCertificate(t *testing.T) (certificateFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "irene"}, NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	return writeFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))),
		writeFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})))
}

func (cc *cloudController) options(t *testing.T) HTTPSourceOptions {
	return HTTPSourceOptions{
		CloudController: cc.URL, CAFile: cc.ca, CertificateFile: cc.certificate, KeyFile: cc.key,
		UsernameFile: writeFile(t, "user"), PasswordFile: writeFile(t, "secret"),
	}
}

func TestCloudControllerAsTheSourceOfOldDroplets(t *testing.T) {
	g := NewWithT(t)
	d := dropletOf(t, "abcdef-guid", 300_000)
	cc := newCloudController(t, "the-process", d)
	cc.blobs.cut = []int{100_000}
	source := sourceOf(t, cc.options(t))
	c := newCloud(t, withSource(source))
	assembled, err := c.assembler.Assemble(context.Background(), AssemblyRequest{Droplet: d.Droplet, ProcessGUID: "the-process"})
	g.Expect(err).NotTo(HaveOccurred())
	c.pull(assembled)
	g.Expect(<-cc.paths).To(Equal("/internal/v4/droplets/the-process/" + d.Checksum.Value + "/download"))
	g.Expect(cc.shown.Load()).To(Equal(int32(2)), "certificate and password, at the start and to go on")
	g.Expect(cc.leaked.Load()).To(BeZero(), "and to nobody else")
	g.Expect(cc.blobs.header[1].Get("Range")).To(Equal("bytes=100000-"))
	g.Expect(cc.blobs.header[1].Get("If-Range")).To(Equal(`"1"`))

	// It hands out the droplet that the process runs now, by its own checksum.
	_, err = cc.behind.AddDroplet("the-process", dropletOf(t, "another", 1000).reader())
	g.Expect(err).NotTo(HaveOccurred())
	cc.behind.ForgetSHA256("the-process")
	_, err = source.Open(t.Context(), d.Droplet, "the-process")
	g.Expect(err).To(failWith(opi.ErrRefused, "by their SHA-256 only"))

	// Without a certificate Cloud Controller doesn't talk.
	o := cc.options(t)
	o.CertificateFile, o.KeyFile = "", ""
	_, err = fetched(sourceOf(t, o), d.Droplet)
	g.Expect(err).To(failWith(opi.ErrUnavailable, "certificate required"))
	o = cc.options(t)
	o.CAFile = ""
	_, err = fetched(sourceOf(t, o), d.Droplet)
	g.Expect(err).To(failWith(opi.ErrUnavailable, "certificate"))
}

func TestRedirectsIntoTheClearAreRefused(t *testing.T) {
	g := NewWithT(t)
	plain := httptest.NewServer(&blobstore{content: []byte("x")})
	t.Cleanup(plain.Close)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		http.Redirect(w, request, plain.URL+"?signature=secret", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(server.Close)
	o := HTTPSourceOptions{URL: server.URL, CAFile: writeFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))}
	_, err := fetched(sourceOf(t, o), opi.Droplet{})
	g.Expect(err).To(failWith(opi.ErrUnavailable, "over http, which is not allowed"))
	o.PlainHTTP = true
	g.Expect(fetched(sourceOf(t, o), opi.Droplet{})).To(Equal([]byte("x")))
}

// A source that changes its content between two connections does not fool anybody.
func TestContentThatChangesIsRefused(t *testing.T) {
	g := NewWithT(t)
	d := dropletOf(t, "d", 200_000)
	var n atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		content := d.content
		if n.Add(1) > 1 {
			content = dropletOf(t, "another", 200_000).content
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		if n.Load() == 1 {
			_, _ = w.Write(content[:100_000])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(content)
	}))
	t.Cleanup(server.Close)
	c := newCloud(t, withSource(sourceOf(t, HTTPSourceOptions{URL: server.URL, PlainHTTP: true})))
	_, err := c.assemble(d)
	g.Expect(err).To(failWith(opi.ErrRefused, "was promised"))
	g.Expect(c.hub.count("PUT cloudfoundry/droplets")).To(BeZero())
	g.Expect(c.hub.count("PUT cloudfoundry/d")).To(BeZero())
}

func TestHTTPSourceOptions(t *testing.T) {
	g := NewWithT(t)
	for complaint, o := range map[string]HTTPSourceOptions{
		"exactly one of a URL":           {},
		"and Cloud Controller's address": {URL: "https://x", CloudController: "https://y"},
		"a file with a URL":              {URL: "https://x", URLFile: "/nowhere"},
		"has in braces is none of":       {URL: "https://x/{hash"},
		"is none of {droplet_guid}":      {URL: "https://x/{guid}/x"},
		"read the URL":                   {URLFile: "/nowhere"},
		"does not begin with":            {URL: "x/y"},
		"with https://host/":             {URLFile: writeFile(t, "https://user:secret@/x")},
		"can't be read as one":           {URLFile: writeFile(t, "https://user:secret%@x/y")},
		"choose one":                     {URLFile: writeFile(t, "https://user:secret@x/y"), UsernameFile: writeFile(t, "user"), PasswordFile: writeFile(t, "secret")},
		"does not begin with https":      {URL: "ftp://x/y"},
		"is plain HTTP":                  {CloudController: "http://x"},
		"host can't depend":              {URL: "https://{droplet_guid}.x/"},
		"must not hold credentials":      {URL: "https://u:p@x/"},
		"belong together":                {URL: "https://x", CertificateFile: "x"},
		"read the client certificate":    {URL: "https://x", CertificateFile: "/nowhere", KeyFile: "/nowhere"},
		"a user name file":               {URL: "https://x", PasswordFile: "/nowhere"},
		"read certificate authorities":   {URL: "https://x", CAFile: "/nowhere"},
	} {
		_, err := NewHTTPSource(o)
		g.Expect(err).To(MatchError(ContainSubstring(complaint)))
		g.Expect(err).NotTo(MatchError(ContainSubstring("secret")))
	}
	d := opi.Droplet{GUID: "abcdef", Checksum: opi.Checksum{Value: "a1"}}
	g.Expect(fill("{partition}/{droplet_guid}/{hash}/{process_guid}", d, "p?q")).To(Equal("ab/cd/abcdef/a1/p%3Fq"))
	d.URL = "https://x/\x00?signature=secret"
	_, err := sourceOf(t, HTTPSourceOptions{URL: "https://x"}).Open(context.Background(), d, "")
	g.Expect(err).To(failWith(opi.ErrRefused, "can't be read"))
	g.Expect(strings.Contains(err.Error(), "secret")).To(BeFalse())
}
