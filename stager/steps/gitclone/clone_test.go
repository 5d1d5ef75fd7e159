package gitclone

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

func clone(t testing.TB, address string) (string, error) {
	t.Helper()
	return cloneWithin(t, Repository{URL: address, Bytes: 10 << 20, Entries: 1000})
}

func cloneWithin(t testing.TB, r Repository) (string, error) {
	t.Helper()
	outside := t.TempDir()
	folder := filepath.Join(outside, "folder")
	NewWithT(t).Expect(os.Mkdir(folder, 0o755)).To(Succeed())
	_, err := Clone(context.Background(), r, folder)
	left, readErr := os.ReadDir(outside)
	NewWithT(t).Expect(readErr).NotTo(HaveOccurred())
	NewWithT(t).Expect(left).To(HaveLen(1), "nothing is written outside of the folder")
	return folder, err
}

func text(t testing.TB, folder, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, name))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return string(content)
}

func TestReferences(t *testing.T) {
	g := NewWithT(t)
	folder, server := gitServer(t, "")
	path := repository(t, folder, "bp.git", map[string]string{"bin/detect": "first"})
	first := runGit(t, path, "rev-parse", "HEAD")
	runGit(t, path, "tag", "v1")
	runGit(t, path, "tag", "--annotate", "--message=m", "v1-annotated")
	commit(t, path, map[string]string{"bin/detect": "second"})
	runGit(t, path, "branch", "release/2")
	third := commit(t, path, map[string]string{"bin/detect": "third"})

	for fragment, want := range map[string]string{
		"": "third", "#main": "third", "#release/2": "second", "#v1": "first", "#v1-annotated": "first", "#" + first: "first", "#" + third: "third",
	} {
		t.Run(fragment, func(t *testing.T) {
			g := NewWithT(t)
			clone, err := clone(t, server.URL+"/bp.git"+fragment)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(text(t, clone, "bin/detect")).To(Equal(want))
			info, err := os.Stat(filepath.Join(clone, "bin/detect"))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(info.Mode().Perm()&0o111).NotTo(BeZero(), "scripts stay executable")
			// What buildpacks ask git for.
			g.Expect(runGit(t, clone, "config", "--get", "remote.origin.url")).To(Equal(server.URL + "/bp.git"))
			g.Expect(runGit(t, clone, "rev-list", "--count", "HEAD")).To(Equal("1"), "history stays where it is")
			g.Expect(runGit(t, clone, "status", "--porcelain")).To(BeEmpty())
		})
	}
	_, err := clone(t, server.URL+"/bp.git#nowhere")
	g.Expect(err).To(MatchError(`it has no branch, tag or commit "nowhere"`))
	_, err = clone(t, server.URL+"/bp.git#"+strings.Repeat("a", 40))
	g.Expect(err).To(HaveOccurred())
}

func TestServersThatGiveNoSingleCommits(t *testing.T) {
	g := NewWithT(t)
	folder, server := gitServer(t, "")
	path := repository(t, folder, "bp.git", map[string]string{"f": "first"})
	first := runGit(t, path, "rev-parse", "HEAD")
	commit(t, path, map[string]string{"f": "second"})
	runGit(t, path, "config", "uploadpack.allowReachableSHA1InWant", "false")
	folder, err := clone(t, server.URL+"/bp.git#"+first)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(text(t, folder, "f")).To(Equal("first"))
	_, err = clone(t, server.URL+"/bp.git#"+strings.Repeat("a", 40))
	g.Expect(err).To(MatchError(ContainSubstring("it has no commit aaaa")))
}

