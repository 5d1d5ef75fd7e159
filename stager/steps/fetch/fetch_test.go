package fetch

import (
	"context"
	"crypto/sha1"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/steptest"
)

func TestEverythingIsFetched(t *testing.T) {
	g := NewWithT(t)
	p := steptest.NewPlatform(t)
	app := zipOf(t, map[string]string{"index.html": "hello", "lib/x": "x", "data": "-> /var/vcap/data/0a1b"})
	ruby := zipOf(t, map[string]string{"bin/detect": "ruby"})
	node := tgzOf(t, map[string]string{"node-buildpack/bin/detect": "node", "node-buildpack/current": "-> /tmp/deps/0"})
	custom := zipOf(t, map[string]string{"bin/detect": "custom"})
	cache := tgzOf(t, map[string]string{"./final/state": "cached", "./final/link": "-> /tmp/contents/deps/0"})
	store := blobstore(t, p, map[string][]byte{"/private/app": app, "/mutual/ruby": ruby, "/node": node, "/custom.zip": custom, "/cache": cache})
	withPassword := strings.Replace(store, "://", "://user:"+password+"@", 1)

	f, err := run(t, steps.FetchConfig{
		AppURL: withPassword + "/private/app?sig=s3cret",
		Buildpacks: []opi.Buildpack{
			{Name: "ruby_buildpack", Key: "ruby-key", URL: store + "/mutual/ruby?sig=s3cret", Checksum: sha256Of(ruby)},
			{Name: "node_buildpack", Key: "node-key", URL: store + "/node?sig=s3cret", Checksum: opi.Checksum{Algorithm: "sha1", Value: fmt.Sprintf("%x", sha1.Sum(node))}},
			{Name: "custom", Key: steps.PublicKey(withPassword + "/custom.zip"), URL: withPassword + "/custom.zip", SkipDetect: true},
		},
		CacheURL: store + "/cache?sig=s3cret", CacheChecksum: sha256Of(cache),
		TLS: p.Files(),
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(f.text(t, "app/index.html")).To(Equal("hello"))
	g.Expect(os.Readlink(filepath.Join(f.folder, "app/data"))).To(Equal("/var/vcap/data/0a1b"))
	g.Expect(os.Readlink(filepath.Join(f.folder, steps.BuildpackPath("node-key"), "node-buildpack/current"))).To(Equal("/tmp/deps/0"))
	g.Expect(f.text(t, steps.BuildpackPath("ruby-key"), "bin/detect")).To(Equal("ruby"))
	g.Expect(f.text(t, steps.BuildpackPath("node-key"), "node-buildpack/bin/detect")).To(Equal("node"))
	g.Expect(f.text(t, steps.BuildpackPath(store+"/custom.zip"), "bin/detect")).To(Equal("custom"))
	g.Expect(f.text(t, "cache/final/state")).To(Equal("cached"))
	g.Expect(os.Readlink(filepath.Join(f.folder, "cache/final/link"))).To(Equal("/tmp/contents/deps/0"))

	left, err := os.ReadDir(f.folder)
	g.Expect(err).NotTo(HaveOccurred())
	var names []string
	for _, entry := range left {
		names = append(names, entry.Name())
	}
	g.Expect(names).To(Equal([]string{"app", "buildpacks", "cache", "out"}))
	nothingSecret(t, f)

	lines := strings.Split(strings.TrimSpace(f.log), "\n")
	slices.Sort(lines)
	g.Expect(lines).To(Equal([]string{
		fmt.Sprintf("Downloaded app package (%s)", steps.Size(int64(len(app)))),
		fmt.Sprintf("Downloaded build artifacts cache (%s)", steps.Size(int64(len(cache)))),
		fmt.Sprintf("Downloaded %s/custom.zip (%s)", store, steps.Size(int64(len(custom)))),
		fmt.Sprintf("Downloaded node_buildpack (%s)", steps.Size(int64(len(node)))),
		fmt.Sprintf("Downloaded ruby_buildpack (%s)", steps.Size(int64(len(ruby)))),
		"Downloading app package...",
		"Downloading build artifacts cache...",
		fmt.Sprintf("Downloading %s/custom.zip...", store),
		"Downloading node_buildpack...",
		"Downloading ruby_buildpack...",
	}))
	phases := map[string]int64{}
	for _, phase := range f.phases {
		phases[phase.Name] = phase.Bytes
	}
	g.Expect(phases).To(Equal(map[string]int64{"app": int64(len(app)), "cache": int64(len(cache)), "buildpack ruby_buildpack": int64(len(ruby)),
		"buildpack node_buildpack": int64(len(node)), "buildpack custom": int64(len(custom))}))
}

// nothingSecret searches log and volume, names and contents.
func nothingSecret(t testing.TB, f fetched) {
	t.Helper()
	g := NewWithT(t)
	secret := Or(ContainSubstring(password), ContainSubstring("s3cret"))
	g.Expect(f.log).NotTo(secret)
	err := filepath.WalkDir(f.folder, func(path string, entry fs.DirEntry, err error) error {
		g.Expect(path).NotTo(secret)
		if err == nil && entry.Type().IsRegular() {
			text, err := os.ReadFile(path)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(string(text)).NotTo(secret, path)
		}
		return err
	})
	g.Expect(err).NotTo(HaveOccurred())
}

// Of the URLs only the query differs, which no key shows.
func TestBuildpacksThatDifferInTheirQueryAreBothFetched(t *testing.T) {
	g := NewWithT(t)
	app := zipOf(t, map[string]string{"f": "x"})
	server := steptest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		content := app
		if name := r.URL.Query().Get("path"); name != "" {
			content = zipOf(t, map[string]string{"bin/detect": name})
		}
		_, _ = w.Write(content)
	})
	archive := server.URL + "/dl/archive.zip"
	buildpacks := []opi.Buildpack{{Name: "custom", URL: archive + "?path=a.zip"}, {Name: "custom", URL: archive + "?path=b.zip"}}
	for i := range buildpacks {
		buildpacks[i].Key = buildpacks[i].URL
	}
	for i, key := range steps.StepKeys(buildpacks) {
		buildpacks[i].Key = key.Public
	}
	f, err := run(t, steps.FetchConfig{AppURL: server.URL + "/app", Buildpacks: buildpacks})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(f.text(t, steps.BuildpackPath(archive), "bin/detect")).To(Equal("a.zip"))
	g.Expect(f.text(t, steps.BuildpackPath(archive+";2"), "bin/detect")).To(Equal("b.zip"))
	g.Expect(f.log).To(And(ContainSubstring("Downloading "+archive+"...\n"), ContainSubstring("Downloading "+archive+";2...\n")))
	g.Expect(f.log).NotTo(ContainSubstring("path="))
}

