//go:build controlplane

package controlplane_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/imageworks"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
	"github.com/irene-cf/irene/fixtures/registryserver"
)

var _ = Describe("Staging an app", func() {
	var place *staging
	BeforeEach(func(ctx context.Context) { place = newStaging(ctx, nil) })

	DescribeTable("makes a Job whose pod Kubernetes takes under the restricted standard", func(ctx context.Context, fixture string) {
		b := newBuild(fixture).variable("TOKEN", "hidden-hunter2")
		stage(ctx, place.irene, b)
		job := place.job(ctx, b)
		Expect(job.Finalizers).To(ContainElement(reportFinalizer))
		Expect(job.Labels).To(And(HaveKeyWithValue("cloudfoundry.org/source_type", "STG"), HaveKeyWithValue("cloudfoundry.org/app_guid", b["app_guid"])))
		Expect(job.Annotations).To(HaveKeyWithValue("cloudfoundry.org/application_name", "the_thor"))
		content, err := json.Marshal(job)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(content)).NotTo(Or(ContainSubstring("hunter2"), ContainSubstring("internal_password")))

		pod := place.placed(ctx, b)
		Expect(pod.Spec.InitContainers).To(HaveLen(2))
		Expect(pod.Labels).To(HaveKeyWithValue("cloudfoundry.org/staging_guid", b.guid()))

		By("in images that are in the registry")
		nodes := place.Nodes.Address() + "/" + imageworks.Prefix + "/"
		for image, repository := range map[string]string{
			pod.Spec.InitContainers[0].Image: "stage", pod.Spec.InitContainers[1].Image: "builds/" + imageworks.StackName, pod.Spec.Containers[0].Image: "stage",
		} {
			Expect(image).To(HavePrefix(nodes + repository + ":"))
			Expect(place.Tags(ctx, repository)).To(ContainElement(image[strings.LastIndex(image, ":")+1:]))
		}

		By("with what it needs in Secrets")
		Expect(place.SecretNames(ctx, b.guid())).To(ConsistOf(b.jobName(), b.jobName()+"-build"))
		secret, err := api.CoreV1().Secrets(place.Namespace).Get(ctx, b.jobName(), metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(string(secret.Data["callback"])).To(Equal(b["completion_callback"]))

		By("among them a registry credential of its own, and nothing of Irene's account")
		for _, secret := range place.Secrets(ctx, b.guid()) {
			for key, content := range secret.Data {
				Expect(string(content)).NotTo(ContainSubstring(place.Writer.Password), secret.Name+": "+key)
			}
		}
		Expect(string(secret.Data["registry-username"])).To(MatchRegexp(`^irene-build/1/\d+/%s/%s/droplets$`, b.guid(), imageworks.Prefix))
	},
		Entry("asked for as formerly", patience, formerBuild),
		Entry("asked for as today", patience, usualBuild),
	)

	It("makes the same of the same request, however often it comes", func(ctx context.Context) {
		b := newBuild(usualBuild)
		stage(ctx, place.irene, b)
		pod, before := place.placed(ctx, b), place.job(ctx, b)
		for range 5 {
			stage(ctx, place.irene, b)
		}
		after := place.job(ctx, b)
		Expect(after.UID).To(Equal(before.UID))
		Expect(after.Generation).To(Equal(before.Generation))
		Expect(place.Pods(ctx, b.guid())).To(ConsistOf(HaveField("UID", pod.UID)))

		By("also while the Job is being deleted")
		Expect(api.BatchV1().Jobs(place.Namespace).Delete(ctx, b.jobName(), metav1.DeleteOptions{})).To(Succeed())
		stage(ctx, place.irene, b)
		Expect(place.job(ctx, b).UID).To(Equal(before.UID))
	}, patience)

	It("makes one Job of one build that both replicas are asked for", func(ctx context.Context) {
		replicas := []*ireneprocess.Process{place.irene, place.Start(ctx)}
		builds := []build{newBuild(usualBuild), newBuild(usualBuild), newBuild(dockerBuild)}
		var calls sync.WaitGroup
		for _, b := range builds {
			for n := range 10 {
				calls.Go(func() {
					defer GinkgoRecover()
					stage(ctx, replicas[n%2], b)
				})
			}
		}
		calls.Wait()
		for _, b := range builds[:2] {
			place.job(ctx, b)
			place.placed(ctx, b)
			Expect(place.Secrets(ctx, b.guid())).To(HaveLen(2))
		}
		place.job(ctx, builds[2])
		Consistently(func() int { return len(place.Pods(ctx, builds[0].guid())) }).Should(Equal(1))
	}, patience)

	It("of a docker image makes a record without a pod", func(ctx context.Context) {
		b := newBuild(dockerBuild)
		stage(ctx, place.irene, b)
		job := place.job(ctx, b)
		Expect(job.Spec.Suspend).To(HaveValue(BeTrue()))
		Expect(job.Finalizers).To(ContainElement(reportFinalizer))
		content, err := json.Marshal(job)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(content)).NotTo(ContainSubstring("notone"))
		Expect(place.SecretNames(ctx, b.guid())).To(ConsistOf(b.jobName()))
		Consistently(func() []corev1.Pod { return place.Pods(ctx, b.guid()) }).Should(BeEmpty())
	}, patience)

	It("says what is wrong with a request, and makes nothing of it", func(ctx context.Context) {
		Expect(place.refuses(ctx, newBuild(usualBuild).with("memory_mb", 0), 422)).To(HavePrefix("memory_mb: "))
		Expect(place.refuses(ctx, newBuild(usualBuild).with("lifecycle", nil), 400)).To(HavePrefix("lifecycle: "))
		Expect(place.refuses(ctx, newBuild(usualBuild).variable("CF_STACK", "windows2019"), 422)).To(
			And(HavePrefix("environment.CF_STACK: "), ContainSubstring(`there is no stack "windows2019"`)))
		Expect(place.refuses(ctx, newBuild(usualBuild).variable("BIG", strings.Repeat("x", 1<<17)), 422)).To(HavePrefix("environment.BIG: "))
		Expect(place.irene.Call(ctx, http.MethodPut, newBuild(usualBuild).path()+"/completed", "{}")).To(controlplane.Answered(http.StatusGone))
	}, patience)

	It("answers 503 and leaves nothing while the registry is away", func(ctx context.Context) {
		place.Irene.Fail(registryserver.Status(http.StatusServiceUnavailable))
		Expect(place.refuses(ctx, newBuild(usualBuild), 503)).To(Equal("the platform can't stage the app at present; it may be able to later"))
		By("while docker images need none of ours")
		stage(ctx, place.irene, newBuild(dockerBuild))
	}, patience)
})

