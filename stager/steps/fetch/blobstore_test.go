package fetch

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/steptest"
	"github.com/irene-cf/irene/stager/steps/transfer"
)

const password = "hunter2"

func hasty() transfer.Patience {
	return transfer.Patience{Outage: time.Second, ShortOutage: time.Second, Downloads: 3, Pause: time.Millisecond, LongestPause: time.Millisecond, Stall: 5 * time.Second, Answer: 5 * time.Second, Poll: time.Millisecond}
}

func zipOf(t testing.TB, files map[string]string) []byte {
	t.Helper()
	g := NewWithT(t)
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for name, content := range files {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate}
		header.SetMode(0o755)
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			header.SetMode(fs.ModeSymlink | 0o777)
			content = target
		}
		entry, err := w.CreateHeader(header)
		g.Expect(err).NotTo(HaveOccurred())
		_, err = io.WriteString(entry, content)
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(w.Close()).To(Succeed())
	return archive.Bytes()
}

func tgzOf(t testing.TB, files map[string]string) []byte {
	t.Helper()
	g := NewWithT(t)
	var archive bytes.Buffer
	z := gzip.NewWriter(&archive)
	w := tar.NewWriter(z)
	for name, content := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o755}
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			header = &tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}
			content = ""
		}
		g.Expect(w.WriteHeader(header)).To(Succeed())
		_, err := io.WriteString(w, content)
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(w.Close()).To(Succeed())
	g.Expect(z.Close()).To(Succeed())
	return archive.Bytes()
}

func sha256Of(content []byte) opi.Checksum {
	return opi.Checksum{Algorithm: "sha256", Value: fmt.Sprintf("%x", sha256.Sum256(content))}
}

// blobstore serves files by path, those below /private/ for a password only, and those
// below /mutual/ for a certificate only.
func blobstore(t testing.TB, p *steptest.Platform, files map[string][]byte) string {
	t.Helper()
	server := p.Serve(t, tls.RequestClientCert, func(w http.ResponseWriter, r *http.Request) {
		_, given, _ := r.BasicAuth()
		content, ok := files[r.URL.Path]
		switch {
		case strings.HasPrefix(r.URL.Path, "/private/") && given != password:
			w.WriteHeader(401)
		case strings.HasPrefix(r.URL.Path, "/mutual/") && len(r.TLS.PeerCertificates) == 0:
			w.WriteHeader(403)
		case !ok:
			w.WriteHeader(404)
		default:
			_, _ = w.Write(content)
		}
	})
	return server.URL
}

type fetched struct {
	folder string
	phases []steps.Phase
	log    string
}

func run(t testing.TB, config steps.FetchConfig) (fetched, error) {
	t.Helper()
	return runIn(t, t.TempDir(), config)
}

func runIn(t testing.TB, folder string, config steps.FetchConfig) (fetched, error) {
	t.Helper()
	config.Workspace = folder
	NewWithT(t).Expect(config.Validate()).To(Succeed())
	var log bytes.Buffer
	phases, err := Run(context.Background(), config, steps.NewUserLog(&log), hasty())
	return fetched{folder, phases, log.String()}, err
}

func (f fetched) text(t testing.TB, name ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{f.folder}, name...)...))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return string(text)
}
