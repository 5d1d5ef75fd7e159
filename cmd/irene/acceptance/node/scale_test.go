//go:build node

package node_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

var _ = Describe("a running app", Ordered, func() {
	var (
		a     *app
		first map[string]types.UID
	)

	BeforeAll(func(ctx SpecContext) {
		a = cloud.run(ctx, newBuildpackApp("scaled").Env("SECRET", "value"))
		var err error
		first, err = a.uids(ctx)
		Expect(err).NotTo(HaveOccurred())
	}, NodeTimeout(2*time.Minute))

	It("scales from 1 to 3 instances, each with its own index", func(ctx SpecContext) {
		a.scale(ctx, 3)
		a.awaitRunning(ctx)
		for index := range 3 {
			Expect(a.get(ctx, index, "/")).To(HavePrefix(fmt.Sprintf("Hello from scaled, instance %d ", index)))
		}
		for name, uid := range first {
			Expect(a.uids(ctx)).To(HaveKeyWithValue(name, uid), "the first instance stays as it is")
		}
		Eventually(a.objects).WithContext(ctx).Should(Equal(map[string]int{
			"StatefulSet": 1, "Secret": 1, "PodDisruptionBudget": 1, "Pod": 3,
		}))
	}, SpecTimeout(2*time.Minute))

	It("is left alone by a repeated request and by new routes", func(ctx SpecContext) {
		before, err := a.uids(ctx)
		Expect(err).NotTo(HaveOccurred())
		again, err := cloud.Desire(ctx, a.Desire.Clone().Env("SECRET", "another value"))
		Expect(err).NotTo(HaveOccurred())
		Expect(again.Status).To(Equal(http.StatusAccepted), again.Message())
		routed, err := cloud.Update(ctx, a.GUID(), a.Version(), map[string]any{
			"instances": 3,
			"routes":    map[string]any{"cf-router": []any{map[string]any{"hostname": "new.apps.example.com", "port": 8080}}},
		})
		Expect(err).NotTo(HaveOccurred())
		Expect(routed.Status).To(Equal(http.StatusOK), routed.Message())
		Consistently(a.uids).WithContext(ctx).Should(Equal(before))
		Expect(a.states(ctx)).To(HaveEach("RUNNING"))
		Expect(a.variable(ctx, "SECRET")).To(Equal("value"), "a running app keeps what it was started with")
	}, SpecTimeout(time.Minute))

	It("gets another instance 1 when that is stopped, and keeps the others", func(ctx SpecContext) {
		before, err := a.uids(ctx)
		Expect(err).NotTo(HaveOccurred())
		stopped := a.pod(ctx, 1).Name

		answer, err := cloud.StopInstance(ctx, a.GUID(), a.Version(), "1")
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Status).To(Equal(http.StatusOK), answer.Message())
		Eventually(a.states).WithContext(ctx).Should(Equal([]string{"RUNNING", "UNCLAIMED", "RUNNING"}))
		Eventually(a.uids).WithContext(ctx).Should(And(HaveLen(3), Not(HaveKeyWithValue(stopped, before[stopped]))))
		a.awaitRunning(ctx)

		after, err := a.uids(ctx)
		Expect(err).NotTo(HaveOccurred())
		for name, uid := range before {
			if name != stopped {
				Expect(after).To(HaveKeyWithValue(name, uid))
			}
		}
		Expect(a.restarts(0)(ctx)).To(BeZero())
		Expect(a.restarts(2)(ctx)).To(BeZero())
	}, SpecTimeout(2*time.Minute))

	It("scales down to 1 and lets an instance that goes finish what it is at", func(ctx SpecContext) {
		going := a.pod(ctx, 2)
		stopping := a.logTime(ctx, going, "stopping")
		answered := make(chan error, 1)
		go func() {
			text, err := ask(ctx, going.Status.PodIP, "/slow?seconds=8")
			if err == nil && !strings.HasPrefix(text, "answered after 8s") {
				err = fmt.Errorf("the slow request got %q", text)
			}
			answered <- err
		}()
		Eventually(func(ctx context.Context) (string, error) {
			return node.kubectl(ctx, "logs", "--namespace", cloud.namespace, going.Name)
		}).WithContext(ctx).Should(ContainSubstring("GET /slow"))

		asked := time.Now()
		a.scale(ctx, 1)
		Expect(a.states(ctx)).To(Equal([]string{"RUNNING"}))

		var at time.Time
		Eventually(stopping).WithContext(ctx).Should(Receive(&at))
		AddReportEntry("scaled down → SIGTERM reached the app", at.Sub(asked).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
		Expect(at).To(BeTemporally(">", asked.Add(4*time.Second)), "the preStop sleep of 5 s comes before SIGTERM")
		Eventually(answered).WithContext(ctx).Should(Receive(Succeed()), "the request under way is answered")

		Eventually(a.uids).WithContext(ctx).Should(Equal(first), "the first instance stays as it is")
		Eventually(a.objects).WithContext(ctx).Should(Equal(map[string]int{"StatefulSet": 1, "Secret": 1, "Pod": 1}))
		Expect(a.restarts(0)(ctx)).To(BeZero())
	}, SpecTimeout(2*time.Minute))

	It("is gone with all that was made for it when it is stopped", func(ctx SpecContext) {
		a.scale(ctx, 2)
		a.awaitRunning(ctx)
		Eventually(a.objects).WithContext(ctx).Should(HaveKey("PodDisruptionBudget"))

		answer, err := cloud.Process.Client.Stop(ctx, a.GUID(), a.Version())
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Status).To(Equal(http.StatusOK), answer.Message())
		Expect(a.instances(ctx)).To(BeEmpty())
		got, err := cloud.Get(ctx, a.GUID(), a.Version())
		Expect(err).NotTo(HaveOccurred())
		Expect(got.Status).To(Equal(http.StatusNotFound))
		Expect(cloud.List(ctx)).NotTo(HaveKey(a.ProcessGUID()))
		Eventually(a.objects).WithContext(ctx).Should(BeEmpty())
	}, SpecTimeout(2*time.Minute))
})

