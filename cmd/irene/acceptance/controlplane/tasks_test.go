//go:build controlplane

package controlplane_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
)

var _ = Describe("Running a task", func() {
	var place *tasking
	BeforeEach(func(ctx context.Context) { place = newTasking(ctx) })

	DescribeTable("makes a Job whose pod Kubernetes takes under the restricted standard", func(ctx context.Context, fixture string, command []string) {
		t := place.newTask(fixture)
		t.asked(ctx, place.irene)
		job := t.job(ctx)
		Expect(job.Finalizers).To(ContainElement(reportFinalizer))
		Expect(job.Labels).To(And(HaveKeyWithValue("cloudfoundry.org/source_type", "TASK"), HaveKeyWithValue("cloudfoundry.org/app_guid", t.request["app_guid"])))
		Expect(job.Spec.BackoffLimit).To(HaveValue(BeZero()))
		content, err := json.Marshal(job)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(content)).NotTo(Or(ContainSubstring("hunter2"), ContainSubstring("PASSWORD")))

		pod := t.placed(ctx)
		Expect(pod.Spec.Containers).To(HaveLen(1))
		Expect(pod.Spec.Containers[0].Command).To(Equal(command))
		Expect(pod.Spec.RestartPolicy).To(Equal(corev1.RestartPolicyNever))

		By("with what it needs in a Secret")
		Expect(place.SecretNames(ctx, t.guid)).To(ConsistOf(t.jobName()))
		secret, err := api.CoreV1().Secrets(place.Namespace).Get(ctx, t.jobName(), metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(string(secret.Data["callback"])).To(Equal(t.request["completion_callback"]))
		Expect(secret.OwnerReferences).To(BeEmpty())
	},
		Entry("in a droplet", patience, buildpackTask, []string{"/lifecycle/launch"}),
		Entry("in an image", patience, dockerTask, []string{"/bin/sh", "-c", "COMMAND"}),
	)

	It("is done once, in whatever state the request comes again", func(ctx context.Context) {
		remove := place.cc.Fail(standin.Fault{Endpoint: standin.TaskCompleted, Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"1"}}})
		t := place.runs(ctx)
		before, pod := t.job(ctx), t.placed(ctx)
		again := func() {
			GinkgoHelper()
			for range 3 {
				t.asked(ctx, place.irene)
			}
			Expect(t.job(ctx).UID).To(Equal(before.UID))
			Expect(place.Pods(ctx, t.guid)).To(ConsistOf(HaveField("UID", pod.UID)))
		}
		By("running")
		again()
		By("ended")
		t.exits(ctx, 0, "Completed")
		Eventually(t.received).ShouldNot(BeEmpty())
		again()
		By("answered")
		remove()
		t.answered(ctx)
		again()
		Expect(listed(ctx, place.irene)).To(BeEmpty())

		By("being deleted")
		deleted := place.runs(ctx)
		place.cc.Fail(standin.Fault{Endpoint: standin.TaskCompleted, Status: http.StatusServiceUnavailable})
		was := deleted.job(ctx)
		Expect(api.BatchV1().Jobs(place.Namespace).Delete(ctx, deleted.jobName(), metav1.DeleteOptions{})).To(Succeed())
		deleted.asked(ctx, place.irene)
		Expect(deleted.job(ctx).UID).To(Equal(was.UID))
	}, patience)

	It("is one Job when both replicas are asked, and one for each run of one name", func(ctx context.Context) {
		replicas := []*ireneprocess.Process{place.irene, place.Start(ctx)}
		runs := []*task{place.newTask(buildpackTask), place.newTask(buildpackTask)}
		runs[1].request["app_guid"] = runs[0].request["app_guid"]
		Expect(runs[0].request["name"]).To(Equal(runs[1].request["name"]))
		var calls sync.WaitGroup
		for _, t := range runs {
			for n := range 10 {
				calls.Go(func() {
					defer GinkgoRecover()
					t.asked(ctx, replicas[n%2])
				})
			}
		}
		calls.Wait()
		for _, t := range runs {
			t.job(ctx)
			t.placed(ctx)
			Expect(place.Secrets(ctx, t.guid)).To(HaveLen(1))
		}
		Expect(listed(ctx, replicas[1])).To(ConsistOf(runs[0].guid, runs[1].guid))
		Consistently(func() int { return len(place.Pods(ctx, runs[0].guid)) }).Should(Equal(1))
	}, patience)

	It("says what is wrong with a request, and makes nothing of it", func(ctx context.Context) {
		refused := func(t *task, status int) string {
			GinkgoHelper()
			answer, err := place.irene.Call(ctx, http.MethodPost, t.path(), t.request)
			Expect(err).NotTo(HaveOccurred())
			Expect(answer).To(controlplane.Answered(status))
			Expect(t.jobs(ctx)).To(BeEmpty())
			Expect(place.Secrets(ctx, t.guid)).To(BeEmpty())
			return stageMessage(answer)
		}
		Expect(refused(place.newTask(buildpackTask).variable("MEMORY_LIMIT", "much"), 400)).To(HavePrefix("environment.MEMORY_LIMIT: "))
		Expect(refused(place.newTask(buildpackTask).variable("BIG", strings.Repeat("x", 1<<17)), 422)).To(HavePrefix("environment.BIG: "))
		t := place.newTask(buildpackTask)
		t.request["lifecycle"] = nil
		Expect(refused(t, 400)).To(HavePrefix("lifecycle: "))
		Expect(place.irene.Call(ctx, http.MethodPost, "/tasks/"+strings.Repeat("x", 64), place.newTask(buildpackTask).request)).To(controlplane.Answered(http.StatusUnprocessableEntity))
	}, patience)

	It("is stopped when it is canceled, and can be canceled again", func(ctx context.Context) {
		t := place.runs(ctx)
		cancel := func(status int) {
			GinkgoHelper()
			Expect(place.irene.Call(ctx, http.MethodDelete, t.path(), nil)).To(controlplane.Answered(status))
		}
		cancel(http.StatusNoContent)
		Expect(t.ended()).To(And(HaveField("Failed", true), HaveField("FailureReason", "task was cancelled")))
		Eventually(func(g Gomega) {
			for _, pod := range place.Pods(ctx, t.guid) {
				g.Expect(pod.DeletionTimestamp).NotTo(BeNil())
			}
		}).Should(Succeed())
		t.answered(ctx)
		cancel(http.StatusNotFound)
		t.asked(ctx, place.irene)
		Expect(t.job(ctx).Spec.Suspend).To(HaveValue(BeTrue()), "a late repeat of the request does not run it")
		Expect(place.irene.Call(ctx, http.MethodDelete, place.newTask(buildpackTask).path(), nil)).To(controlplane.Answered(http.StatusNotFound))
		Expect(t.received()).To(HaveLen(1))
	}, patience)
})

