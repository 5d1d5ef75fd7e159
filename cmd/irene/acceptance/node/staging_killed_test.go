//go:build node

package node_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures/buildpack"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/stager/steps"
)

// killStep kills the only process of a step on this machine.
func killStep(step string) {
	GinkgoHelper()
	var found []int
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	Expect(err).NotTo(HaveOccurred())
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil || !bytes.HasPrefix(line, []byte("/lifecycle/irene-stage\x00"+step+"\x00")) {
			continue // it has ended, or is another
		}
		process, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		Expect(err).NotTo(HaveOccurred())
		found = append(found, process)
	}
	Expect(found).To(HaveLen(1))
	Expect(syscall.Kill(found[0], syscall.SIGKILL)).To(Succeed())
}

var _ = Describe("a build that meets trouble on its way", Ordered, ContinueOnFailure, func() {
	var (
		place  *stagingInstallation
		wanted standin.Build
	)
	BeforeAll(func(ctx SpecContext) {
		place = newStagingInstallation(ctx, "killed-builds", nil)
		place.addSamples(buildpack.Static)
		wanted = standin.Build{AppName: "killed", Package: place.addSource(map[string]string{"index.html": "hello\n"}), Buildpacks: []string{buildpack.Static}}
	}, NodeTimeout(time.Minute))

	DescribeTable("has one outcome when it is killed while it waits for the platform",
		func(ctx SpecContext, step string, endpoint standin.Endpoint, podToo bool, message string) {
			heal := place.cloudController.Fail(standin.Fault{Endpoint: endpoint, Stall: true})
			defer heal()
			before := len(place.cloudController.Received(endpoint, ""))
			b := place.stage(ctx, wanted)
			Eventually(func() int { return len(place.cloudController.Received(endpoint, "")) }).WithContext(ctx).Should(BeNumerically(">", before))
			if podToo {
				Expect(node.client.CoreV1().Pods(place.namespace).Delete(ctx, b.pod(ctx).Name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))})).To(Succeed())
			} else {
				killStep(step)
			}
			b.failed(ctx, "StagingError", MatchRegexp(message))
			heal()
			Consistently(func() []standin.Request { return place.cloudController.Received(standin.BuildCompleted, b.GUID) }).Should(HaveLen(1))
			pods, err := b.pods(ctx)
			Expect(err).NotTo(HaveOccurred())
			Expect(len(pods)).To(BeNumerically("<=", 1), "no other pod takes its place")
		},
		Entry("its fetch", SpecTimeout(time.Minute), steps.FetchStep, standin.SignedBlob, false, "killed in step fetch"),
		Entry("its pod during fetch", SpecTimeout(time.Minute), steps.FetchStep, standin.SignedBlob, true, "somebody deleted its pod|its pod is gone"),
		Entry("its push", SpecTimeout(time.Minute), steps.PushStep, standin.DropletUpload, false, "killed in step push"),
		Entry("its pod during push", SpecTimeout(time.Minute), steps.PushStep, standin.DropletUpload, true, "somebody deleted its pod|its pod is gone"),
	)

	It("asks a blobstore that refuses the certificate again without", func(ctx SpecContext) {
		shown := func(r *http.Request) bool { return len(r.TLS.PeerCertificates) > 0 }
		defer place.cloudController.Fail(standin.Fault{Endpoint: standin.SignedBlob, Match: shown, Status: http.StatusForbidden})()
		before := len(place.cloudController.Received(standin.SignedBlob, ""))
		b := place.stage(ctx, wanted)
		b.staged(ctx)
		answers := map[int]int{}
		for _, request := range place.cloudController.Received(standin.SignedBlob, "")[before:] {
			answers[request.Status]++
		}
		Expect(answers).To(Equal(map[int]int{http.StatusForbidden: 2, http.StatusOK: 2}), "app package and buildpack")
		b.toldOnce()
	}, SpecTimeout(time.Minute))
})