var _ = Describe("an app that ignores SIGTERM", func() {
	It("is killed when its 15 s are over", func(ctx SpecContext) {
		a := cloud.run(ctx, newBuildpackApp("stubborn").
			Droplet(images.droplet, dropletHash, "trap '' TERM; ./sampleapp & while :; do sleep 1; done"))
		asked := time.Now()
		answer, err := cloud.Process.Client.Stop(ctx, a.GUID(), a.Version())
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Status).To(Equal(http.StatusOK), answer.Message())
		Eventually(a.objects).WithContext(ctx).Should(BeEmpty())
		took := time.Since(asked)
		AddReportEntry("stopped → killed", took.Round(100*time.Millisecond).String(), ReportEntryVisibilityAlways)
		Expect(took).To(BeNumerically(">", 13*time.Second))
	}, SpecTimeout(2*time.Minute))
})

// logTime follows a pod's log and delivers the time of the first line that has the
// text, as kubelet noted it. It ends with the spec.
func (a *app) logTime(ctx context.Context, pod corev1.Pod, text string) <-chan time.Time {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(ctx)
	stream, err := node.client.CoreV1().Pods(pod.Namespace).
		GetLogs(pod.Name, &corev1.PodLogOptions{Follow: true, Timestamps: true}).Stream(ctx)
	Expect(err).NotTo(HaveOccurred())
	found := make(chan time.Time, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(stream)
		for lines.Scan() {
			stamp, line, _ := strings.Cut(lines.Text(), " ")
			if at, err := time.Parse(time.RFC3339Nano, stamp); err == nil && strings.Contains(line, text) {
				found <- at
				return
			}
		}
	}()
	DeferCleanup(func() error {
		cancel()
		<-ended
		return stream.Close()
	})
	return found
}
