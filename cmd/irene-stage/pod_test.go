package main

import (
	"archive/zip"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/steptest"
)

const (
	registryPassword = "registry-hunter2"
	blobSignature    = "blob-s3cret"
)

// cloud is what a staging talks to: Cloud Controller's blobstore and uploader, which
// want a client certificate, and a registry that wants a password.
type cloud struct {
	platform *steptest.Platform
	address  string
	registry *httptest.Server
	folder   string

	mutex    sync.Mutex
	blobs    map[string][]byte
	uploaded map[string][]byte
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{platform: steptest.NewPlatform(t), folder: outsideOfTmp(t), blobs: map[string][]byte{}, uploaded: map[string][]byte{}}
	c.address = c.platform.Serve(t, tls.RequireAndVerifyClientCert, c.serve).URL
	handler := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	c.registry = steptest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != registryPassword {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	})
	for name, content := range map[string]string{"user": "irene", "password": registryPassword} {
		NewWithT(t).Expect(os.WriteFile(filepath.Join(c.folder, name), []byte(content), 0o644)).To(Succeed())
	}
	return c
}

func (c *cloud) serve(w http.ResponseWriter, r *http.Request) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.ContentLength != int64(len(body)) {
			w.WriteHeader(http.StatusLengthRequired)
			return
		}
		c.uploaded[r.URL.Path] = body
		w.WriteHeader(http.StatusCreated)
		return
	}
	blob, ok := c.blobs[r.URL.Path]
	if !ok || r.URL.Query().Get("sig") != blobSignature {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	_, _ = w.Write(blob)
}

// blob keeps a blob and returns its signed URL.
func (c *cloud) blob(path string, content []byte) string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.blobs[path] = content
	return c.address + path + "?sig=" + blobSignature
}

func (c *cloud) taken(path string) []byte {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.uploaded[path]
}

// outsideOfTmp is a temporary folder that a build with a volume at /tmp can see.
func outsideOfTmp(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("/var/tmp", "irene-stage-test")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	NewWithT(t).Expect(os.Chmod(folder, 0o755)).To(Succeed())
	return folder
}

// appOf is a zip archive as Windows makes it; content "-> target" makes a symbolic link.
func appOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var app bytes.Buffer
	w := zip.NewWriter(&app)
	for name, content := range files {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate}
		if target, link := strings.CutPrefix(content, "-> "); link {
			header.SetMode(fs.ModeSymlink | 0o777)
			content = target
		}
		entry, err := w.CreateHeader(header)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		_, err = io.WriteString(entry, content)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
	}
	NewWithT(t).Expect(w.Close()).To(Succeed())
	return app.Bytes()
}

// pod runs the three steps as Kubernetes does: build as uid 2000 in namespaces of its
// own, with the volume at /tmp.
type pod struct {
	*cloud
	volume  string
	program string
	// build is the run of that step.
	build bytes.Buffer
	logs  bytes.Buffer
}

func (c *cloud) newPod(t *testing.T) *pod {
	t.Helper()
	g := NewWithT(t)
	p := &pod{cloud: c, volume: outsideOfTmp(t), program: filepath.Join(outsideOfTmp(t), "irene-stage")}
	build := exec.Command("go", "build", "-o", p.program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(out))
	g.Expect(os.Chown(p.volume, 2000, 2000)).To(Succeed())
	return p
}

// step runs a step and returns its outcome.
func (p *pod) step(t *testing.T, name string, config any, environment ...string) steps.Outcome {
	t.Helper()
	g := NewWithT(t)
	text, err := json.Marshal(config)
	g.Expect(err).NotTo(HaveOccurred())
	folder := outsideOfTmp(t)
	// No other container has what is mounted into this one.
	defer os.RemoveAll(folder)
	terminationLog := filepath.Join(folder, "termination-log")
	configFile := filepath.Join(folder, "config.json")
	g.Expect(os.WriteFile(configFile, text, 0o644)).To(Succeed())
	g.Expect(os.WriteFile(terminationLog, nil, 0o666)).To(Succeed())
	g.Expect(os.Chmod(terminationLog, 0o666)).To(Succeed())
	args := []string{"setpriv", "--reuid=2000", "--regid=2000", "--clear-groups", "--no-new-privs", p.program, name, "--config", configFile, "--termination-log", terminationLog}
	if name == steps.BuildStep {
		// Its credentials are in folders below /tmp and in those of cloud.
		script := `mount --bind "$1" /tmp && mount -t tmpfs tmpfs "$2" && shift 2 && exec "$@"`
		args = append([]string{"unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", script, "sh", p.volume, p.folder}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Env = append([]string{"PATH=/usr/local/bin:/usr/bin:/bin"}, environment...)
	runErr := cmd.Run()
	p.logs.Write(log.Bytes())
	if name == steps.BuildStep {
		p.build = log
	}
	message, err := os.ReadFile(terminationLog)
	g.Expect(err).NotTo(HaveOccurred())
	outcome, err := steps.ParseOutcome(name, message)
	g.Expect(err).NotTo(HaveOccurred(), "%s: %v: %s", name, runErr, log.String())
	g.Expect(runErr == nil).To(Equal(outcome.Failure == nil))
	return outcome
}

func (p *pod) fetch(t *testing.T, app []byte, cache []byte, packs ...opi.Buildpack) steps.Outcome {
	t.Helper()
	config := steps.FetchConfig{Workspace: p.volume, AppURL: p.blob("/app", app), Buildpacks: packs, TLS: p.readableFiles(t)}
	if cache != nil {
		config.CacheURL = p.blob("/cache", cache)
	}
	return p.step(t, steps.FetchStep, config)
}

// readableFiles are the platform's, as a Secret gives them to uid 2000.
func (p *pod) readableFiles(t *testing.T) steps.TLSFiles {
	t.Helper()
	g := NewWithT(t)
	files := p.platform.Files()
	for _, path := range []*string{&files.Certificate, &files.Key, &files.Authorities[0]} {
		text, err := os.ReadFile(*path)
		g.Expect(err).NotTo(HaveOccurred())
		*path = filepath.Join(p.folder, filepath.Base(*path))
		g.Expect(os.WriteFile(*path, text, 0o644)).To(Succeed())
	}
	return files
}

func (p *pod) push(t *testing.T) steps.Outcome {
	t.Helper()
	return p.step(t, steps.PushStep, steps.PushConfig{
		Workspace: p.volume, Stack: "cflinuxfs4", DropletURL: p.address + "/v1/droplet/guid", CacheURL: p.address + "/v1/build_artifacts/guid", TLS: p.readableFiles(t),
		Registry: steps.RegistryConfig{Address: strings.TrimPrefix(p.registry.URL, "http://"), Prefix: "irene", PlainHTTP: true,
			UsernameFile: filepath.Join(p.folder, "user"), PasswordFile: filepath.Join(p.folder, "password")},
	})
}
