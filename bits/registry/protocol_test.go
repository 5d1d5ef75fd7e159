package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	. "github.com/onsi/gomega"
)

func TestPushAndPull(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	image := s.push("cloudfoundry/app", "one", randomImage(t, 3))

	s.expectPull(s.tag("cloudfoundry/app", "one"))
	s.expectPull(s.byDigest("cloudfoundry/app", image))
	descriptor, err := remote.Head(s.tag("cloudfoundry/app", "one"), asPuller())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(descriptor.Digest).To(Equal(digestOf(t, image)))
	s.expectMissing(s.tag("cloudfoundry/app", "two"))

	g.Eventually(s.metric).WithArguments("irene_registry_requests_total", "code=200", "method=HEAD", "route=manifest").Should(BeNumerically(">=", 1))
	g.Eventually(s.metric).WithArguments("irene_registry_received_bytes_total").Should(BeNumerically(">", 3*1024))
	g.Eventually(s.metric).WithArguments("irene_registry_sent_bytes_total").Should(BeNumerically(">", 3*1024))
}

func TestContentOutlivesARestart(t *testing.T) {
	directory := t.TempDir()
	first := serve(t, directory)
	first.push("cloudfoundry/app", "one", randomImage(t, 2))
	first.stop()

	second := serve(t, directory)
	second.expectPull(second.tag("cloudfoundry/app", "one"))
}

func TestMediaTypesOfOurOwnAndZstd(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	image := ociImage(t, randomLayer(t, 2048, types.OCILayerZStd), randomLayer(t, 2048, "application/vnd.cloudfoundry.droplet.layer.v1.tar+gzip"))
	image = mutate.ConfigMediaType(image, "application/vnd.cloudfoundry.droplet.result.v1+json")
	image = mutate.Annotations(image, map[string]string{"org.cloudfoundry.stack": "cflinuxfs4"}).(v1.Image)
	g.Expect(remote.Put(s.tag("cloudfoundry/droplets", "none"), image, asPusher())).
		To(MatchError(ContainSubstring("MANIFEST_BLOB_UNKNOWN")), "a manifest of blobs that are not there is refused")

	s.push("cloudfoundry/droplets", "2fd4e1c6", image)
	found, err := remote.Image(s.tag("cloudfoundry/droplets", "2fd4e1c6"), asPuller())
	g.Expect(err).NotTo(HaveOccurred())
	manifest, err := found.Manifest()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(manifest.MediaType).To(Equal(types.OCIManifestSchema1))
	g.Expect(manifest.Annotations).To(HaveKeyWithValue("org.cloudfoundry.stack", "cflinuxfs4"))
	g.Expect(string(manifest.Config.MediaType)).To(Equal("application/vnd.cloudfoundry.droplet.result.v1+json"))
	g.Expect(string(manifest.Layers[0].MediaType)).To(Equal("application/vnd.oci.image.layer.v1.tar+zstd"))
	g.Expect(string(manifest.Layers[1].MediaType)).To(Equal("application/vnd.cloudfoundry.droplet.layer.v1.tar+gzip"))
}

func TestIndexes(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	index, err := random.Index(1024, 2, 2)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(remote.WriteIndex(s.tag("stacks/cflinuxfs4", "1"), index, asPusher())).To(Succeed())
	found, err := remote.Index(s.tag("stacks/cflinuxfs4", "1"), asPuller())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(validate.Index(found)).To(Succeed())
}

func TestMountsMoveNoBlob(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	s.push("cloudfoundry/droplets", "one", ociImage(t, randomLayer(t, 1<<20, types.OCILayer)))
	droplet, err := remote.Image(s.tag("cloudfoundry/droplets", "one"), asPusher())
	g.Expect(err).NotTo(HaveOccurred())
	layers, err := droplet.Layers()
	g.Expect(err).NotTo(HaveOccurred())
	app, err := mutate.AppendLayers(empty.Image, &remote.MountableLayer{Layer: layers[0], Reference: s.tag("cloudfoundry/droplets", "one")})
	g.Expect(err).NotTo(HaveOccurred())

	// A request is counted after its answer was sent.
	g.Eventually(s.metric).WithArguments("irene_registry_received_bytes_total").Should(BeNumerically(">", 1<<20))
	before := s.metric("irene_registry_received_bytes_total")
	g.Expect(remote.Write(s.tag("cloudfoundry/app", "one"), app, asPusher())).To(Succeed())
	g.Expect(s.metric("irene_registry_received_bytes_total")-before).To(BeNumerically("<", 4096), "config and manifest only")
	s.expectPull(s.tag("cloudfoundry/app", "one"))
}

func TestTagsAreListedInPagesAndDeleted(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	image := s.push("cloudfoundry/app", "t0", randomImage(t, 1))
	for i := 1; i < 5; i++ {
		g.Expect(remote.Tag(s.tag("cloudfoundry/app", fmt.Sprintf("t%d", i)), image, asPusher())).To(Succeed())
	}
	other := s.push("cloudfoundry/app", "other", randomImage(t, 1))

	repository := s.tag("cloudfoundry/app", "t0").Context()
	g.Expect(remote.List(repository, asPuller(), remote.WithPageSize(2))).To(Equal([]string{"other", "t0", "t1", "t2", "t3", "t4"}))
	g.Expect(remote.Delete(s.byDigest("cloudfoundry/app", image), asPusher())).To(Succeed())
	g.Expect(remote.List(repository, asPuller())).To(Equal([]string{"other"}), "tags go with their manifest")
	g.Expect(remote.Delete(s.tag("cloudfoundry/app", "other"), asPusher())).To(Succeed())
	s.expectMissing(s.tag("cloudfoundry/app", "other"))
	s.expectPull(s.byDigest("cloudfoundry/app", other))

	registry, err := remote.CatalogPage(repository.Registry, "", 10, asPuller())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(registry).To(Equal([]string{"cloudfoundry/app"}))
}

