package push

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
)

func TestEverythingIsPushed(t *testing.T) {
	g := NewWithT(t)
	f := newFixture(t)
	large := strings.Repeat("0123456789abcdef", 300_000) + "end"
	f.write(t, steps.DropletFile, large)
	f.write(t, steps.ResultFile, strings.Replace(resultText, "{", `{"unknown":{"nested":[1,2]},`, 1))
	droplet, err := f.run(t)
	g.Expect(err).NotTo(HaveOccurred())
	canonical := `{"lifecycle_type":"buildpack","lifecycle_metadata":{"detected_buildpack":"d","buildpacks":[]},"process_types":{"web":"run"},"execution_metadata":""}` + "\n"
	g.Expect(*droplet).To(Equal(steps.OutcomeDroplet{
		Bytes:    int64(len(large)),
		SHA1:     fmt.Sprintf("%x", sha1.Sum([]byte(large))),
		SHA256:   fmt.Sprintf("%x", sha256.Sum256([]byte(large))),
		Manifest: "sha256:manifest",
		Result:   fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(canonical))),
	}))
	g.Expect(f.uploader.droplet.Load()).To(Equal(large))
	g.Expect(f.uploader.cache.Load()).To(Equal("cache"))
	g.Expect(string(f.store.content)).To(Equal(large))
	g.Expect(f.store.droplet).To(Equal(steps.Droplet{Size: int64(len(large)), SHA1: droplet.SHA1, SHA256: droplet.SHA256, Stack: "cflinuxfs4", Result: []byte(canonical)}))
	g.Expect(f.log.String()).To(ContainSubstring("Uploading droplet... 4.6 MB\n"))
	g.Expect(f.log.String()).To(HaveSuffix("Uploaded droplet (4.6 MB)\nUploading complete\n"))
	g.Expect(f.phases).To(HaveLen(3))
}

func TestBothHaveTheDropletBeforeSuccessIsSaid(t *testing.T) {
	t.Run("Cloud Controller refuses", func(t *testing.T) {
		g := NewWithT(t)
		f := newFixture(t)
		f.uploader.dropletStatus = 422
		droplet, err := f.run(t)
		g.Expect(droplet).To(BeNil())
		g.Expect(steps.AsFailure(err).Reason).To(Equal(steps.UploadFailed))
		g.Expect(err).To(MatchError(ContainSubstring("failed to upload: the droplet at https://")))
		g.Expect(f.log.String()).NotTo(ContainSubstring("complete"))
	})
	t.Run("registry is away", func(t *testing.T) {
		g := NewWithT(t)
		f := newFixture(t)
		f.store.err = fmt.Errorf("registry:5000: %w", opi.ErrUnavailable)
		f.patience.Outage = 10 * time.Millisecond
		droplet, err := f.run(t)
		g.Expect(droplet).To(BeNil())
		g.Expect(steps.AsFailure(err).Reason).To(Equal(steps.RegistryFailed))
	})
	t.Run("registry refuses the droplet", func(t *testing.T) {
		g := NewWithT(t)
		f := newFixture(t)
		f.store.err = fmt.Errorf("an entry is a device: %w", opi.ErrRefused)
		_, err := f.run(t)
		g.Expect(steps.AsFailure(err).Reason).To(Equal(steps.BadOutput))
	})
}

func TestTheRegistryMayBeAway(t *testing.T) {
	g := NewWithT(t)
	f := newFixture(t)
	attempts := 0
	f.store.err = fmt.Errorf("registry:5000: %w", opi.ErrUnavailable)
	f.store.before = func() {
		if attempts++; attempts == 3 {
			f.store.err = nil
		}
	}
	droplet, err := f.run(t)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(droplet.Manifest).To(Equal("sha256:manifest"))
	g.Expect(f.log.String()).To(ContainSubstring("Trying again for up to "))

	f = newFixture(t)
	attempts = 0
	f.store.before = func() { attempts++ }
	f.store.err = steps.Because(steps.RegistryFailed, fmt.Errorf("%w, the registry refuses Irene's credentials", opi.ErrUnavailable), "failed to store the droplet in the registry")
	_, err = f.run(t)
	g.Expect(steps.AsFailure(err).Reason).To(Equal(steps.RegistryFailed))
	g.Expect(attempts).To(Equal(1), "somebody has to correct them")
}

