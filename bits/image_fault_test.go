package bits

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
)

// forPlatform is an image that says what it is for.
func forPlatform(t *testing.T, os, architecture string) v1.Image {
	t.Helper()
	image := imageOf(t, "1000")
	config, err := image.ConfigFile()
	check(t, err)
	config = config.DeepCopy()
	config.OS, config.Architecture = os, architecture
	image, err = mutate.ConfigFile(image, config)
	check(t, err)
	return image
}

// indexFor is an index of images with the platforms that it says.
func indexFor(t *testing.T, platforms ...v1.Platform) v1.ImageIndex {
	t.Helper()
	var index v1.ImageIndex = empty.Index
	for _, platform := range platforms {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: forPlatform(t, platform.OS, platform.Architecture), Descriptor: v1.Descriptor{Platform: &platform},
		})
	}
	return index
}

// artifact is a manifest that go-containerregistry would not make.
type artifact struct {
	mediaType types.MediaType
	manifest  string
}

// RawManifest implements remote.Taggable.
func (a artifact) RawManifest() ([]byte, error) { return []byte(a.manifest), nil }

// MediaType says what the manifest is pushed as.
func (a artifact) MediaType() (types.MediaType, error) { return a.mediaType, nil }

// pushArtifact pushes a manifest as it is and returns its reference.
func (r *registry) pushArtifact(image string, a artifact) string {
	r.t.Helper()
	reference, err := name.ParseReference(r.reference(image))
	check(r.t, err)
	check(r.t, remote.Put(reference, a))
	return reference.Name()
}

// blob pushes a blob and returns the descriptor of it that manifests have.
func (r *registry) blob(content string, mediaType types.MediaType) string {
	r.t.Helper()
	reference, err := name.ParseReference(r.reference("broken"))
	check(r.t, err)
	layer := static.NewLayer([]byte(content), mediaType)
	check(r.t, remote.WriteLayer(reference.Context(), layer))
	digest, err := layer.Digest()
	check(r.t, err)
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, digest, len(content))
}

func manifestOf(config string) artifact {
	return artifact{types.OCIManifestSchema1, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":` + config + `,"layers":[]}`}
}

// Asking again for such an image is in vain, and its owner reads why.
func TestFaultsOfImages(t *testing.T) {
	r := newRegistry(t, "")
	amd64 := WithPlatform(v1.Platform{OS: "linux", Architecture: "amd64"})
	tests := map[string]struct{ reference, reason string }{
		"only other architectures": {
			r.push("arm", indexFor(t, v1.Platform{OS: "linux", Architecture: "s390x"}, v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"},
				v1.Platform{OS: "unknown", Architecture: "unknown"})),
			"it is for linux/arm64/v8, linux/s390x, and this platform runs linux/amd64",
		},
		"another architecture, without an index": {r.push("single", forPlatform(t, "linux", "arm64")), "it is for linux/arm64, and this platform runs linux/amd64"},
		"windows":                                {r.push("windows", forPlatform(t, "windows", "amd64")), "it is for windows/amd64, and this platform runs linux/amd64"},
		"empty index":                            {r.push("empty", empty.Index), "it is an index without an image"},
		"Docker's old format": {
			r.pushArtifact("old", artifact{types.DockerManifestSchema1Signed, `{"schemaVersion":1}`}), "its manifest has Docker's old format (schema 1)",
		},
		"a Helm chart": {
			r.pushArtifact("broken:chart", manifestOf(r.blob(`{"name":"chart"}`, "application/vnd.cncf.helm.config.v1+json"))),
			"it is not a container image, but application/vnd.cncf.helm.config.v1+json",
		},
		"a config that is not JSON": {r.pushArtifact("broken:config", manifestOf(r.blob("{]", types.OCIConfigJSON))), "its config is not one"},
		"a config of another size": {
			r.pushArtifact("broken:size", manifestOf(strings.Replace(r.blob(`{"os":"linux"}`, types.OCIConfigJSON), `"size":14`, `"size":99`, 1))),
			"its config has not the size or the digest that its manifest says",
		},
		"a config that was never pushed": {
			r.pushArtifact("broken:lost", manifestOf(`{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"sha256:`+strings.Repeat("a", 64)+`"}`)),
			"its registry lacks a part of it (404 Not Found); push it again",
		},
		"no such tag":         {r.reference("broken:nothing"), "its registry has no such image (404 Not Found)"},
		"no such repository":  {r.reference("nothing"), "its registry has no such image (404 Not Found)"},
		"no name of an image": {"Not An Image", "this is not the name of an image"},
		"no such host":        {"nothing.invalid/app", "the host of its registry does not exist"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, err := NewImageUsers(time.Minute, onLoopback(t), amd64, withTransport(unresolved{})).Config(context.Background(), opi.Image{Reference: test.reference})
			g.Expect(err).To(failWith(opi.ErrRefused, test.reason))
			g.Expect(err).NotTo(MatchError(opi.ErrUnavailable))
			g.Expect(err).To(MatchError(HavePrefix(test.reference+": ")), "and nothing else before it")
		})
	}
}