func TestPasswordsStayWithTheirServer(t *testing.T) {
	g := NewWithT(t)
	const password = "hunter2/%3A"
	folder, server := gitServer(t, password)
	otherFolder, other := gitServer(t, "") // fails the test when it is sent credentials
	repository(t, otherFolder, "other.git", map[string]string{"o": "other"})
	inner := repository(t, folder, "inner.git", map[string]string{"i": "inner"})
	path := repository(t, folder, "bp.git", map[string]string{"f": "outer"})
	modules := fmt.Sprintf("[submodule \"a\"]\n\tpath = vendor/a\n\turl = ../inner.git\n[submodule \"b\"]\n\tpath = b\n\turl = %s/other.git\n[submodule \"unused\"]\n\tpath = c\n\turl = file:///etc\n", other.URL)
	runGit(t, path, "update-index", "--add", "--cacheinfo", "160000,"+runGit(t, inner, "rev-parse", "HEAD")+",vendor/a")
	runGit(t, path, "update-index", "--add", "--cacheinfo", "160000,"+runGit(t, filepath.Join(otherFolder, "other.git"), "rev-parse", "HEAD")+",b")
	g.Expect(os.WriteFile(filepath.Join(path, ".gitmodules"), []byte(modules), 0o644)).To(Succeed())
	runGit(t, path, "add", ".gitmodules")
	runGit(t, path, "commit", "--quiet", "--message=m")

	address := strings.Replace(server.URL, "://", "://user:hunter2%2F%253A@", 1)
	clone1, err := clone(t, address+"/bp.git")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(text(t, clone1, "f")).To(Equal("outer"))
	g.Expect(text(t, clone1, "vendor/a/i")).To(Equal("inner"))
	g.Expect(text(t, clone1, "b/o")).To(Equal("other"))
	err = filepath.WalkDir(clone1, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			g.Expect(text(t, path, "")).NotTo(ContainSubstring("hunter2"), path)
		}
		return err
	})
	g.Expect(err).NotTo(HaveOccurred())

	_, err = clone(t, strings.Replace(address, "hunter2", "wrong", 1)+"/bp.git")
	g.Expect(err).To(MatchError("the server wants other credentials, or there is no such repository"))
	_, err = clone(t, server.URL+"/bp.git")
	g.Expect(err).To(MatchError("the server wants other credentials, or there is no such repository"))
}

func TestWhatIsNoRepository(t *testing.T) {
	g := NewWithT(t)
	folder, server := gitServer(t, "")
	repository(t, folder, "bp.git", nil)
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(503)
		fmt.Fprint(w, r.Header.Get("Authorization"), r.URL)
	}))
	defer echo.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hello</html>") }))
	defer page.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for address, want := range map[string]struct {
		text  string
		final bool
	}{
		server.URL + "/other.git":           {"there is no git repository", true},
		echo.URL + "/s3cret":                {"the server says 503", false},
		gone.URL:                            {"connection refused", false},
		"file:///etc":                       {"its address is not an http or https URL", true},
		"ssh://git@github.com/x/y":          {"its address is not an http or https URL", true},
		"git@github.com:cloudfoundry/x.git": {"its address is not an http or https URL", true},
		"http://%zz":                        {"its address is not an http or https URL", true},
		page.URL:                            {"", false},
	} {
		t.Run(address, func(t *testing.T) {
			g := NewWithT(t)
			if !strings.HasPrefix(address, server.URL) {
				address = strings.Replace(address, "http://", "http://user:hunter2@", 1)
			}
			_, err := clone(t, address)
			var failure *Error
			g.Expect(errors.As(err, &failure)).To(BeTrue(), "%v", err)
			g.Expect(err.Error()).To(ContainSubstring(want.text))
			g.Expect(failure.Final).To(Equal(want.final))
			g.Expect(err.Error()).NotTo(Or(ContainSubstring("hunter2"), ContainSubstring("s3cret")))
		})
	}
	runGit(t, folder, "init", "--quiet", "--bare", "empty.git")
	_, err := clone(t, server.URL+"/empty.git")
	g.Expect(err).To(MatchError("the git repository is empty"))
}

