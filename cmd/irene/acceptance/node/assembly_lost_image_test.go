//go:build node

package node_test

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/fixtures/imageworks"
)

// kubeletPause is kubelet's first pause before it tries to pull again.
const kubeletPause = 10 * time.Second

var _ = Describe("an image that registry and node have lost", func() {
	It("is made again, byte for byte, and pulled without a pause", func(ctx SpecContext) {
		place := newAssembling(ctx, "lost-images")
		d := place.newDroplet()
		a := place.run(ctx, newApp("forgotten", d))
		tag := a.imageTag(ctx)
		image, err := place.works.Image(ctx, d.GUID, tag)
		Expect(err).NotTo(HaveOccurred())
		digest, err := image.Digest()
		Expect(err).NotTo(HaveOccurred())
		config, err := image.ConfigName()
		Expect(err).NotTo(HaveOccurred())

		By("losing the image, the droplet's layer and what the node has of both")
		Expect(place.works.Lose(ctx, d.GUID)).To(Succeed())
		Expect(place.works.Lose(ctx, "droplets")).To(Succeed())
		Expect(place.works.Tags(ctx, d.GUID)).To(BeEmpty())
		removeImage(ctx, imageworks.Prefix+"/"+d.GUID, config.String())

		before := a.pod(ctx, 0)
		Expect(node.client.CoreV1().Pods(place.namespace).Delete(ctx, before.Name, metav1.DeleteOptions{})).To(Succeed())
		var waiting types.UID
		Eventually(func(ctx context.Context) string {
			pods, err := a.pods(ctx)
			if err != nil || len(pods) == 0 || len(pods[0].Status.ContainerStatuses) == 0 || pods[0].Status.ContainerStatuses[0].State.Waiting == nil {
				return ""
			}
			waiting = pods[0].UID
			return pods[0].Status.ContainerStatuses[0].State.Waiting.Reason
		}).WithContext(ctx).WithPolling(2 * time.Millisecond).Should(BeElementOf("ErrImagePull", "ImagePullBackOff"))
		noticed := time.Now()
		Eventually(a.uids).WithContext(ctx).Should(And(HaveLen(1), Not(HaveKeyWithValue(before.Name, waiting))))
		a.awaitRunning(ctx)
		took := time.Since(noticed)
		AddReportEntry("node can't pull → image made again, another pod RUNNING", took.Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
		Expect(took).To(BeNumerically("<", kubeletPause))

		Expect(a.imageTag(ctx)).To(Equal(tag))
		image, err = place.works.Image(ctx, d.GUID, tag)
		Expect(err).NotTo(HaveOccurred())
		Expect(image.Digest()).To(Equal(digest))
		Expect(place.works.Droplets.Requests(d.GUID)).To(Equal(2))
		events, err := node.kubectl(ctx, "get", "events", "--namespace", place.namespace, "--field-selector", "reason=ImageRepaired")
		Expect(err).NotTo(HaveOccurred())
		Expect(events).To(ContainSubstring("was put together again"))
	}, SpecTimeout(2*time.Minute))
})

// removeImage makes the node forget an image under all of its names, and waits until
// kubelet's side of containerd knows.
func removeImage(ctx context.Context, repository, config string) {
	GinkgoHelper()
	names := func() ([]string, error) {
		listed, err := node.ctr(ctx, "images", "list", "--quiet")
		var matching []string
		for _, name := range strings.Fields(listed) {
			if name == config || strings.Contains(name, repository) {
				matching = append(matching, name)
			}
		}
		return matching, err
	}
	found, err := names()
	Expect(err).NotTo(HaveOccurred())
	Expect(found).NotTo(BeEmpty())
	_, err = node.ctr(ctx, append([]string{"images", "remove", "--sync"}, found...)...)
	Expect(err).NotTo(HaveOccurred())
	Eventually(names).Should(BeEmpty())
}