// startUpload begins an upload and returns where it goes on.
func (s *served) startUpload(repository string) string {
	s.t.Helper()
	status, header, body := s.call(http.MethodPost, "/v2/"+repository+"/blobs/uploads/", nil)
	if status != http.StatusAccepted {
		s.t.Fatalf("start an upload: %d %s", status, body)
	}
	return header.Get("Location")
}

func TestUploadInChunksWithTheDigestAtTheEnd(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	content := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	sum := sha256.Sum256(content)
	digest := "sha256:" + hex.EncodeToString(sum[:])

	location := s.startUpload("cloudfoundry/app")
	g.Expect(location).To(HavePrefix("/v2/"), "whatever address the client came by")
	const chunk = 100_000
	for from := 0; from < len(content); from += chunk {
		to := min(from+chunk, len(content))
		status, header, body := s.call(http.MethodPatch, location, bytes.NewReader(content[from:to]),
			"Content-Type", "application/octet-stream", "Content-Range", fmt.Sprintf("%d-%d", from, to-1))
		g.Expect(status).To(Equal(http.StatusAccepted), body)
		g.Expect(header.Get("Range")).To(Equal(fmt.Sprintf("0-%d", to-1)))
		location = header.Get("Location")
	}
	status, _, body := s.call(http.MethodHead, "/v2/cloudfoundry/app/blobs/"+digest, nil)
	g.Expect(status).To(Equal(http.StatusNotFound), body)
	status, header, body := s.call(http.MethodPut, location+"&digest="+digest, nil)
	g.Expect(status).To(Equal(http.StatusCreated), body)
	g.Expect(header.Get("Docker-Content-Digest")).To(Equal(digest))

	status, header, _ = s.call(http.MethodHead, "/v2/cloudfoundry/app/blobs/"+digest, nil)
	g.Expect(status).To(Equal(http.StatusOK))
	g.Expect(header.Get("Content-Length")).To(Equal(fmt.Sprint(len(content))))
	status, header, body = s.call(http.MethodGet, "/v2/cloudfoundry/app/blobs/"+digest, nil, "Range", "bytes=16-31")
	g.Expect(status).To(Equal(http.StatusPartialContent))
	g.Expect(body).To(Equal("0123456789abcdef"))
	g.Expect(header.Get("Content-Range")).To(Equal(fmt.Sprintf("bytes 16-31/%d", len(content))))
}

func TestWrongDigestsAndRangesAreRefusedAndLeaveNothing(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	location := s.startUpload("cloudfoundry/app")
	status, _, body := s.call(http.MethodPatch, location, strings.NewReader("hello"), "Content-Range", "7-11")
	g.Expect(status).To(Equal(http.StatusRequestedRangeNotSatisfiable), body)

	location = s.startUpload("cloudfoundry/app")
	status, _, body = s.call(http.MethodPut, location+"&digest=sha256:"+strings.Repeat("0", 64), strings.NewReader("hello"))
	g.Expect(status).To(Equal(http.StatusBadRequest))
	g.Expect(body).To(ContainSubstring("DIGEST_INVALID"))
	status, _, _ = s.call(http.MethodGet, location, nil)
	g.Expect(status).To(Equal(http.StatusNotFound), "the upload is gone with its bytes")
}

func TestConcurrentPushesOfSharedLayers(t *testing.T) {
	s := serve(t, t.TempDir())
	shared := randomLayer(t, 200_000, types.OCILayer)
	var pushes sync.WaitGroup
	for i := range 12 {
		pushes.Go(func() {
			own := staticLayer(fmt.Sprint("layer ", i), types.OCILayer)
			image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), shared, own)
			if err == nil {
				err = remote.Write(s.tag("cloudfoundry/app", fmt.Sprint(i)), image, asPusher())
			}
			if err == nil {
				err = remote.Write(s.tag(fmt.Sprintf("cloudfoundry/app%d", i%3), "latest"), image, asPusher())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	pushes.Wait()
	for i := range 12 {
		expectWhole(t, s, fmt.Sprint(i))
	}
}

func TestPathsOutsideTheAPI(t *testing.T) {
	g := NewWithT(t)
	s := serve(t, t.TempDir())
	for path, wanted := range map[string]int{"/": 404, "/healthz": 404, "/debug/vars": 404, "/debug/health": 404, "/v2/": 200, "/v2": 200} {
		status, _, _ := s.call(http.MethodGet, path, nil)
		g.Expect(status).To(Equal(wanted), path)
	}
	for _, path := range []string{"/v2/../../etc/manifests/latest", "/v2/Upper/manifests/latest", "/v2/a/manifests/..", "/v2/a/manifests/sha256:zz"} {
		status, _, _ := s.call(http.MethodPut, path, strings.NewReader("{}"))
		g.Expect(status).To(And(BeNumerically(">=", 300), BeNumerically("<", 500)), path)
	}
}
