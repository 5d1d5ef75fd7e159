package gitclone

import (
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// gitServer serves the repositories below a folder with git's own server. With a
// password it wants that of "user".
func gitServer(t testing.TB, password string) (folder string, server *httptest.Server) {
	t.Helper()
	g := NewWithT(t)
	path, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Skip("needs git, to serve repositories")
	}
	backend := filepath.Join(strings.TrimSpace(string(path)), "git-http-backend")
	g.Expect(backend).To(BeAnExistingFile())
	folder = t.TempDir()
	handler := &cgi.Handler{Path: backend, Env: []string{"GIT_PROJECT_ROOT=" + folder, "GIT_HTTP_EXPORT_ALL=1"}, Stderr: io.Discard}
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, given, ok := r.BasicAuth()
		if password != "" && (user != "user" || given != password) {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if ok && password == "" {
			t.Errorf("credentials were sent to a server that has no business with them")
		}
		handler.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return folder, server
}

// runGit runs git in a folder and returns what it says.
func runGit(t testing.TB, folder string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b",
		"HOME=/nowhere", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_ALLOW_PROTOCOL=file")
	out, err := cmd.CombinedOutput()
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), "git %s: %s", args, out)
	return strings.TrimSpace(string(out))
}

// repository makes a repository below a folder with one commit of these files.
func repository(t testing.TB, folder, name string, files map[string]string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	NewWithT(t).Expect(os.MkdirAll(path, 0o755)).To(Succeed())
	runGit(t, path, "init", "--quiet", "--initial-branch=main")
	runGit(t, path, "config", "uploadpack.allowReachableSHA1InWant", "true")
	commit(t, path, files)
	return path
}

func commit(t testing.TB, path string, files map[string]string) string {
	t.Helper()
	g := NewWithT(t)
	for name, content := range files {
		file := filepath.Join(path, name)
		g.Expect(os.MkdirAll(filepath.Dir(file), 0o755)).To(Succeed())
		g.Expect(os.WriteFile(file, []byte(content), 0o755)).To(Succeed())
	}
	runGit(t, path, "add", "--all")
	runGit(t, path, "commit", "--quiet", "--allow-empty", "--message=m")
	return runGit(t, path, "rev-parse", "HEAD")
}
