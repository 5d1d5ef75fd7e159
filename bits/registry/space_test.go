package registry

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

func TestALowDiskRefusesUploadsAndNothingElse(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	layer := randomLayer(t, 1000, types.OCILayer)
	image := s.push("cloudfoundry/droplets", "one", ociImage(t, layer))
	location := s.startUpload("cloudfoundry/app")
	s.free.Store(1<<30 - 1)

	err := remote.Write(s.tag("cloudfoundry/app", "one"), randomImage(t, 1), asPusher())
	g.Expect(err).To(MatchError(ContainSubstring(
		"INSUFFICIENT_STORAGE: the registry's disk is full (too little free space: 1023 MiB, at least 1024 MiB must stay free); pulls work, pushes do again when space has been freed")))
	for _, method := range []string{http.MethodPatch, http.MethodPut} {
		status, _, body := s.call(method, location, strings.NewReader("hello"))
		g.Expect(status).To(Equal(http.StatusInsufficientStorage), body)
	}
	s.expectPull(s.tag("cloudfoundry/droplets", "one"))
	g.Expect(s.Check()).To(Succeed())

	// An app whose blobs are all there can still be assembled.
	config, err := image.RawConfigFile()
	g.Expect(err).NotTo(HaveOccurred())
	mount := func(digest string) int {
		status, _, _ := s.call(http.MethodPost, "/v2/cloudfoundry/app/blobs/uploads/?from=cloudfoundry/droplets&mount="+digest, nil)
		return status
	}
	name, err := image.ConfigName()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config).NotTo(BeEmpty())
	g.Expect([]int{mount(digestOf(t, layer).String()), mount(name.String())}).To(Equal([]int{201, 201}))
	g.Expect(remote.Put(s.tag("cloudfoundry/app", "one"), image, asPusher())).To(Succeed())
	s.expectPull(s.tag("cloudfoundry/app", "one"))

	s.free.Store(1<<29 - 1)
	g.Expect(mount(name.String())).To(Equal(507), "until half of the bound")
	g.Expect(remote.Put(s.tag("cloudfoundry/app", "two"), image, asPusher())).To(MatchError(ContainSubstring("INSUFFICIENT_STORAGE")))
	g.Expect(remote.Delete(s.tag("cloudfoundry/app", "one"), asPusher())).To(Succeed())

	s.free.Store(1 << 30)
	s.push("cloudfoundry/app", "one", randomImage(t, 1))
}

// fillDisk makes the disk low once so many bytes were read and the registry has got
// some of them: until then they may be on their way, and the request be refused whole.
type fillDisk struct {
	io.Reader
	s    *served
	left int
	// uploads are the files of the registry's uploads.
	uploads string
}

func (f *fillDisk) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if f.left > 0 && f.left <= n {
		var failure error // this is no goroutine of the test's
		g := NewGomega(func(message string, _ ...int) { failure = errors.New(message) })
		g.Eventually(func(g Gomega) {
			files, err := filepath.Glob(f.uploads)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(files).To(HaveLen(1))
			g.Expect(os.Stat(files[0])).To(HaveField("Size()", BeNumerically(">", 0)))
		}).Should(Succeed())
		if failure != nil {
			return 0, failure
		}
		f.s.free.Store(1 << 20)
	}
	f.left -= n
	return n, err
}

func TestAnUploadThatFillsTheDiskIsCutOffAndGivenBack(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	location := s.startUpload("cloudfoundry/app")
	uploads := s.directory + "/docker/registry/v2/repositories/cloudfoundry/app/_uploads"
	status, _, body := s.call(http.MethodPatch, location, &fillDisk{
		Reader: bytes.NewReader(bytes.Repeat([]byte{1}, 8<<20)), s: s, left: 2 << 20, uploads: uploads + "/*/data",
	})
	g.Expect(status).To(Equal(http.StatusInsufficientStorage))
	g.Expect(body).To(And(ContainSubstring(`"code":"INSUFFICIENT_STORAGE"`), ContainSubstring("at least 1024 MiB must stay free")))
	g.Eventually(func() ([]os.DirEntry, error) {
		return os.ReadDir(uploads)
	}).Should(BeEmpty())
	s.free.Store(1 << 40)
	status, _, _ = s.call(http.MethodGet, location, nil)
	g.Expect(status).To(Equal(http.StatusNotFound))
}

// TestAFullDisk needs a file system of its own, thus root.
func TestAFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system takes root")
	}
	g := NewWithT(t)
	directory := t.TempDir()
	if err := unix.Mount("tmpfs", directory, "tmpfs", 0, "size=4m"); err != nil {
		t.Skip("mounting a small file system is not allowed here: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(directory, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := serve(t, directory, func(o *Options) { o.MinFreeBytes, o.FreeBytes = 0, nil })
	s.push("cloudfoundry/app", "small", ociImage(t, randomLayer(t, 1<<20, types.OCILayer)))

	large, err := mutate.AppendLayers(empty.Image, randomLayer(t, 8<<20, types.OCILayer))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(remote.Write(s.tag("cloudfoundry/app", "large"), large, asPusher())).To(MatchError(ContainSubstring("INSUFFICIENT_STORAGE")))
	s.expectPull(s.tag("cloudfoundry/app", "small"))

	// The bytes of the failed upload are free again, once the server has noticed that
	// the client went away.
	second := ociImage(t, randomLayer(t, 1<<20, types.OCILayer))
	g.Eventually(func() error { return remote.Write(s.tag("cloudfoundry/app", "second"), second, asPusher()) }).Should(Succeed())
	g.Expect(remote.Delete(s.byDigest("cloudfoundry/app", mustImage(t, s, "cloudfoundry/app", "small")), asPusher())).To(Succeed())
	s.clock.Step(long)
	done, err := s.GarbageCollect(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(done.FreedBytes).To(BeNumerically(">", 1<<20))
	s.expectPull(s.tag("cloudfoundry/app", "second"))
}