func TestAUserGetsNothingWithOurCertificate(t *testing.T) {
	g := NewWithT(t)
	p := steptest.NewPlatform(t)
	store := blobstore(t, p, map[string][]byte{"/app": zipOf(t, nil), "/mutual/somebodys-droplet.zip": zipOf(t, map[string]string{"secret": "x"})})
	f, err := run(t, steps.FetchConfig{
		AppURL:     store + "/app",
		Buildpacks: []opi.Buildpack{{Name: "custom", Key: store + "/mutual/somebodys-droplet.zip", URL: store + "/mutual/somebodys-droplet.zip"}},
		TLS:        p.Files(),
	})
	g.Expect(err).To(MatchError(ContainSubstring("403 Forbidden")))
	g.Expect(f.folder + "/buildpacks/secret").NotTo(BeAnExistingFile())
}

// Builds may be allowed to fetch custom buildpacks from servers with any certificate.
func TestCustomBuildpacksFromAnyServer(t *testing.T) {
	g := NewWithT(t)
	p := steptest.NewPlatform(t)
	app := blobstore(t, p, map[string][]byte{"/app": zipOf(t, nil)})
	stranger := blobstore(t, steptest.NewPlatform(t), map[string][]byte{"/buildpack.zip": zipOf(t, map[string]string{"bin/detect": "x"})}) + "/buildpack.zip"
	config := steps.FetchConfig{AppURL: app + "/app", Buildpacks: []opi.Buildpack{{Name: "custom", Key: stranger, URL: stranger}}, TLS: p.Files()}
	_, err := run(t, config)
	g.Expect(err).To(MatchError(ContainSubstring("certificate")))
	config.SkipCertVerify = true
	f, err := run(t, config)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(f.text(t, steps.BuildpackPath(stranger), "bin/detect")).To(Equal("x"))
}

