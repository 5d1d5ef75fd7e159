//go:build node

package node_test

import (
	"net/http"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	. "github.com/onsi/gomega/gstruct"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/imageworks"
)

var _ = Describe("while irene registry serve is away", func() {
	It("apps restart and grow where their image is, and new ones are told to wait", func(ctx SpecContext) {
		program := filepath.Join(binaries, "irene")
		works, err := imageworks.StartProcess(ctx, program, GinkgoT().TempDir(), GinkgoWriter)
		Expect(err).NotTo(HaveOccurred())
		place := assembleWith(ctx, "registry-away", works)
		a := place.run(ctx, newApp("stays", place.newDroplet()))
		works.Process.Kill()

		By("crashing")
		began := time.Now()
		a.get(ctx, 0, "/exit?code=3")
		Eventually(a.restarts(0)).WithContext(ctx).Should(BeEquivalentTo(1))
		a.awaitRunning(ctx)
		AddReportEntry("crashed without a registry → RUNNING", time.Since(began).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)

		By("losing its pod")
		before := a.pod(ctx, 0)
		Expect(node.client.CoreV1().Pods(place.namespace).Delete(ctx, before.Name, metav1.DeleteOptions{})).To(Succeed())
		Eventually(a.uids).WithContext(ctx).Should(And(HaveKey(before.Name), Not(HaveKeyWithValue(before.Name, before.UID))))
		a.awaitRunning(ctx)

		By("getting another instance")
		a.scale(ctx, 2)
		a.awaitRunning(ctx)

		By("wanting another app")
		fresh := newApp("comes", place.newDroplet())
		began = time.Now()
		answer, err := place.Desire(ctx, fresh)
		took := time.Since(began)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Status).To(Equal(http.StatusServiceUnavailable), answer.Message())
		Expect(answer.Message()).To(ContainSubstring("at present"))
		AddReportEntry("a new app without a registry", took.Round(time.Millisecond).String()+": "+answer.Message(), ReportEntryVisibilityAlways)
		Expect(took).To(BeNumerically("<", 20*time.Second))
		waiting := &app{Desire: fresh, home: place.installation}
		Expect(waiting.instance(0)(ctx)).To(MatchFields(IgnoreExtras, Fields{
			"State": Equal("UNCLAIMED"), "PlacementError": Equal(answer.Message()),
		}))
		Expect(waiting.objects(ctx)).To(BeEmpty())

		By("being repeated when it is back")
		Expect(works.RestartProcess(ctx, program, GinkgoWriter)).To(Succeed())
		began = time.Now()
		place.run(ctx, fresh)
		AddReportEntry("the registry is back, desired again → RUNNING", time.Since(began).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
	}, SpecTimeout(2*time.Minute))
})