func TestCachesThatAreNotKeptFailNothing(t *testing.T) {
	for name, spoil := range map[string]func(g *WithT, f *fixture){
		"refused":   func(_ *WithT, f *fixture) { f.uploader.cacheStatus = 403 },
		"not there": func(g *WithT, f *fixture) { g.Expect(os.Remove(f.path(steps.CacheFile))).To(Succeed()) },
		"a link": func(g *WithT, f *fixture) {
			g.Expect(os.Remove(f.path(steps.CacheFile))).To(Succeed())
			g.Expect(os.Symlink("/etc/shadow", f.path(steps.CacheFile))).To(Succeed())
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			f := newFixture(t)
			spoil(g, f)
			droplet, err := f.run(t)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(droplet).NotTo(BeNil())
			g.Expect(f.uploader.cache.Load()).To(BeNil())
			g.Expect(f.log.String()).To(ContainSubstring("The build artifacts cache is not kept: "))
		})
	}
	t.Run("not wanted", func(t *testing.T) {
		g := NewWithT(t)
		f := newFixture(t)
		f.config.CacheURL = ""
		_, err := f.run(t)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(f.uploader.cache.Load()).To(BeNil())
	})
}

// What user code may leave where push looks. Nothing of what is outside of the volume
// may reach anybody.
func TestWhatUserCodeLeavesInTheWay(t *testing.T) {
	outside := t.TempDir()
	key := filepath.Join(outside, "registry-password")
	NewWithT(t).Expect(os.WriteFile(key, []byte("s3cret of push"), 0o644)).To(Succeed())
	NewWithT(t).Expect(os.Mkdir(filepath.Join(outside, steps.OutFolder), 0o755)).To(Succeed())
	for _, name := range []string{steps.DropletFile, steps.ResultFile} {
		NewWithT(t).Expect(os.WriteFile(filepath.Join(outside, steps.OutFolder, name), []byte(resultText), 0o644)).To(Succeed())
	}
	listeners := []net.Listener{}
	defer func() {
		for _, l := range listeners {
			_ = l.Close()
		}
	}()

	for _, name := range []string{steps.DropletFile, steps.ResultFile} {
		replaced := func(with func(path string) error) func(f *fixture) error {
			return func(f *fixture) error {
				if err := os.Remove(f.path(name)); err != nil {
					return err
				}
				return with(f.path(name))
			}
		}
		for kind, c := range map[string]struct {
			spoil func(f *fixture) error
			text  string
		}{
			"link to a key":       {replaced(func(path string) error { return os.Symlink(key, path) }), "that is not a file"},
			"link to shadow":      {replaced(func(path string) error { return os.Symlink("/etc/shadow", path) }), "that is not a file"},
			"link to environment": {replaced(func(path string) error { return os.Symlink("/proc/self/environ", path) }), "that is not a file"},
			"link to open file":   {replaced(func(path string) error { return os.Symlink("/proc/self/fd/0", path) }), "that is not a file"},
			"link within":         {replaced(func(path string) error { return os.Symlink(steps.CacheFile, path) }), "that is not a file"},
			"dangling link":       {replaced(func(path string) error { return os.Symlink("nowhere", path) }), "that is not a file"},
			"FIFO":                {replaced(func(path string) error { return syscall.Mkfifo(path, 0o644) }), "that is not a file"},
			"folder":              {replaced(func(path string) error { return os.Mkdir(path, 0o755) }), "that is not a file"},
			"device": {replaced(func(path string) error {
				return syscall.Mknod(path, syscall.S_IFCHR|0o666, 1<<8|5)
			}), "that is not a file"},
			"socket": {replaced(func(path string) error {
				l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
				if err == nil {
					listeners = append(listeners, l)
				}
				return err
			}), "that is not a file"},
			"nothing": {replaced(func(string) error { return nil }), "the build left no " + name},
			"empty":   {replaced(func(path string) error { return os.WriteFile(path, nil, 0o644) }), "the build left an empty " + name},
			"huge": {replaced(func(path string) error {
				file, err := os.Create(path)
				if err != nil {
					return err
				}
				defer file.Close()
				return file.Truncate(1 << 40)
			}), "of 1.0 TB, which is more than "},
			"folder around it a link": {func(f *fixture) error {
				if err := os.RemoveAll(f.path("")); err != nil {
					return err
				}
				return os.Symlink(filepath.Join(outside, steps.OutFolder), filepath.Join(f.folder, steps.OutFolder))
			}, "that is not a file"},
			"folder around it a file": {func(f *fixture) error {
				if err := os.RemoveAll(f.path("")); err != nil {
					return err
				}
				return os.WriteFile(filepath.Join(f.folder, steps.OutFolder), nil, 0o644)
			}, "that is not a file"},
			"folder around it gone": {func(f *fixture) error { return os.RemoveAll(f.path("")) }, "the build left no "},
		} {
			t.Run(name+": "+kind, func(t *testing.T) {
				g := NewWithT(t)
				f := newFixture(t)
				if err := c.spoil(f); errors.Is(err, syscall.EPERM) {
					t.Skip("needs root")
				} else {
					g.Expect(err).NotTo(HaveOccurred())
				}
				f.store.before = func() { t.Error("the registry was sent something") }
				droplet, err := f.run(t)
				g.Expect(droplet).To(BeNil())
				g.Expect(err).To(HaveOccurred())
				g.Expect(err.Error()).To(ContainSubstring(c.text))
				g.Expect(steps.AsFailure(err).Reason).To(Equal(steps.BadOutput))
				g.Expect(f.uploader.droplet.Load()).To(BeNil())
				g.Expect(err.Error() + f.log.String()).NotTo(ContainSubstring("s3cret"))
			})
		}
	}
}