// unresolved is a network whose name server knows no host.
type unresolved struct{}

// RoundTrip implements http.RoundTripper.
func (unresolved) RoundTrip(request *http.Request) (*http.Response, error) {
	if strings.HasSuffix(request.URL.Host, ".invalid") {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: request.URL.Host, IsNotFound: true}}
	}
	return http.DefaultTransport.RoundTrip(request)
}

func TestImagesOfOnePlatform(t *testing.T) {
	r := newRegistry(t, "")
	for name, test := range map[string]struct {
		nodes string
		image remote.Taggable
	}{
		"an index with the platform":    {"amd64", indexFor(t, v1.Platform{OS: "windows", Architecture: "amd64"}, v1.Platform{OS: "linux", Architecture: "amd64"})},
		"what the platform runs, too":   {"amd64", indexFor(t, v1.Platform{OS: "linux", Architecture: "386"})},
		"another name":                  {"arm64", forPlatform(t, "linux", "aarch64")},
		"a config without a platform":   {"arm64", forPlatform(t, "", "")},
		"an index in an index":          {"arm64", mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: indexFor(t, v1.Platform{OS: "linux", Architecture: "arm64"})})},
		"an index without platforms":    {"arm64", mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: forPlatform(t, "linux", "arm64")})},
		"the better one of two matches": {"amd64", indexFor(t, v1.Platform{OS: "linux", Architecture: "386"}, v1.Platform{OS: "linux", Architecture: "amd64"})},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			users := NewImageUsers(time.Minute, onLoopback(t), WithPlatform(v1.Platform{OS: "linux", Architecture: test.nodes, Variant: "v9"}))
			config, err := users.Config(context.Background(), opi.Image{Reference: r.push("app", test.image)})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(config.User).To(Equal("1000"))
		})
	}
}