var _ = Describe("Canceling a build", func() {
	var place *staging
	BeforeEach(func(ctx context.Context) { place = newStaging(ctx, nil) })

	cancel := func(ctx context.Context, b build) {
		GinkgoHelper()
		Expect(place.irene.Call(ctx, http.MethodDelete, b.path(), nil)).To(controlplane.Answered(http.StatusNoContent))
	}

	It("takes its pod away, and keeps its record", func(ctx context.Context) {
		b := newBuild(usualBuild)
		stage(ctx, place.irene, b)
		place.placed(ctx, b)
		cancel(ctx, b)
		cancel(ctx, b)
		job := place.job(ctx, b)
		Expect(job.Spec.Suspend).To(HaveValue(BeTrue()))
		Expect(job.Annotations[stoppedBecause]).To(MatchJSON(`{"reason":"canceled","id":"StagingError","message":"Staging was canceled"}`))
		Eventually(func(g Gomega) {
			for _, pod := range place.Pods(ctx, b.guid()) {
				g.Expect(pod.DeletionTimestamp).NotTo(BeNil())
			}
		}).Should(Succeed())

		By("so that a late repeat of the request does not stage again")
		stage(ctx, place.irene, b)
		Expect(place.job(ctx, b).UID).To(Equal(job.UID))
		Expect(place.job(ctx, b).Spec.Suspend).To(HaveValue(BeTrue()))
	}, patience)

	It("is a 404 for one that there is not", func(ctx context.Context) {
		Expect(place.irene.Call(ctx, http.MethodDelete, newBuild(usualBuild).path(), nil)).To(controlplane.Answered(http.StatusNotFound))
	}, patience)
})

