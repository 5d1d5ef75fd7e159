package registry

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/prometheus/client_golang/prometheus"
	clocktesting "k8s.io/utils/clock/testing"
)

// libraryLog is what the library logs in all tests.
var libraryLog = gbytes.NewBuffer()

// TestMain is what main does once, and lets a test start this binary as a registry
// of its own; see crash_test.go.
func TestMain(m *testing.M) {
	logger := lager.NewLogger("test")
	logger.RegisterSink(lager.NewWriterSink(libraryLog, lager.DEBUG))
	AdoptLibraryLogs(logger)
	if directory := os.Getenv(servedDirectory); directory != "" {
		serveUntilKilled(directory)
	}
	os.Exit(m.Run())
}

const (
	pushUser     = "irene"
	pushPassword = "s3cret:with colon"
	pullUser     = "kubelet"
	pullPassword = "other"
)

// served is a registry on loopback.
type served struct {
	*Registry
	t         *testing.T
	directory string
	clock     *clocktesting.FakeClock
	log       *gbytes.Buffer
	metrics   *prometheus.Registry
	server    *httptest.Server
	// free, if not negative, is the free space.
	free *atomic.Int64
}

// serve starts a registry in directory. Its clock stands, at the present, until a
// test steps it.
func serve(t *testing.T, directory string, change ...func(*Options)) *served {
	t.Helper()
	s := &served{
		t:         t,
		directory: directory,
		clock:     clocktesting.NewFakeClock(time.Now()),
		log:       gbytes.NewBuffer(),
		metrics:   prometheus.NewRegistry(),
		free:      new(atomic.Int64),
	}
	s.free.Store(1 << 40)
	logger := lager.NewLogger("test")
	logger.RegisterSink(lager.NewWriterSink(s.log, lager.DEBUG))
	passwords := t.TempDir()
	options := Options{
		Directory: directory,
		Users: []User{
			{Name: pushUser, PasswordFile: writeFile(t, filepath.Join(passwords, "push"), pushPassword+"\n")},
			{Name: pullUser, PasswordFile: writeFile(t, filepath.Join(passwords, "pull"), pullPassword), ReadOnly: true},
		},
		MinFreeBytes: 1 << 30,
		MinAge:       DefaultMinAge,
		UploadIdle:   DefaultUploadIdle,
		Logger:       logger,
		Registerer:   s.metrics,
		Clock:        s.clock,
		FreeBytes:    func() (int64, error) { return s.free.Load(), nil },
	}
	for _, c := range change {
		c(&options)
	}
	var err error
	if s.Registry, err = New(options); err != nil {
		t.Fatal(err)
	}
	s.server = httptest.NewUnstartedServer(nil)
	s.server.Config = s.Server()
	s.server.Start()
	t.Cleanup(s.stop)
	return s
}

// stop is what a process does at its end.
func (s *served) stop() {
	s.server.Close()
	if s.Registry != nil {
		if err := s.Close(); err != nil {
			s.t.Error(err)
		}
		s.Registry = nil
	}
}