func TestADropletThatChangesUnderWay(t *testing.T) {
	g := NewWithT(t)
	f := newFixture(t)
	// By then everything is read through the descriptor that was checked.
	f.store.before = func() {
		_ = os.Remove(f.path(steps.DropletFile))
		_ = os.Symlink("/etc/shadow", f.path(steps.DropletFile))
	}
	_, err := f.run(t)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(f.store.content)).To(Equal("droplet"))
}

func TestResultsAreChecked(t *testing.T) {
	for text, want := range map[string]string{
		"no JSON":                     "it is not JSON",
		`[]`:                          "is of the wrong type",
		`{"lifecycle_type":"docker"}`: `lifecycle_type is not "buildpack"`,
		strings.Repeat(" ", 1<<20+1):  "which is more than 1.0 MB",
	} {
		g := NewWithT(t)
		f := newFixture(t)
		f.write(t, steps.ResultFile, text)
		_, err := f.run(t)
		g.Expect(err).To(HaveOccurred())
		g.Expect(err.Error()).To(ContainSubstring(want))
		g.Expect(steps.AsFailure(err).Reason).To(Equal(steps.BadOutput))
	}
}

func TestPushingEndsWithItsContext(t *testing.T) {
	g := NewWithT(t)
	f := newFixture(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	droplet, _, err := Run(ctx, f.config, f.store, steps.NewUserLog(&f.log), hasty())
	g.Expect(err).To(HaveOccurred())
	g.Expect(droplet).To(BeNil())
	g.Expect(f.uploader.droplet.Load()).To(BeNil())
}
