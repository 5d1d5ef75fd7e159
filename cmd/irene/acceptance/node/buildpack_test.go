//go:build node

package node_test

import (
	"context"
	"net"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a buildpack app", func() {
	It("is RUNNING within about a second of being able to answer", func(ctx SpecContext) {
		a := cloud.push(ctx, newBuildpackApp("slow-starter").Env("SAMPLE_START_DELAY", "4s"))

		By("being CLAIMED while it starts")
		Eventually(a.states).WithContext(ctx).Should(Equal([]string{"CLAIMED"}))
		var address string
		Eventually(func(ctx context.Context) string {
			address = a.pod(ctx, 0).Status.PodIP
			return address
		}).WithContext(ctx).ShouldNot(BeEmpty())
		started, err := a.instance(0)(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(started.State).To(Equal("CLAIMED"))

		By("being RUNNING soon after its port is open")
		Eventually(func() error {
			connection, err := net.DialTimeout("tcp", net.JoinHostPort(address, "8080"), time.Second)
			if err != nil {
				return err
			}
			return connection.Close()
		}).WithContext(ctx).WithPolling(5 * time.Millisecond).Should(Succeed())
		open := time.Now()
		Eventually(a.states).WithContext(ctx).WithPolling(5 * time.Millisecond).Should(Equal([]string{"RUNNING"}))
		took := time.Since(open)
		AddReportEntry("port open → RUNNING (the check asks every second)", took.Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
		Expect(took).To(BeNumerically("<", 10*time.Second), "the check asks every second")

		running, err := a.instance(0)(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(running.SinceTime()).To(BeTemporally("~", time.Now(), time.Minute))
		Expect(running.PlacementError).To(BeEmpty())
	}, SpecTimeout(2*time.Minute))

	It("starts with the command that staging found when none is given", func(ctx SpecContext) {
		begin := time.Now()
		a := cloud.run(ctx, newBuildpackApp("staged-command").Droplet(images.droplet, dropletHash, ""))
		AddReportEntry("desired → RUNNING", time.Since(begin).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
		Expect(a.arguments(ctx)).To(Equal(strings.Fields(stagedCommand)))
	}, SpecTimeout(2*time.Minute))

	It("runs without ports as a worker", func(ctx SpecContext) {
		a := cloud.run(ctx, newBuildpackApp("worker").
			With("process_type", "worker").With("ports", []int{}).With("health_check_type", "process").
			With("routes", map[string]any{"cf-router": []any{}}).
			Env("PORT", "").Env("VCAP_APP_PORT", ""))
		logs, err := node.kubectl(ctx, "logs", "--namespace", cloud.namespace, a.pod(ctx, 0).Name)
		Expect(err).NotTo(HaveOccurred())
		Expect(logs).To(ContainSubstring("working without a port"))
		Consistently(a.states).WithContext(ctx).Should(Equal([]string{"RUNNING"}))
		Expect(a.restarts(0)(ctx)).To(BeZero())
	}, SpecTimeout(2*time.Minute))

	It("mounts a claim where it can write, and finds it again after a restart", func(ctx SpecContext) {
		claim := localVolume(ctx, cloud.namespace, "kept")
		a := cloud.run(ctx, newBuildpackApp("with-volume").
			With("volume_mounts", []any{map[string]any{"volume_id": claim, "mount_dir": "/var/vcap/data/kept"}}))

		a.exec(ctx, 0, "sh", "-c", "id -u > /var/vcap/data/kept/writer")
		before := a.pod(ctx, 0).UID
		answer, err := cloud.StopInstance(ctx, a.GUID(), a.Version(), "0")
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Status).To(Equal(200), answer.Message())
		Eventually(a.uids).WithContext(ctx).Should(And(HaveLen(1), Not(ContainElement(before))))
		a.awaitRunning(ctx)
		Expect(a.exec(ctx, 0, "cat", "/var/vcap/data/kept/writer")).To(Equal("2000\n"))
	}, SpecTimeout(2*time.Minute))
})