func writeFile(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (s *served) host() string { return strings.TrimPrefix(s.server.URL, "http://") }

func (s *served) tag(repository, tag string) name.Tag {
	s.t.Helper()
	parsed, err := name.NewTag(s.host() + "/" + repository + ":" + tag)
	if err != nil {
		s.t.Fatal(err)
	}
	return parsed
}

// asPusher and asPuller are options of the client.
func asPusher() remote.Option {
	return remote.WithAuth(&authn.Basic{Username: pushUser, Password: pushPassword})
}

func asPuller() remote.Option {
	return remote.WithAuth(&authn.Basic{Username: pullUser, Password: pullPassword})
}

// push pushes an image and returns it.
func (s *served) push(repository, tag string, image v1.Image) v1.Image {
	s.t.Helper()
	if err := remote.Write(s.tag(repository, tag), image, asPusher()); err != nil {
		s.t.Fatalf("push %s:%s: %v", repository, tag, err)
	}
	return image
}

// pull checks that an image is there, complete and unharmed.
func (s *served) pull(reference name.Reference) error {
	image, err := remote.Image(reference, asPuller())
	if err != nil {
		return err
	}
	return validate.Image(image)
}

// isMissing matches a pull's error for what doesn't exist.
func (s *served) expectMissing(reference name.Reference) {
	s.t.Helper()
	NewWithT(s.t).Expect(s.pull(reference)).To(MatchError(ContainSubstring("MANIFEST_UNKNOWN")))
}

func (s *served) expectPull(reference name.Reference) {
	s.t.Helper()
	NewWithT(s.t).Expect(s.pull(reference)).To(Succeed(), reference.String())
}

// expectReadable reads each blob; the client compares digests.
func (s *served) expectReadable(image v1.Image) {
	s.t.Helper()
	g := NewWithT(s.t)
	_, err := image.RawConfigFile()
	g.Expect(err).NotTo(HaveOccurred())
	layers, err := image.Layers()
	g.Expect(err).NotTo(HaveOccurred())
	for _, layer := range layers {
		content, err := layer.Compressed()
		g.Expect(err).NotTo(HaveOccurred())
		_, err = io.Copy(io.Discard, content)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(content.Close()).To(Succeed())
	}
}

// collect collects now.
func (s *served) collect() {
	s.t.Helper()
	if _, err := s.GarbageCollect(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// call makes a request of the raw API and returns status, header and body.
func (s *served) call(method, path string, body io.Reader, header ...string) (int, http.Header, string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.resolve(path), body)
	if err != nil {
		s.t.Fatal(err)
	}
	request.SetBasicAuth(pushUser, pushPassword)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	return s.do(request)
}

func (s *served) do(request *http.Request) (int, http.Header, string) {
	s.t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(content)
}

func (s *served) resolve(path string) string {
	base, err := url.Parse(s.server.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	target, err := base.Parse(path)
	if err != nil {
		s.t.Fatal(err)
	}
	return target.String()
}

// blobFile is where a blob's content is.
func (s *served) blobFile(blob v1.Hash) string {
	return filepath.Join(s.directory, "docker/registry/v2/blobs", blob.Algorithm, blob.Hex[:2], blob.Hex, "data")
}

// randomImage has layers of 1 KiB.
func randomImage(t *testing.T, layers int) v1.Image {
	t.Helper()
	image, err := random.Image(1024, int64(layers))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// randomLayer has bytes that are no archive, which no registry minds.
func randomLayer(t *testing.T, size int64, mediaType types.MediaType) v1.Layer {
	t.Helper()
	layer, err := random.Layer(size, mediaType)
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

// ociImage is of OCI's media types and has exactly these layers.
func ociImage(t *testing.T, layers ...v1.Layer) v1.Image {
	t.Helper()
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.AppendLayers(image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func staticLayer(content string, mediaType types.MediaType) v1.Layer {
	return static.NewLayer([]byte(content), mediaType)
}

func digestOf(t *testing.T, part interface{ Digest() (v1.Hash, error) }) v1.Hash {
	t.Helper()
	digest, err := part.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func (s *served) byDigest(repository string, part interface{ Digest() (v1.Hash, error) }) name.Digest {
	s.t.Helper()
	return s.tag(repository, "x").Digest(digestOf(s.t, part).String())
}

// metric is the value of a metric without labels or with exactly the given ones,
// as name=value.
func (s *served) metric(family string, labels ...string) float64 {
	s.t.Helper()
	families, err := s.metrics.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != family {
			continue
		}
		for _, m := range f.GetMetric() {
			var found []string
			for _, label := range m.GetLabel() {
				found = append(found, fmt.Sprintf("%s=%s", label.GetName(), label.GetValue()))
			}
			if strings.Join(found, ",") == strings.Join(labels, ",") {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
