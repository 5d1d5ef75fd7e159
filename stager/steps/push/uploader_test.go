package push

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/steptest"
	"github.com/irene-cf/irene/stager/steps/transfer"
)

const resultText = `{"lifecycle_type":"buildpack","lifecycle_metadata":{"detected_buildpack":"d","buildpacks":[]},"process_types":{"web":"run"},"execution_metadata":""}`

func hasty() transfer.Patience {
	return transfer.Patience{Outage: time.Minute, ShortOutage: time.Minute, Downloads: 3, Pause: time.Millisecond, LongestPause: time.Millisecond, Stall: 5 * time.Second, Answer: 5 * time.Second, Poll: time.Millisecond}
}

// memoryStore keeps droplets in memory.
type memoryStore struct {
	droplet steps.Droplet
	content []byte
	err     error
	// before is called first.
	before func()
}

func (s *memoryStore) Push(_ context.Context, file *io.SectionReader, droplet steps.Droplet) (string, error) {
	if s.before != nil {
		s.before()
	}
	content, err := io.ReadAll(file)
	if err != nil {
		return "", err
	}
	s.droplet, s.content = droplet, content
	return "sha256:manifest", s.err
}

// uploader is Cloud Controller's uploader.
type uploader struct {
	droplet, cache atomic.Value
	dropletStatus  int
	cacheStatus    int
}

func (u *uploader) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	sum := md5.Sum(body)
	if err != nil || r.ContentLength != int64(len(body)) || r.Header.Get("Content-MD5") != base64.StdEncoding.EncodeToString(sum[:]) {
		w.WriteHeader(400)
		return
	}
	switch {
	case strings.HasPrefix(r.URL.Path, "/v1/droplet/") && u.dropletStatus != 0:
		w.WriteHeader(u.dropletStatus)
	case strings.HasPrefix(r.URL.Path, "/v1/droplet/"):
		u.droplet.Store(string(body))
		w.WriteHeader(http.StatusCreated)
	case u.cacheStatus != 0:
		w.WriteHeader(u.cacheStatus)
	default:
		u.cache.Store(string(body))
	}
}

type fixture struct {
	folder   string
	uploader *uploader
	store    *memoryStore
	config   steps.PushConfig
	patience transfer.Patience
	log      bytes.Buffer
	phases   []steps.Phase
}

// newFixture is a volume as a build leaves it, and those who take what is there.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	p := steptest.NewPlatform(t)
	f := &fixture{folder: t.TempDir(), uploader: &uploader{}, store: &memoryStore{}, patience: hasty()}
	server := p.Serve(t, tls.RequireAndVerifyClientCert, f.uploader.serve)
	f.config = steps.PushConfig{
		Workspace:  f.folder,
		Stack:      "cflinuxfs4",
		DropletURL: server.URL + "/v1/droplet/guid?cc-droplet-upload-uri=http://x",
		CacheURL:   server.URL + "/v1/build_artifacts/guid",
		TLS:        p.Files(),
		Registry:   steps.RegistryConfig{Address: "localhost:5000"},
	}
	NewWithT(t).Expect(os.Mkdir(f.path(""), 0o755)).To(Succeed())
	for name, content := range map[string]string{steps.DropletFile: "droplet", steps.ResultFile: resultText, steps.CacheFile: "cache"} {
		f.write(t, name, content)
	}
	return f
}

func (f *fixture) path(name string) string { return filepath.Join(f.folder, steps.OutFolder, name) }

func (f *fixture) write(t *testing.T, name, content string) {
	t.Helper()
	NewWithT(t).Expect(os.WriteFile(f.path(name), []byte(content), 0o644)).To(Succeed())
}

func (f *fixture) run(t *testing.T) (*steps.OutcomeDroplet, error) {
	t.Helper()
	NewWithT(t).Expect(f.config.Validate()).To(Succeed())
	droplet, phases, err := Run(context.Background(), f.config, f.store, steps.NewUserLog(&f.log), f.patience)
	f.phases = phases
	return droplet, err
}
