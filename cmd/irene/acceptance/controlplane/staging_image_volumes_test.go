//go:build controlplane

package controlplane_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/buildpack"
	"github.com/irene-cf/irene/fixtures/imageworks"
	"github.com/irene-cf/irene/fixtures/registryserver"
)

// blobstore has one buildpack, at any path.
type blobstore struct {
	*httptest.Server
	checksum  string
	downloads atomic.Int32
}

func newBlobstore() *blobstore {
	GinkgoHelper()
	content, err := buildpack.Zip(buildpack.Classic)
	Expect(err).NotTo(HaveOccurred())
	sum := sha256.Sum256(content)
	b := &blobstore{checksum: hex.EncodeToString(sum[:])}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		b.downloads.Add(1)
		_, _ = w.Write(content) // irene may be gone
	}))
	DeferCleanup(b.Close)
	return b
}

// request is for a build with the buildpack, one that has no checksum and one of the user's.
func (b *blobstore) request() build {
	GinkgoHelper()
	request := newBuild(usualBuild)
	lifecycle := request["lifecycle"].(map[string]any)["buildpack_lifecycle"].(map[string]any)
	lifecycle["buildpacks"] = []any{
		map[string]any{"name": "classic", "key": "classic-key", "sha256": b.checksum, "url": b.URL + "/classic?signature=hunter2", "skip_detect": true},
		map[string]any{"name": "old", "key": "old-key", "url": b.URL + "/old", "skip_detect": true},
		map[string]any{"name": "custom", "key": b.URL + "/own.zip", "url": b.URL + "/own.zip", "skip_detect": true},
	}
	return request
}

// images are those of the Job's volumes.
func images(job batchv1.Job) []string {
	var found []string
	for _, volume := range job.Spec.Template.Spec.Volumes {
		if volume.Image != nil {
			found = append(found, volume.Image.Reference)
		}
	}
	return found
}

// fetched is what the fetch container of the Job is told.
func (s *staging) fetched(ctx context.Context, job batchv1.Job) string {
	GinkgoHelper()
	for _, volume := range job.Spec.Template.Spec.Volumes {
		if volume.Name != "fetch-files" {
			continue
		}
		secret, err := api.CoreV1().Secrets(s.Namespace).Get(ctx, volume.Secret.SecretName, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		for _, item := range volume.Secret.Items {
			if item.Path == "fetch.json" {
				return string(secret.Data[item.Key])
			}
		}
	}
	Fail("the Job has no configuration for fetch")
	return ""
}

var _ = Describe("Buildpacks as image volumes", func() {
	var (
		place *staging
		blobs *blobstore
	)
	BeforeEach(func(ctx context.Context) {
		place = newStaging(ctx, map[string]any{"stager": map[string]any{"image_volumes": "on"}})
		blobs = newBlobstore()
	})

	It("are made once, while the first builds fetch, and mounted by all that follow", func(ctx context.Context) {
		var calls sync.WaitGroup
		for range 10 {
			calls.Go(func() {
				defer GinkgoRecover()
				b := blobs.request()
				stage(ctx, place.irene, b)
			})
		}
		calls.Wait()
		Eventually(func() ([]string, error) { return place.Tags(ctx, "buildpacks") }).Should(ConsistOf(blobs.checksum + "-1"))

		b := blobs.request()
		Eventually(func(g Gomega) {
			b = blobs.request()
			stage(ctx, place.irene, b)
			g.Expect(images(place.job(ctx, b))).To(HaveLen(1))
		}).Should(Succeed())
		Expect(blobs.downloads.Load()).To(Equal(int32(1)), "and by nobody else: irene follows no user's URL")
		job := place.job(ctx, b)
		Expect(images(job)).To(ConsistOf(MatchRegexp("^%s/%s/buildpacks@sha256:[0-9a-f]{64}$", place.Nodes.Address(), imageworks.Prefix)))

		By("as Kubernetes takes it")
		pod := place.placed(ctx, b)
		mounts := map[string]corev1.VolumeMount{}
		for _, mount := range pod.Spec.InitContainers[1].VolumeMounts {
			mounts[mount.MountPath] = mount
		}
		// The MD5 of classic-key.
		Expect(mounts).To(HaveKeyWithValue("/tmp/buildpacks/e477e42295f2a1117460d96beb251223", HaveField("ReadOnly", true)))
		for _, other := range []corev1.Container{pod.Spec.InitContainers[0], pod.Spec.Containers[0]} {
			Expect(other.VolumeMounts).To(HaveLen(2))
		}
		Expect(place.fetched(ctx, job)).To(And(Not(ContainSubstring("classic")), ContainSubstring(`"old-key"`), ContainSubstring("own.zip")))
		Expect(place.Log.String()).NotTo(ContainSubstring("hunter2"))

		By("also by another replica, which asks the registry")
		replica := place.Start(ctx)
		b = blobs.request()
		stage(ctx, replica, b)
		Expect(images(place.job(ctx, b))).To(Equal(images(job)))
		Expect(blobs.downloads.Load()).To(Equal(int32(1)))

		By("while a repeat that would fetch leaves the Job what it mounts")
		place.Irene.Fail(registryserver.Status(http.StatusServiceUnavailable))
		before := place.fetched(ctx, place.job(ctx, b))
		stage(ctx, replica, b)
		Expect(place.fetched(ctx, place.job(ctx, b))).To(Equal(before))
	}, patience)

	DescribeTable("are fetched as before when there can be no image", func(ctx context.Context, fault registryserver.Fault) {
		place.Irene.Fail(fault.On(registryserver.Path("/buildpacks/")))
		b := blobs.request()
		stage(ctx, place.irene, b)
		job := place.job(ctx, b)
		Expect(images(job)).To(BeEmpty())
		Expect(place.fetched(ctx, job)).To(ContainSubstring(`"classic-key"`))
		place.placed(ctx, b)
		Eventually(place.Log.String).Should(Or(ContainSubstring("irene.buildpacks.look"), ContainSubstring("irene.buildpacks.make-image")))
		Eventually(func(ctx context.Context) (string, error) { return place.irene.Metrics(ctx) }).WithContext(ctx).Should(And(
			ContainSubstring(`irene_staging_buildpacks_total{from="download"} 3`), ContainSubstring(`irene_staging_buildpacks_total{from="image"} 0`),
			MatchRegexp(fmt.Sprintf(`(?m)^%s [1-9]`, `(irene_buildpack_image_look_failures_total|irene_buildpack_images_total\{outcome="failed"\})`))))
	},
		Entry("because the registry has trouble", patience, registryserver.Status(http.StatusInternalServerError)),
		Entry("because the registry does not answer", patience, registryserver.Fault(registryserver.Silence)),
		Entry("because the registry takes none", patience, registryserver.Status(http.StatusForbidden).On(registryserver.Method(http.MethodPost))),
	)
})