func TestHostileRepositories(t *testing.T) {
	folder, server := gitServer(t, "")
	bomb := func(name string) string {
		return treeBomb(t, repository(t, folder, name, map[string]string{"f": "x"}), 12)
	}
	large := repository(t, folder, "large.git", map[string]string{"f": strings.Repeat("x", 2<<20)})
	_ = large
	many := map[string]string{}
	for i := range 150 {
		many[fmt.Sprintf("d%d/f", i)] = "x"
	}
	repository(t, folder, "many.git", many)
	bomb("bomb.git")
	module := repository(t, folder, "module.git", nil)
	submodule(t, module, "sub", "file:///etc")
	self := repository(t, folder, "self.git", nil)
	for range maxDepth + 1 {
		submodule(t, self, "sub", "../self.git")
	}
	escape := repository(t, folder, "escape.git", nil)
	submodule(t, escape, "sub", "../large.git")
	runGit(t, escape, "config", "--file", ".gitmodules", "submodule.sub.path", "../../outside")
	runGit(t, escape, "add", ".gitmodules")
	runGit(t, escape, "commit", "--quiet", "--message=m")

	for name, want := range map[string]string{
		"large.git":  "it is too large",
		"many.git":   "it is too large",
		"bomb.git":   "it is too large",
		"module.git": "a submodule whose address is not an http or https URL",
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			clone, err := cloneWithin(t, Repository{URL: server.URL + "/" + name, Bytes: 1 << 20, Entries: 100})
			g.Expect(err).To(MatchError(ContainSubstring(want)))
			g.Expect(sizeOf(t, clone)).To(BeNumerically("<", 2<<20))
		})
	}
	t.Run("symbolic links", func(t *testing.T) {
		g := NewWithT(t)
		path := repository(t, folder, "links.git", map[string]string{"f": "x"})
		g.Expect(os.Symlink("../../outside", filepath.Join(path, "up"))).To(Succeed())
		commit(t, path, nil)
		clone, err := clone(t, server.URL+"/links.git")
		g.Expect(err).NotTo(HaveOccurred())
		info, err := os.Lstat(filepath.Join(clone, "up"))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(info.Mode().Type()).To(Equal(fs.ModeSymlink), "a link is made and not followed")
	})
	t.Run("endless submodules", func(t *testing.T) {
		_, err := clone(t, server.URL+"/self.git")
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring("its submodules go too deep")))
	})
	t.Run("submodule outside", func(t *testing.T) {
		g := NewWithT(t)
		clone, err := clone(t, server.URL+"/escape.git")
		if err == nil {
			g.Expect(filepath.Join(clone, "../../outside")).NotTo(BeAnExistingFile())
		}
	})
}

// submodule adds a submodule whose commit is the repository's own first one.
func submodule(t testing.TB, path, name, address string) {
	t.Helper()
	runGit(t, path, "config", "--file", ".gitmodules", "submodule."+name+".path", name)
	runGit(t, path, "config", "--file", ".gitmodules", "submodule."+name+".url", address)
	runGit(t, path, "update-index", "--add", "--cacheinfo", "160000,"+runGit(t, path, "rev-parse", "HEAD")+","+name)
	runGit(t, path, "add", ".gitmodules")
	runGit(t, path, "commit", "--quiet", "--message=m")
}

// treeBomb makes a commit whose tree has ten trees, which have ten trees …: 10^depth
// files in a few kilobytes.
func treeBomb(t testing.TB, path string, depth int) string {
	t.Helper()
	g := NewWithT(t)
	at := runGit(t, path, "rev-parse", "HEAD^{tree}")
	for range depth {
		var lines strings.Builder
		for i := range 10 {
			fmt.Fprintf(&lines, "040000 tree %s\td%d\n", at, i)
		}
		list := filepath.Join(t.TempDir(), "list")
		g.Expect(os.WriteFile(list, []byte(lines.String()), 0o644)).To(Succeed())
		at = runGit(t, path, "-c", "alias.maketree=!git mktree <"+list, "maketree")
	}
	made := runGit(t, path, "commit-tree", "-m", "m", at)
	runGit(t, path, "update-ref", "refs/heads/main", made)
	return made
}

func sizeOf(t testing.TB, folder string) int64 {
	t.Helper()
	var size int64
	err := filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			info, infoErr := entry.Info()
			if infoErr != nil {
				return infoErr
			}
			size += info.Size()
		}
		return err
	})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return size
}

func TestCloneEndsWithItsContext(t *testing.T) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(context.Background())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() }))
	defer server.Close()
	_, err := Clone(ctx, Repository{URL: server.URL, Bytes: 1 << 20, Entries: 10}, t.TempDir())
	g.Expect(err).To(MatchError(context.Canceled))
}
