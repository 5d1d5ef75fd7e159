//go:build node

package node_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures/buildpack"
	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/stager/steps"
)

// killStep kills the process of a step, which runs on this machine.
func (b *stagedBuild) killStep(ctx context.Context, step string) {
	GinkgoHelper()
	pod := string(b.pod(ctx).UID)
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	Expect(err).NotTo(HaveOccurred())
	var found []int
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil || !bytes.HasPrefix(line, []byte("/lifecycle/irene-stage\x00"+step+"\x00")) {
			continue // it has ended, or is another
		}
		groups, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cgroup"))
		if err != nil || !strings.Contains(strings.ReplaceAll(string(groups), "_", "-"), pod) {
			continue
		}
		process, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		Expect(err).NotTo(HaveOccurred())
		found = append(found, process)
	}
	Expect(found).To(HaveLen(1))
	Expect(syscall.Kill(found[0], syscall.SIGKILL)).To(Succeed())
}

// deletePod takes the build's pod away at once.
func (b *stagedBuild) deletePod(ctx context.Context, _ string) {
	GinkgoHelper()
	at := metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}
	Expect(node.client.CoreV1().Pods(b.home.namespace).Delete(ctx, b.pod(ctx).Name, at)).To(Succeed())
}

var _ = Describe("a build that meets trouble on its way", Ordered, ContinueOnFailure, func() {
	var place *stagingInstallation
	newBuild := func() standin.Build {
		GinkgoHelper()
		return standin.Build{
			GUID: cloudcontroller.NewGUID(), AppName: "troubled", Buildpacks: []string{buildpack.Static},
			Package: place.addSource(map[string]string{"index.html": "hello\n"}),
		}
	}
	BeforeAll(func(ctx SpecContext) {
		place = newStagingInstallation(ctx, "troubled-builds", nil)
		place.addSamples(buildpack.Static)
	}, NodeTimeout(time.Minute))

	It("has one outcome when it is killed, or its pod, while it fetches or pushes", func(ctx SpecContext) {
		type trouble struct {
			step     string
			endpoint standin.Endpoint
			strike   func(*stagedBuild, context.Context, string)
			message  string
			build    *stagedBuild
		}
		const gone = "somebody deleted its pod|its pod is gone"
		troubles := []*trouble{
			{step: steps.FetchStep, endpoint: standin.SignedBlob, strike: (*stagedBuild).killStep, message: "killed in step fetch"},
			{step: steps.FetchStep, endpoint: standin.SignedBlob, strike: (*stagedBuild).deletePod, message: gone},
			{step: steps.PushStep, endpoint: standin.DropletUpload, strike: (*stagedBuild).killStep, message: "killed in step push"},
			{step: steps.PushStep, endpoint: standin.DropletUpload, strike: (*stagedBuild).deletePod, message: gone},
		}
		for _, t := range troubles {
			wanted := newBuild()
			// The upload's address has the build's guid, the download's the package's.
			about := func(uri string) bool {
				return strings.Contains(uri, wanted.GUID) || strings.Contains(uri, wanted.Package)
			}
			defer place.cloudController.Fail(standin.Fault{Endpoint: t.endpoint, Stall: true, Match: func(r *http.Request) bool { return about(r.URL.RequestURI()) }})()
			t.build = place.stage(ctx, wanted)
			Eventually(func() bool {
				return slices.ContainsFunc(place.cloudController.Received(t.endpoint, ""), func(r standin.Request) bool { return about(r.URI) })
			}).WithContext(ctx).Should(BeTrue())
			t.strike(t.build, ctx, t.step)
		}
		for _, t := range troubles {
			t.build.failed(ctx, "StagingError", MatchRegexp(t.message))
		}
		Consistently(func(g Gomega) {
			for _, t := range troubles {
				g.Expect(place.cloudController.Received(standin.BuildCompleted, t.build.GUID)).To(HaveLen(1))
				pods, err := t.build.pods(ctx)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(len(pods)).To(BeNumerically("<=", 1), "no other pod takes its place")
			}
		}).Should(Succeed())
	}, SpecTimeout(2*time.Minute))

	It("asks a blobstore that refuses the certificate again without", func(ctx SpecContext) {
		shown := func(r *http.Request) bool { return len(r.TLS.PeerCertificates) > 0 }
		defer place.cloudController.Fail(standin.Fault{Endpoint: standin.SignedBlob, Match: shown, Status: http.StatusForbidden})()
		before := len(place.cloudController.Received(standin.SignedBlob, ""))
		b := place.stage(ctx, newBuild())
		b.staged(ctx)
		answers := map[int]int{}
		for _, request := range place.cloudController.Received(standin.SignedBlob, "")[before:] {
			answers[request.Status]++
		}
		Expect(answers).To(Equal(map[int]int{http.StatusForbidden: 2, http.StatusOK: 2}), "app package and buildpack")
		b.toldOnce()
	}, SpecTimeout(time.Minute))
})