var _ = Describe("Tasks while the API server is in trouble", func() {
	var (
		gate  *controlplane.Gateway
		place *tasking
	)
	BeforeEach(func(ctx context.Context) {
		gate = controlplane.NewGateway(apiConfig)
		place = newTaskingBehind(ctx, gate.Kubeconfig(), nil)
	})

	It("are accepted once the Job exists, although the answer that says so got lost", func(ctx context.Context) {
		t := place.newTask(buildpackTask)
		var lost sync.Once
		gate.Intercept(controlplane.Creates("jobs"), func(pass func()) {
			pass()
			lost.Do(func() { panic(http.ErrAbortHandler) })
		})
		t.asked(ctx, place.irene)
		t.job(ctx)
	}, patience)

	It("are not listed in part, nor taken for gone", func(ctx context.Context) {
		t := place.newTask(buildpackTask)
		t.asked(ctx, place.irene)
		gate.Fail(controlplane.Calls(http.MethodGet, "jobs"), controlplane.AnswerStatus(503))
		for _, path := range []string{"/tasks", t.path()} {
			Expect(place.irene.Call(ctx, http.MethodGet, path, nil)).To(controlplane.Answered(http.StatusServiceUnavailable))
		}
		gate.Heal()
		Expect(listed(ctx, place.irene)).To(ConsistOf(t.guid))
	}, patience)

	It("are refused when the Job can't be made", func(ctx context.Context) {
		t := place.newTask(buildpackTask)
		gate.Fail(controlplane.Creates("jobs"), controlplane.AnswerStatus(500))
		Expect(place.irene.Call(ctx, http.MethodPost, t.path(), t.request)).To(controlplane.Answered(http.StatusServiceUnavailable))
		Expect(t.jobs(ctx)).To(BeEmpty())
		Expect(listed(ctx, place.irene)).To(BeEmpty())
	}, patience)
})
