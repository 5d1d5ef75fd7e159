package buildpacks

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"code.cloudfoundry.org/lager/v3"
	"code.cloudfoundry.org/lager/v3/lagertest"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/steptest"
	"github.com/irene-cf/irene/stager/steps/transfer"
)

// TestMain gives slow machines their time.
func TestMain(m *testing.M) {
	SetDefaultEventuallyTimeout(time.Minute)
	os.Exit(m.Run())
}

// shelf is a registry in memory: layers by checksum.
type shelf struct {
	mutex  sync.Mutex
	layers map[string][]byte
	err    error
	slow   bool
	asked  int
}

func (s *shelf) Buildpack(ctx context.Context, checksum string) (string, bool, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.asked++
	if s.slow {
		<-ctx.Done()
		return "", false, ctx.Err()
	}
	_, there := s.layers[checksum]
	return "buildpacks@" + checksum, there, s.err
}

func (s *shelf) PushBuildpack(_ context.Context, checksum, file string) (string, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	content, err := os.ReadFile(file)
	if err != nil || s.err != nil {
		return "", errors.Join(err, s.err)
	}
	s.layers[checksum] = content
	return "buildpacks@" + checksum, nil
}

func (s *shelf) set(change func(*shelf)) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	change(s)
}

func (s *shelf) layer(checksum string) []byte {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.layers[checksum]
}

// workshop is Images with what they need.
type workshop struct {
	*Images
	shelf  *shelf
	folder string
	log    *lagertest.TestLogger
}

func newWorkshop(t *testing.T, change func(*Options)) *workshop {
	t.Helper()
	w := &workshop{shelf: &shelf{layers: map[string][]byte{}}, folder: t.TempDir(), log: lagertest.NewTestLogger("test")}
	options := Options{
		Registry: w.shelf, Folder: w.folder, LookPatience: 200 * time.Millisecond,
		Patience: transfer.Patience{Pause: time.Millisecond, LongestPause: time.Millisecond, Stall: time.Minute, Answer: time.Minute, Poll: time.Millisecond},
		Logger:   w.log, Registerer: prometheus.NewRegistry(),
	}
	if change != nil {
		change(&options)
	}
	var err error
	w.Images, err = New(options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		NewWithT(t).Expect(<-ended).To(Succeed())
		left, err := os.ReadDir(w.folder)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		NewWithT(t).Expect(left).To(BeEmpty(), "it tidies up")
	})
	return w
}

// outcomes is how often images had an outcome.
func (w *workshop) outcomes(outcome string) float64 {
	return testutil.ToFloat64(w.metrics.images.WithLabelValues(outcome))
}

type file struct {
	name, content string
	mode          fs.FileMode
}

func zipOf(t *testing.T, files ...file) []byte {
	t.Helper()
	g := NewWithT(t)
	var content bytes.Buffer
	archive := zip.NewWriter(&content)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: time.Date(2020, 2, 29, 12, 0, 2, 0, time.UTC)}
		header.SetMode(f.mode)
		entry, err := archive.CreateHeader(header)
		g.Expect(err).NotTo(HaveOccurred())
		_, err = entry.Write([]byte(f.content))
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(archive.Close()).To(Succeed())
	return content.Bytes()
}

func sampleBuildpack(t *testing.T) []byte {
	return zipOf(t, file{"bin/detect", "#!/bin/sh\n", 0o755}, file{"bin/lib.rb", "puts 1", 0o644}, file{"current", "bin", fs.ModeSymlink | 0o777})
}

// offered is a buildpack of the platform with this content.
func offered(content []byte, url string) opi.Buildpack {
	sum := sha256.Sum256(content)
	return opi.Buildpack{Name: "ruby", Key: "ruby-key", URL: url, Checksum: opi.Checksum{Algorithm: "sha256", Value: strings.ToUpper(hex.EncodeToString(sum[:]))}}
}

func checksumOf(b opi.Buildpack) string {
	checksum, _ := Checksum(b)
	return checksum
}

func TestAnImageIsMadeOnceForBuildsToCome(t *testing.T) {
	g := NewWithT(t)
	content := sampleBuildpack(t)
	var downloads atomic.Int32
	release := make(chan struct{})
	server := steptest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		downloads.Add(1)
		<-release
		_, _ = w.Write(content)
	})
	w := newWorkshop(t, nil)
	wanted := offered(content, server.URL+"/ruby?signature=hunter2")
	var builds sync.WaitGroup
	for range 20 {
		builds.Go(func() {
			if found := w.Find(context.Background(), []opi.Buildpack{wanted, wanted}); len(found) != 0 {
				t.Errorf("found %v before it was made", found)
			}
		})
	}
	builds.Wait()
	close(release)
	find := func() map[string]string { return w.Find(context.Background(), []opi.Buildpack{wanted}) }
	g.Eventually(find).Should(Equal(map[string]string{checksumOf(wanted): "buildpacks@" + checksumOf(wanted)}))
	g.Expect(downloads.Load()).To(Equal(int32(1)))
	g.Eventually(func() float64 { return w.outcomes(outcomeMade) }).Should(Equal(1.0))

	w.shelf.set(func(s *shelf) { s.err = errors.New("away") })
	g.Expect(find()).To(HaveLen(1), "it was seen a moment ago")
	for _, line := range w.log.LogMessages() {
		g.Expect(line).NotTo(ContainSubstring("hunter2"))
	}
}