// The registry's answers and connections are sorted by whether they may be others later.
func TestAnswersOfRegistriesOfImages(t *testing.T) {
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	index := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/manifests/sha256:") {
				answer(404, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}`)(w, r)
				return
			}
			w.Header().Set("Content-Type", string(types.OCIImageIndex))
			_, _ = io.WriteString(w, body)
		}
	}
	for name, test := range map[string]struct {
		manifests http.HandlerFunc
		kind      error
		reason    string
	}{
		"denied":           {answer(401, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`), opi.ErrRefused, "its registry denies access (401 Unauthorized)"},
		"forbidden":        {answer(403, "<html>"), opi.ErrRefused, "its registry denies access (403 Forbidden): there is no such image, or other credentials are needed"},
		"bad request":      {answer(400, ""), opi.ErrRefused, "its registry refuses the request (400 Bad Request)"},
		"gone":             {answer(410, ""), opi.ErrRefused, "410 Gone"},
		"too many":         {answer(429, ""), opi.ErrUnavailable, "its registry can't answer at present (429 Too Many Requests)"},
		"too many, by 403": {answer(403, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}`), opi.ErrUnavailable, "can't answer at present (403 Forbidden)"},
		"request timeout":  {answer(408, ""), opi.ErrUnavailable, "408 Request Timeout"},
		"too early":        {answer(425, ""), opi.ErrUnavailable, "425 Too Early"},
		"out of order":     {answer(500, ""), opi.ErrUnavailable, "500 Internal Server Error"},
		"bad gateway":      {answer(502, "<html>"), opi.ErrUnavailable, "502 Bad Gateway"},
		"overloaded":       {answer(503, ""), opi.ErrUnavailable, "503 Service Unavailable"},
		"late gateway":     {answer(504, ""), opi.ErrUnavailable, "504 Gateway Timeout"},
		"cut off":          {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, opi.ErrUnavailable, "its registry can't be reached: "},
		"cut off in the middle": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"schemaVersion":2}`)
		}, opi.ErrUnavailable, "its registry can't be reached: the connection was cut off"},
		"in circles": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"?signature=secret", http.StatusTemporaryRedirect)
		}, opi.ErrRefused, "its registry redirects more than 10 times"},
		"an index that is not JSON": {index("["), opi.ErrRefused, "its index is not one"},
		"an index whose image is not there": {index(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,"digest":"sha256:` +
			strings.Repeat("a", 64) + `"}]}`), opi.ErrRefused, "its registry has no such image (404 Not Found)"},
		"another page": {answer(200, "<html>"), opi.ErrRefused, "its manifest is not one"},
		"no answer":    {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, opi.ErrUnavailable, "the registry did not answer within"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "/manifests/") {
					test.manifests(w, r)
				}
			}))
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.Start()
			t.Cleanup(server.Close)
			timeout := time.Minute
			if name == "no answer" {
				timeout = 100 * time.Millisecond
			}
			_, err := NewImageUsers(timeout, onLoopback(t)).Config(context.Background(), opi.Image{Reference: strings.TrimPrefix(server.URL, "http://") + "/app"})
			g.Expect(err).To(failWith(test.kind, test.reason))
			g.Expect(errors.Is(err, opi.ErrRefused)).NotTo(Equal(errors.Is(err, opi.ErrUnavailable)), "either the one or the other")
			g.Expect(err).NotTo(MatchError(ContainSubstring("secret")))
		})
	}
}

func TestConnectionsToRegistriesOfImages(t *testing.T) {
	certified := httptest.NewUnstartedServer(http.NotFoundHandler())
	certified.Config.ErrorLog = log.New(io.Discard, "", 0)
	certified.StartTLS()
	t.Cleanup(certified.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	dial := func(err error) http.RoundTripper {
		return roundTripper(func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
		})
	}
	to := func(address string) http.RoundTripper {
		return &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}}
	}
	for name, test := range map[string]struct {
		network http.RoundTripper
		kind    error
		reason  string
	}{
		"refused":                         {dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), opi.ErrUnavailable, "its registry can't be reached: connection refused"},
		"reset":                           {dial(os.NewSyscallError("read", syscall.ECONNRESET)), opi.ErrUnavailable, "the connection was cut off"},
		"timed out":                       {dial(os.ErrDeadlineExceeded), opi.ErrUnavailable, "its registry can't be reached: timeout"},
		"no route":                        {dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), opi.ErrUnavailable, "its registry can't be reached"},
		"a name server that is away":      {dial(&net.DNSError{Err: "server misbehaving", Name: "r.example", IsTemporary: true}), opi.ErrUnavailable, "its registry can't be reached"},
		"no such host":                    {dial(&net.DNSError{Err: "no such host", Name: "r.example", IsNotFound: true}), opi.ErrRefused, "the host of its registry does not exist"},
		"a certificate that is not known": {to(certified.Listener.Addr().String()), opi.ErrRefused, "the certificate of its registry is for another host"},
		"without TLS":                     {to(plain.Listener.Addr().String()), opi.ErrRefused, "its registry does not use TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			_, err := NewImageUsers(time.Minute, onLoopback(t), withTransport(test.network)).Config(context.Background(), opi.Image{Reference: "r.example/app"})
			g.Expect(err).To(failWith(test.kind, test.reason))
			g.Expect(errors.Is(err, opi.ErrRefused)).NotTo(Equal(errors.Is(err, opi.ErrUnavailable)), "either the one or the other")
		})
	}
}