func TestWhatCannotBeFetched(t *testing.T) {
	p := steptest.NewPlatform(t)
	good := zipOf(t, map[string]string{"f": "x"})
	store := blobstore(t, p, map[string][]byte{"/app": good, "/html": []byte("<html>"), "/evil": zipOf(t, map[string]string{"../evil": "x"}),
		"/large": zipOf(t, map[string]string{"f": strings.Repeat("x", 20_000)}), "/many": zipOf(t, map[string]string{"a": "", "b": "", "c": "", "d": ""})})
	limits := steps.Limits{ArchiveBytes: 10_000, UnpackedBytes: 10_000, Entries: 3}
	buildpack := func(path string, sum opi.Checksum) []opi.Buildpack {
		return []opi.Buildpack{{Name: "ruby_buildpack", Key: "k", URL: store + path + "?sig=s3cret", Checksum: sum}}
	}
	for name, c := range map[string]struct {
		app        string
		buildpacks []opi.Buildpack
		want       steps.Reason
		text       string
	}{
		"app is gone":         {"/nothing", nil, steps.DownloadFailed, "failed to download: the app package at " + store + ": the server says 404 Not Found"},
		"app is a page":       {"/html", nil, steps.BadArchive, "failed to unpack the app package: it is neither a zip archive nor a gzipped tar archive"},
		"app is hostile":      {"/evil", nil, steps.BadArchive, `failed to unpack the app package: "../evil" leads out of the archive`},
		"app is a bomb":       {"/large", nil, steps.BadArchive, "failed to unpack the app package: it unpacks to more than 10000 bytes"},
		"app has many files":  {"/many", nil, steps.BadArchive, "failed to unpack the app package: it has more than 3 entries"},
		"buildpack is gone":   {"/app", buildpack("/nothing", opi.Checksum{}), steps.DownloadFailed, "failed to download: buildpack ruby_buildpack at " + store + ": the server says 404 Not Found"},
		"buildpack was mixed": {"/app", buildpack("/app", sha256Of(nil)), steps.DownloadFailed, "buildpack ruby_buildpack at " + store + ": its sha256 checksum is "},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			f, err := run(t, steps.FetchConfig{AppURL: store + c.app + "?sig=s3cret", Buildpacks: c.buildpacks, TLS: p.Files(), Limits: limits})
			g.Expect(err).To(HaveOccurred())
			g.Expect(err.Error()).To(ContainSubstring(c.text))
			g.Expect(steps.AsFailure(err).Reason).To(Equal(c.want))
			g.Expect(err.Error()).NotTo(ContainSubstring("s3cret"))
			g.Expect(filepath.Join(f.folder, downloadsFolder)).NotTo(BeADirectory())
			nothingSecret(t, f)
		})
	}
}

func TestTheAppPackageHasItsChecksum(t *testing.T) {
	g := NewWithT(t)
	p := steptest.NewPlatform(t)
	app := zipOf(t, map[string]string{"f": "x"})
	store := blobstore(t, p, map[string][]byte{"/app": app})
	f, err := run(t, steps.FetchConfig{AppURL: store + "/app", AppChecksum: sha256Of(app), TLS: p.Files()})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(f.text(t, steps.AppFolder, "f")).To(Equal("x"))

	_, err = run(t, steps.FetchConfig{AppURL: store + "/app", AppChecksum: sha256Of(nil), TLS: p.Files()})
	g.Expect(err).To(MatchError(ContainSubstring("the app package at " + store + ": its sha256 checksum is ")))
}

func TestABuildGoesOnWithoutItsCache(t *testing.T) {
	p := steptest.NewPlatform(t)
	store := blobstore(t, p, map[string][]byte{"/app": zipOf(t, nil), "/cache": tgzOf(t, map[string]string{"f": "x"}), "/broken": tgzOf(t, map[string]string{"a": "x", "b": "y"})[:40]})
	for name, c := range map[string]struct {
		path string
		sum  opi.Checksum
	}{
		"gone":   {"/nothing", opi.Checksum{}},
		"mixed":  {"/cache", sha256Of(nil)},
		"broken": {"/broken", opi.Checksum{}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			f, err := run(t, steps.FetchConfig{AppURL: store + "/app", CacheURL: store + c.path, CacheChecksum: c.sum, TLS: p.Files()})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(f.log).To(ContainSubstring("No build artifacts cache is used: failed to "))
			left, err := os.ReadDir(filepath.Join(f.folder, "cache"))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(left).To(BeEmpty())
		})
	}
}