var _ = Describe("Secrets of builds", func() {
	It("stay while their build is not reported, and go when there is no Job", func(ctx context.Context) {
		place := newStaging(ctx, nil)
		b, orphan := newBuild(usualBuild), newBuild(usualBuild)
		stage(ctx, place.irene, b)
		_, err := api.CoreV1().Secrets(place.Namespace).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Name: orphan.jobName(), Annotations: map[string]string{"irene.cloudfoundry.org/desired-at": "2020-01-01T00:00:00Z"},
			Labels: map[string]string{"cloudfoundry.org/source_type": "STG", "cloudfoundry.org/guid": orphan.guid(), "cloudfoundry.org/staging_guid": orphan.guid()},
		}}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		// A leader sweeps as soon as it is one.
		place.irene.Kill()
		place.irene = place.Start(ctx)
		Eventually(func() []corev1.Secret { return place.Secrets(ctx, orphan.guid()) }).Should(BeEmpty())
		// Kubernetes would take what the Job owns before its outcome is sent.
		Expect(place.Secrets(ctx, b.guid())).To(And(HaveLen(2), HaveEach(HaveField("OwnerReferences", BeEmpty()))))
	}, patience)
})

var _ = Describe("Staging while the API server is in trouble", func() {
	var (
		gate  *controlplane.Gateway
		place *staging
	)
	BeforeEach(func(ctx context.Context) {
		gate = controlplane.NewGateway(apiConfig)
		place = newStagingBehind(ctx, gate.Kubeconfig(), nil)
	})

	It("is accepted once the Job exists, although the answer that says so got lost", func(ctx context.Context) {
		b := newBuild(usualBuild)
		var lost sync.Once
		gate.Intercept(controlplane.Creates("jobs"), func(pass func()) {
			pass()
			lost.Do(func() { panic(http.ErrAbortHandler) })
		})
		stage(ctx, place.irene, b)
		place.job(ctx, b)
	}, patience)

	It("survives a moment's trouble", func(ctx context.Context) {
		b := newBuild(usualBuild)
		gate.Fail(controlplane.Creates("jobs"), gate.AtFirst(2, controlplane.AnswerStatus(503)))
		stage(ctx, place.irene, b)
		place.job(ctx, b)
	}, patience)

	DescribeTable("is answered 503 in time when it takes requests and answers none, and a repeat does no harm",
		func(ctx context.Context, silenced func(*http.Request) bool) {
			place.irene.Kill()
			place.Platform.Settings["stager"] = map[string]any{"request_patience": "2s"}
			place.irene = place.Start(ctx)
			b := newBuild(usualBuild)
			gate.Fail(silenced, controlplane.NeverAnswer)
			answer, err := place.irene.Call(ctx, http.MethodPost, b.path(), b)
			Expect(err).NotTo(HaveOccurred())
			Expect(answer).To(controlplane.Answered(http.StatusServiceUnavailable))
			Expect(stageMessage(answer)).To(ContainSubstring("within 2s"))
			gate.Heal()
			for range 2 {
				stage(ctx, place.irene, b)
			}
			place.job(ctx, b)
			Expect(place.Secrets(ctx, b.guid())).To(HaveLen(2))
		},
		Entry("for everything", patience, func(r *http.Request) bool { return !r.URL.Query().Has("watch") }),
		Entry("for the Secrets", patience, controlplane.Creates("secrets")),
		Entry("for the Job", patience, controlplane.Creates("jobs")),
	)

	It("is refused when the Job can't be made, and leaves Secrets that are collected", func(ctx context.Context) {
		b := newBuild(usualBuild)
		gate.Fail(controlplane.Creates("jobs"), controlplane.AnswerStatus(500))
		Expect(place.irene.Call(ctx, http.MethodPost, b.path(), b)).To(controlplane.Answered(http.StatusServiceUnavailable))
		Expect(place.jobs(ctx, b)).To(BeEmpty())
		gate.Heal()
		place.irene.Kill()
		place.irene = place.Start(ctx)
		// Counted from when they were written, an earliest look may come too early.
		Eventually(func() []corev1.Secret { return place.Secrets(ctx, b.guid()) }).WithTimeout(40 * time.Second).Should(BeEmpty())
	}, patience)
})

var _ = Describe("A platform without a registry of its own", func() {
	It("refuses to stage, and says why", func(ctx context.Context) {
		b := newBuild(usualBuild)
		answer, err := irene.Call(ctx, http.MethodPost, b.path(), b)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer).To(controlplane.Answered(http.StatusUnprocessableEntity))
		Expect(stageMessage(answer)).To(Equal("this platform does not stage apps"))
	}, patience)
})
