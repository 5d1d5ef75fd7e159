//go:build node

package node_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	. "github.com/onsi/gomega/gstruct"
	gomegatypes "github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
)

var _ = Describe("an app in trouble", func() {
	It("is CRASHED with its exit status, and then back", func(ctx SpecContext) {
		a := cloud.run(ctx, newBuildpackApp("crashing"))

		By("crashing once: Kubernetes starts it again at once")
		a.get(ctx, 0, "/exit?code=3")
		Eventually(a.restarts(0)).WithContext(ctx).Should(BeEquivalentTo(1))
		a.awaitRunning(ctx)

		By("crashing again: it has to wait")
		a.get(ctx, 0, "/exit?code=3")
		Eventually(a.instance(0)).WithContext(ctx).Should(beCrashed(Equal("exited with status 3")))
		crashed, err := a.instance(0)(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(crashed.SinceTime()).To(BeTemporally("~", time.Now(), 30*time.Second))
		a.awaitRunning(ctx)
		Expect(a.get(ctx, 0, "/health")).To(Equal("ok\n"))
		Expect(a.restarts(0)(ctx)).To(BeEquivalentTo(2))
	}, SpecTimeout(2*time.Minute))

	It("is CRASHED for want of memory, with its limit, and then back", func(ctx SpecContext) {
		a := cloud.run(ctx, newBuildpackApp("hungry").With("memory_mb", 64))
		for round := range 2 { // after the first crash Kubernetes starts it again at once
			_, err := ask(ctx, a.pod(ctx, 0).Status.PodIP, "/oom")
			Expect(err).To(HaveOccurred())
			if round == 0 {
				Eventually(a.restarts(0)).WithContext(ctx).Should(BeEquivalentTo(1))
				a.awaitRunning(ctx)
			}
		}
		Eventually(a.instance(0)).WithContext(ctx).Should(beCrashed(Equal("out of memory: limit 64M")))
		a.awaitRunning(ctx)
	}, SpecTimeout(2*time.Minute))

	It("is CRASHED with its disk limit when it uses more, and starts later each time", func(ctx SpecContext) {
		a := cloud.push(ctx, newBuildpackApp("greedy").With("disk_mb", 64).With("health_check_type", "process").
			Droplet(images.droplet, dropletHash, "head -c 150000000 /dev/zero >/tmp/fill; sleep 3600"))
		// Kubelet looks every 10 s.
		uids := map[types.UID]bool{}
		var third types.UID
		Eventually(func(g Gomega) {
			pods, err := a.pods(ctx)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(pods).To(HaveLen(1))
			third = pods[0].UID
			uids[third] = true
			g.Expect(a.instance(0)(ctx)).To(beCrashed(Equal("out of disk: limit 64M")))
			g.Expect(pods[0].Finalizers).To(ContainElement("irene.cloudfoundry.org/crash-backoff"))
			g.Expect(pods[0].DeletionTimestamp).NotTo(BeNil())
			g.Expect(a.crashesOnDisk(ctx)).To(ContainSubstring(`"count":3`))
		}).WithContext(ctx).WithTimeout(4 * time.Minute).Should(Succeed())
		Eventually(func(g Gomega) {
			pods, err := a.pods(ctx)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(pods).To(ConsistOf(Not(HaveField("UID", third))))
		}).WithContext(ctx).Should(Succeed())
		AddReportEntry("pods until the back-off", fmt.Sprint(len(uids)), ReportEntryVisibilityAlways)
	}, SpecTimeout(6*time.Minute))

	It("is restarted when its check fails, without the delay that a stop has", func(ctx SpecContext) {
		a := cloud.run(ctx, newBuildpackApp("unhealthy").
			With("health_check_type", "http").With("health_check_http_endpoint", "/health"))
		uid := a.pod(ctx, 0).UID
		a.get(ctx, 0, "/unhealthy")
		Eventually(a.restarts(0)).WithContext(ctx).Should(BeEquivalentTo(1))
		a.awaitRunning(ctx)

		pod := a.pod(ctx, 0)
		Expect(pod.UID).To(Equal(uid), "the instance itself stays")
		killed := a.eventTime(ctx, "Killing")
		ended := pod.Status.ContainerStatuses[0].LastTerminationState.Terminated.FinishedAt
		took := ended.Sub(killed)
		AddReportEntry("check failed for good → container ended (whole seconds)", took.String(), ReportEntryVisibilityAlways)
		Expect(took).To(BeNumerically("<", 5*time.Second), "the preStop sleep alone has 5 s")
	}, SpecTimeout(2*time.Minute))

	It("is restarted when it doesn't start in time, and CRASHED when that goes on", func(ctx SpecContext) {
		a := cloud.push(ctx, newBuildpackApp("never-ready").
			Env("SAMPLE_START_DELAY", "1h").With("start_timeout_ms", 2000))
		Eventually(a.states).WithContext(ctx).Should(Equal([]string{"CLAIMED"}))
		Eventually(a.instance(0)).WithContext(ctx).Should(beCrashed(And(
			HavePrefix("failed health check: port 8080 "), HaveSuffix("(not passed within 2s of the start)"))))
		Expect(a.restarts(0)(ctx)).To(BeNumerically(">=", 1))

		By("staying so once it has failed to start three times, also while it runs again")
		Eventually(a.restarts(0)).WithContext(ctx).Should(BeNumerically(">=", 3))
		Eventually(a.states).WithContext(ctx).Should(Equal([]string{"CRASHED"}))
		Eventually(func(ctx context.Context) (int32, error) {
			instance, err := a.instance(0)(ctx)
			if err == nil && instance.State != "CRASHED" {
				return 0, StopTrying("it is " + instance.State)
			}
			return a.restarts(0)(ctx), err
		}).WithContext(ctx).Should(BeNumerically(">=", 4))
	}, SpecTimeout(2*time.Minute))

	It("is CRASHED with the reason when its image can't be pulled", func(ctx SpecContext) {
		missing := images.registry + "/docker/missing:1"
		a := cloud.push(ctx, cloudcontroller.NewDocker("no-image", missing))
		Eventually(a.instance(0)).WithContext(ctx).Should(beCrashed(Equal("the image " + missing + " can't be pulled: not found")))
	}, SpecTimeout(2*time.Minute))

	It("is CRASHED with the reason when its droplet has no image", func(ctx SpecContext) {
		a := cloud.push(ctx, newBuildpackApp("no-droplet").Droplet(images.droplet, strings.Repeat("0", 40), ""))
		Eventually(a.instance(0)).WithContext(ctx).Should(beCrashed(HavePrefix("the platform can't fetch the app's image at present")))
	}, SpecTimeout(2*time.Minute))

	It("is UNCLAIMED with the reason when no node can take it", func(ctx SpecContext) {
		a := cloud.push(ctx, newBuildpackApp("huge").With("memory_mb", 1<<20))
		Eventually(a.instance(0)).WithContext(ctx).Should(MatchFields(IgnoreExtras, Fields{
			"State":          Equal("UNCLAIMED"),
			"PlacementError": ContainSubstring("Insufficient memory"),
		}))
	}, SpecTimeout(2*time.Minute))

	It("is CRASHED with the shell's status when a buildpack app's command is not found", func(ctx SpecContext) {
		a := cloud.push(ctx, newBuildpackApp("no-command").Droplet(images.droplet, dropletHash, "no-such-command --flag"))
		Eventually(a.instance(0)).WithContext(ctx).Should(beCrashed(Equal("exited with status 127")))
		logs, err := node.kubectl(ctx, "logs", "--namespace", cloud.namespace, a.pod(ctx, 0).Name)
		Expect(err).NotTo(HaveOccurred())
		Expect(logs).To(ContainSubstring("no-such-command: not found"))
	}, SpecTimeout(2*time.Minute))

	It("is CRASHED with the reason when a docker app's command is not found", func(ctx SpecContext) {
		a := cloud.push(ctx, cloudcontroller.NewDocker("no-docker-command", images.numbered, "/no/such/command"))
		Eventually(a.instance(0)).WithContext(ctx).Should(beCrashed(And(
			HavePrefix("can't be started: "), ContainSubstring("/no/such/command"))))
	}, SpecTimeout(2*time.Minute))
})

// crashesOnDisk is what is written down of the instances that were over their disk limit.
func (a *app) crashesOnDisk(ctx context.Context) string {
	GinkgoHelper()
	sets, err := node.client.AppsV1().StatefulSets(a.home.namespace).List(ctx, a.selector())
	Expect(err).NotTo(HaveOccurred())
	Expect(sets.Items).To(HaveLen(1))
	return sets.Items[0].Annotations["irene.cloudfoundry.org/disk-crashes"]
}

// beCrashed matches an instance that is CRASHED for that reason.
func beCrashed(reason gomegatypes.GomegaMatcher) gomegatypes.GomegaMatcher {
	return MatchFields(IgnoreExtras, Fields{"State": Equal("CRASHED"), "PlacementError": reason})
}

// eventTime is when the first event of that reason was seen on the LRP's pods.
func (a *app) eventTime(ctx context.Context, reason string) time.Time {
	GinkgoHelper()
	pod := a.pod(ctx, 0)
	var seen corev1.Event
	Eventually(func(ctx context.Context) error {
		list, err := node.client.CoreV1().Events(a.home.namespace).List(ctx, metav1.ListOptions{
			FieldSelector: "reason=" + reason + ",involvedObject.name=" + pod.Name,
		})
		if err != nil {
			return err
		}
		if len(list.Items) == 0 {
			return fmt.Errorf("no event %s of pod %s", reason, pod.Name)
		}
		seen = list.Items[0]
		return nil
	}).WithContext(ctx).Should(Succeed())
	return seen.FirstTimestamp.Time
}