func TestAVolumeThatWasUsed(t *testing.T) {
	g := NewWithT(t)
	p := steptest.NewPlatform(t)
	store := blobstore(t, p, map[string][]byte{"/app": zipOf(t, map[string]string{"f": "x"})})
	config := steps.FetchConfig{AppURL: store + "/app", TLS: p.Files()}
	folder := t.TempDir()
	for _, name := range []string{"app/old", ".downloads/1", "contents/deps/0"} {
		g.Expect(os.MkdirAll(filepath.Join(folder, name), 0o755)).To(Succeed())
	}
	f, err := runIn(t, folder, config)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(filepath.Join(folder, "app/old")).NotTo(BeADirectory())
	g.Expect(f.text(t, "app/f")).To(Equal("x"))

	g.Expect(os.WriteFile(filepath.Join(folder, "out/started"), nil, 0o644)).To(Succeed())
	_, err = runIn(t, folder, config)
	g.Expect(steps.AsFailure(err).Reason).To(Equal(steps.Interrupted))
	g.Expect(f.text(t, "app/f")).To(Equal("x"), "what the build works on stays")
}

func TestLinksThatUserCodeLeftAreNotFollowed(t *testing.T) {
	g := NewWithT(t)
	p := steptest.NewPlatform(t)
	store := blobstore(t, p, map[string][]byte{"/app": zipOf(t, map[string]string{"f": "x"})})
	config := steps.FetchConfig{AppURL: store + "/app", TLS: p.Files()}
	outside := t.TempDir()
	g.Expect(os.WriteFile(filepath.Join(outside, "victim"), []byte("unharmed"), 0o644)).To(Succeed())
	folder := t.TempDir()
	for _, name := range []string{"app", "buildpacks", "cache", "contents", ".downloads"} {
		g.Expect(os.Symlink(outside, filepath.Join(folder, name))).To(Succeed())
	}
	f, err := runIn(t, folder, config)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(f.text(t, "app/f")).To(Equal("x"))
	left, err := os.ReadDir(outside)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left).To(HaveLen(1))

	g.Expect(os.Remove(filepath.Join(folder, "out"))).To(Succeed())
	g.Expect(os.Symlink(outside, filepath.Join(folder, "out"))).To(Succeed())
	_, err = runIn(t, folder, config)
	g.Expect(steps.AsFailure(err).Reason).To(Equal(steps.Interrupted), "only user code makes links there")
}

func TestFetchingEndsWithItsContext(t *testing.T) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(context.Background())
	server := steptest.Serve(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	folder := t.TempDir()
	_, err := Run(ctx, steps.FetchConfig{Workspace: folder, AppURL: server.URL, CacheURL: server.URL}, steps.NewUserLog(io.Discard), hasty())
	g.Expect(err).To(MatchError(context.Canceled))
	g.Expect(filepath.Join(folder, downloadsFolder)).NotTo(BeADirectory())
}

func TestThePlatformsFilesAreChecked(t *testing.T) {
	g := NewWithT(t)
	_, err := run(t, steps.FetchConfig{AppURL: "http://x", TLS: steps.TLSFiles{Authorities: []string{"/nowhere"}}})
	g.Expect(steps.AsFailure(err).Reason).To(Equal(steps.BadConfiguration))
}

func TestAtMostSoManyAtOnce(t *testing.T) {
	g := NewWithT(t)
	var now, most atomic.Int32
	arrived := make(chan struct{}, 20)
	proceed := make(chan struct{})
	archive := zipOf(t, nil)
	server := steptest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		arrived <- struct{}{}
		<-proceed
		now.Add(-1)
		_, _ = w.Write(archive)
	})
	config := steps.FetchConfig{AppURL: server.URL, Parallel: 3}
	for i := range 8 {
		config.Buildpacks = append(config.Buildpacks, opi.Buildpack{Name: "b", Key: fmt.Sprint(i), URL: server.URL})
	}
	ended := make(chan error, 1)
	go func() { _, err := run(t, config); ended <- err }()
	for range 3 {
		g.Eventually(arrived, 10*time.Second).Should(Receive())
	}
	g.Consistently(arrived, 50*time.Millisecond).ShouldNot(Receive())
	close(proceed)
	g.Eventually(ended, 10*time.Second).Should(Receive(BeNil()))
	g.Expect(most.Load()).To(BeEquivalentTo(3))
}
