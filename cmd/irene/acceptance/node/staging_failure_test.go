//go:build node

package node_test

import (
	"context"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/buildpack"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
)

// scripts is a buildpack of one's own: what supply and finalize do.
func scripts(supply, finalize string) []byte {
	GinkgoHelper()
	return zipped(map[string]string{
		"bin/detect": "#!/bin/sh\nexit 1\n", "bin/supply": "#!/bin/sh\n" + supply + "\n", "bin/finalize": "#!/bin/sh\n" + finalize + "\n",
		"bin/release": "#!/bin/sh\necho 'default_process_types: {web: sleep 1000}'\n",
	})
}

var _ = Describe("a build that does not succeed", Ordered, ContinueOnFailure, func() {
	var (
		place  *stagingInstallation
		source string
	)
	BeforeAll(func(ctx SpecContext) {
		place = newStagingInstallation(ctx, "failing-builds", map[string]any{"deadline": "25s"})
		place.addSamples(buildpack.Failing, buildpack.FailingClassic)
		place.addBuildpack("greedy", scripts("echo eating; dd if=/dev/zero of=/dev/null bs=512M count=1", ""))
		const killed = "dd if=/dev/zero of=/dev/null bs=512M count=1"
		place.addBuildpack("tolerant", scripts(killed+" || echo survived", ""))
		place.addBuildpack("unlucky", scripts(killed+" || echo survived; exit 7", ""))
		place.addBuildpack("messy", scripts("echo spilling; dd if=/dev/zero of=/tmp/spilled bs=1M count=200; sleep 1000", ""))
		place.addBuildpack("sleepy", scripts("echo dreaming; sleep 1000", ""))
		source = place.addSource(map[string]string{"README": "nothing to run\n"})
	}, NodeTimeout(time.Minute))

	It("tells Cloud Controller why, once", func(ctx SpecContext) {
		type failure struct {
			build   standin.Build
			id      string
			message types.GomegaMatcher
		}
		failing := func(at string) standin.Build {
			return standin.Build{AppName: at, Buildpacks: []string{buildpack.Failing}, Environment: map[string]string{"FAIL_AT": at}}
		}
		missing := place.addSource(map[string]string{"README": "it can't be fetched"})
		defer place.cloudController.Fail(standin.Fault{Endpoint: standin.PackageDownload, Status: http.StatusNotFound, Match: func(r *http.Request) bool {
			return r.PathValue("guid") == missing
		}})()
		failures := []failure{
			{failing("detect"), "NoAppDetectedError", Equal("None of the buildpacks detected a compatible application")},
			{failing("supply"), "BuildpackCompileFailed", And(ContainSubstring("failing"), ContainSubstring("bin/supply: exit status 7"))},
			{failing("finalize"), "BuildpackCompileFailed", ContainSubstring("bin/finalize: exit status 7")},
			{failing("release"), "BuildpackReleaseFailed", ContainSubstring("bin/release: exit status 7")},
			{failing("compile"), "BuildpackCompileFailed", ContainSubstring("bin/compile: exit status 7")},
			{standin.Build{AppName: "greedy", Buildpacks: []string{"greedy"}, MemoryMB: 96}, "StagingError",
				And(ContainSubstring("out of memory"), ContainSubstring("96"))},
			{standin.Build{AppName: "unlucky", Buildpacks: []string{"unlucky"}, MemoryMB: 96}, "BuildpackCompileFailed",
				And(ContainSubstring("exit status 7"), ContainSubstring("a process was killed because the memory limit of 96M was exceeded"))},
			{standin.Build{AppName: "messy", Buildpacks: []string{"messy"}, DiskMB: 64}, "StagingError",
				And(ContainSubstring("out of disk"), ContainSubstring("64"))},
			{standin.Build{AppName: "unfetchable", Buildpacks: []string{buildpack.Failing}, Package: missing, Passwords: true}, "StagingError",
				ContainSubstring("404")},
		}
		failures[0].build.Buildpacks = nil // or nothing is detected
		failures[4].build.Buildpacks = []string{buildpack.FailingClassic}
		builds := []*stagedBuild{}
		for _, f := range failures {
			if f.build.Package == "" {
				f.build.Package = source
			}
			builds = append(builds, place.stage(ctx, f.build))
		}
		for i, f := range failures {
			ended := builds[i].failed(ctx, f.id, f.message)
			AddReportEntry(f.build.AppName+" failed after "+builds[i].told().Sub(builds[i].asked).Round(time.Millisecond).String(),
				ended.ErrorID+": "+ended.ErrorMessage, ReportEntryVisibilityAlways)
		}
		for _, b := range builds {
			b.keptItsSecrets(ctx)
			b.toldOnce()
		}
	}, SpecTimeout(2*time.Minute))

	It("is over when a process was killed for memory, although the buildpack went on", func(ctx SpecContext) {
		b := place.stage(ctx, standin.Build{Package: source, AppName: "tolerant", Buildpacks: []string{"tolerant"}, MemoryMB: 96})
		b.failed(ctx, "StagingError", And(ContainSubstring("A process was killed in step build"), ContainSubstring("the memory limit of 96M")))
		AddReportEntry("failed after "+b.told().Sub(b.asked).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
		b.toldOnce()
		Eventually(b.pods).WithContext(ctx).Should(BeEmpty(), "kubelet leaves the pod Pending for ever")
	}, SpecTimeout(2*time.Minute))

	It("is over when it is canceled, deleted by hand or takes too long", func(ctx SpecContext) {
		sleepy := standin.Build{Package: source, Buildpacks: []string{"sleepy"}}
		canceled, deleted, robbed, late := place.stage(ctx, sleepy), place.stage(ctx, sleepy), place.stage(ctx, sleepy), place.stage(ctx, sleepy)
		all := []*stagedBuild{canceled, deleted, robbed, late}
		for _, b := range all {
			b.says(ctx, "dreaming")
		}

		began := time.Now()
		answer, err := place.Call(ctx, http.MethodDelete, "/stage/"+canceled.GUID, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Status).To(Equal(http.StatusNoContent), answer.Message())
		canceled.failed(ctx, "StagingError", Equal("Staging was canceled"))
		told := canceled.told().Sub(began)
		Eventually(canceled.pods).WithContext(ctx).Should(BeEmpty())
		AddReportEntry("DELETE → callback, pod gone", told.Round(time.Millisecond).String()+", "+time.Since(began).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)

		began = time.Now()
		background := metav1.DeletePropagationBackground
		Expect(node.client.BatchV1().Jobs(place.namespace).Delete(ctx, "stage-"+deleted.GUID, metav1.DeleteOptions{PropagationPolicy: &background})).To(Succeed())
		deleted.failed(ctx, "StagingError", ContainSubstring("somebody deleted its Job"))
		Eventually(func(ctx context.Context) bool {
			_, err := deleted.job(ctx)
			return apierrors.IsNotFound(err)
		}).WithContext(ctx).Should(BeTrue())
		Eventually(deleted.pods).WithContext(ctx).Should(BeEmpty())
		AddReportEntry("Job deleted by hand → callback, pod gone", deleted.told().Sub(began).Round(time.Millisecond).String()+", "+time.Since(began).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)

		began = time.Now()
		Expect(node.client.CoreV1().Pods(place.namespace).Delete(ctx, robbed.pod(ctx).Name, metav1.DeleteOptions{})).To(Succeed())
		// The pod may have gone before anybody saw how.
		robbed.failed(ctx, "StagingError", Or(ContainSubstring("somebody deleted its pod"), ContainSubstring("its pod is gone")))
		AddReportEntry("pod deleted by hand → callback", robbed.told().Sub(began).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)

		late.failed(ctx, "StagingTimeExpired", Equal("Staging took longer than 25 s and was stopped: exceeded 25s timeout"))
		AddReportEntry("deadline of 25 s: asked → callback", late.told().Sub(late.asked).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
		for _, b := range all {
			b.toldOnce()
		}
	}, SpecTimeout(2*time.Minute))
})