func TestWhatNeverBecomesAnImage(t *testing.T) {
	g := NewWithT(t)
	w := newWorkshop(t, nil)
	sha256 := opi.Checksum{Algorithm: "sha256", Value: strings.Repeat("a", 64)}
	for why, buildpack := range map[string]opi.Buildpack{
		"no checksum":      {Name: "ruby", Key: "ruby-key", URL: "http://127.0.0.1:1/x"},
		"a weak checksum":  {Name: "ruby", Key: "ruby-key", URL: "http://127.0.0.1:1/x", Checksum: opi.Checksum{Algorithm: "sha1", Value: strings.Repeat("a", 40)}},
		"a user's own URL": {Name: "custom", Key: "http://u:p@127.0.0.1:1/x", URL: "http://u:p@127.0.0.1:1/x", Checksum: sha256},
	} {
		g.Expect(w.Find(context.Background(), []opi.Buildpack{buildpack})).To(BeEmpty(), why)
	}
	g.Expect(w.shelf.asked).To(BeZero())
}

func TestFindWaitsForNobody(t *testing.T) {
	g := NewWithT(t)
	w := newWorkshop(t, nil)
	w.shelf.slow = true
	wanted := offered(nil, "http://127.0.0.1:1/x")
	g.Expect(w.Find(context.Background(), []opi.Buildpack{wanted})).To(BeEmpty())
	w.shelf.set(func(s *shelf) { s.slow, s.err = false, errors.New("away") })
	g.Expect(w.Find(context.Background(), []opi.Buildpack{wanted})).To(BeEmpty())
	g.Expect(testutil.ToFloat64(w.metrics.lookFailures)).To(Equal(2.0))
	g.Expect(w.outcomes(outcomeFailed)).To(BeZero(), "nothing was begun")
}

func TestRefusals(t *testing.T) {
	good := sampleBuildpack(t)
	for name, c := range map[string]struct {
		content []byte
		wanted  []byte
		limits  steps.Limits
		why     string
	}{
		"another checksum": {content: good, wanted: []byte("other"), why: "checksum is"},
		"a way out":        {content: zipOf(t, file{"../evil", "x", 0o644}), why: "leads out of the archive"},
		"through a link":   {content: zipOf(t, file{"bin", "/etc", fs.ModeSymlink | 0o777}, file{"bin/passwd", "x", 0o644}), why: "symbolic link and something else at once"},
		"too large":        {content: good, limits: steps.Limits{UnpackedBytes: 5}, why: "unpacks to more than 5 bytes"},
		"too many":         {content: good, limits: steps.Limits{Entries: 2}, why: "more than 2 entries"},
		"a large archive":  {content: good, limits: steps.Limits{ArchiveBytes: 10}, why: "more than 10 bytes"},
		"no archive":       {content: []byte("<html>"), why: "neither a zip archive nor"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var downloads atomic.Int32
			server := steptest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
				downloads.Add(1)
				_, _ = w.Write(c.content)
			})
			w := newWorkshop(t, func(o *Options) { o.Limits = c.limits })
			wanted := offered(c.content, server.URL)
			if c.wanted != nil {
				wanted = offered(c.wanted, server.URL)
			}
			g.Expect(w.Find(context.Background(), []opi.Buildpack{wanted})).To(BeEmpty())
			g.Eventually(func() float64 { return w.outcomes(outcomeFailed) }).Should(Equal(1.0))
			g.Expect(w.shelf.layer(checksumOf(wanted))).To(BeNil())
			g.Expect(w.log.LogMessages()).To(ContainElement("test.buildpacks.make-image"))
			var told []string
			for _, line := range w.log.Logs() {
				if line.LogLevel == lager.ERROR {
					told = append(told, line.Data["error"].(string))
				}
			}
			g.Expect(told).To(ConsistOf(And(ContainSubstring(c.why), ContainSubstring("builds go on to fetch it"))))

			g.Expect(w.Find(context.Background(), []opi.Buildpack{wanted})).To(BeEmpty())
			g.Consistently(downloads.Load, "100ms").Should(Equal(int32(1)), "it is left alone for a while")
		})
	}
}

// A server that wants the certificate gets it, one that refuses it is asked without, as
// by fetch.
func TestDownloadsShowTheCertificate(t *testing.T) {
	g := NewWithT(t)
	platform := steptest.NewPlatform(t)
	content := sampleBuildpack(t)
	wants := platform.Serve(t, tls.RequireAndVerifyClientCert, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) })
	refuses := platform.Serve(t, tls.VerifyClientCertIfGiven, func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) > 0 {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write(content)
	})
	for _, server := range []string{wants.URL, refuses.URL} {
		w := newWorkshop(t, func(o *Options) { o.TLS = platform.Files() })
		wanted := offered(content, server)
		g.Eventually(func() map[string]string { return w.Find(context.Background(), []opi.Buildpack{wanted}) }).Should(HaveLen(1))
	}
}
