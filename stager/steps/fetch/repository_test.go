package fetch

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/steptest"
)

func TestGitBuildpacks(t *testing.T) {
	g := NewWithT(t)
	execPath, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Skip("needs git, to serve repositories")
	}
	folder := t.TempDir()
	repository := filepath.Join(folder, "bp")
	git := func(args ...string) {
		cmd := exec.Command("git", append([]string{"-C", repository, "-c", "user.name=a", "-c", "user.email=a@b"}, args...)...)
		out, err := cmd.CombinedOutput()
		g.Expect(err).NotTo(HaveOccurred(), string(out))
	}
	g.Expect(os.MkdirAll(filepath.Join(repository, "bin"), 0o755)).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(repository, "bin/detect"), []byte("from git"), 0o755)).To(Succeed())
	git("init", "--quiet", "--initial-branch=main")
	git("add", "--all")
	git("commit", "--quiet", "--message=m")
	git("branch", "stable")
	backend := &cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(execPath)), "git-http-backend"), Env: []string{"GIT_PROJECT_ROOT=" + folder, "GIT_HTTP_EXPORT_ALL=1"}, Stderr: io.Discard}

	p := steptest.NewPlatform(t)
	archive := zipOf(t, map[string]string{"bin/detect": "from an archive"})
	var failures atomic.Int32
	server := p.Serve(t, tls.RequestClientCert, func(w http.ResponseWriter, r *http.Request) {
		_, given, _ := r.BasicAuth()
		switch {
		case len(r.TLS.PeerCertificates) > 0 && strings.HasPrefix(r.URL.Path, "/bp"):
			t.Error("our certificate was presented to a user's URL")
		case r.URL.Path == "/app":
			_, _ = w.Write(zipOf(t, nil))
		case r.URL.Path == "/archive":
			_, _ = w.Write(archive)
		case r.URL.Path == "/archive/info/refs", r.URL.Path == "/nothing/info/refs", r.URL.Path == "/nothing":
			w.WriteHeader(404)
		case given != password:
			w.WriteHeader(401)
		case failures.Add(1) == 1:
			w.WriteHeader(502)
		default:
			backend.ServeHTTP(w, r)
		}
	})
	withPassword := strings.Replace(server.URL, "://", "://user:"+password+"@", 1)
	fetchFrom := func(address string) (fetched, error) {
		return run(t, steps.FetchConfig{AppURL: server.URL + "/app", TLS: p.Files(),
			Buildpacks: []opi.Buildpack{{Name: "custom", Key: steps.PublicKey(address), URL: address}}})
	}

	for _, address := range []string{"/bp", "/bp#stable"} {
		f, err := fetchFrom(withPassword + address)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(f.text(t, steps.BuildpackPath(server.URL+address), "bin/detect")).To(Equal("from git"))
		g.Expect(f.log).To(ContainSubstring("Downloading " + server.URL + address + "...\n"))
		nothingSecret(t, f)
	}
	f, err := fetchFrom(withPassword + "/archive")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(f.text(t, steps.BuildpackPath(server.URL+"/archive"), "bin/detect")).To(Equal("from an archive"))

	for address, want := range map[string]string{
		withPassword + "/bp#nowhere":        `it has no branch, tag or commit "nowhere"`,
		withPassword + "x/bp":               "",
		server.URL + "/nothing":             "there is no git repository",
		"https://127.0.0.1:1/bp":            "connection refused",
		"git@github.com:cloudfoundry/x.git": "its address is not an http or https URL",
	} {
		f, err := fetchFrom(address)
		g.Expect(err).To(HaveOccurred(), address)
		g.Expect(err.Error()).To(ContainSubstring(want))
		g.Expect(err.Error()).NotTo(ContainSubstring(password))
		g.Expect(steps.AsFailure(err).Reason).To(Equal(steps.DownloadFailed))
		nothingSecret(t, f)
	}
}
