//go:build controlplane

package controlplane_test

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
)

var _ = Describe("When the API server is in trouble", func() {
	var (
		gate  *controlplane.Gateway
		place *controlplane.Platform
		irene *ireneprocess.Process
	)
	BeforeEach(func(ctx context.Context) {
		gate = controlplane.NewGateway(apiConfig)
		place = alone(ctx, gate.Kubeconfig())
		place.Settings["kubernetes"] = map[string]any{"view_stale_after": "6s"}
		irene = place.Start(ctx)
	})

	troubled := func(ctx context.Context, matches func(*http.Request) bool, fault http.HandlerFunc) {
		GinkgoHelper()
		d := controlplane.App("troubled")
		gate.Fail(matches, fault)
		answer, err := irene.Desire(ctx, d)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer).To(controlplane.Answered(503))
		Expect(json.Valid(answer.Body)).To(BeTrue())
		Expect(place.StatefulSets(ctx, d.GUID())).To(BeEmpty())
		Expect(irene.List(ctx)).To(BeEmpty())

		By("saying why while the API server stays away")
		gate.Heal()
		instances, err := irene.Instances(ctx, d.GUID(), d.Version())
		Expect(err).NotTo(HaveOccurred())
		Expect(instances).To(HaveLen(1))
		Expect(instances[0].PlacementError).To(Equal(answer.Message()))

		By("working when the sync asks again")
		controlplane.DesireApp(ctx, irene, d)
		controlplane.AwaitRunning(ctx, irene, d, 1)
		Expect(place.Secrets(ctx, d.GUID())).To(HaveLen(1))
	}
	It("a desire that can't find out whether the app is there is answered 503", func(ctx context.Context) {
		quiet(ctx, irene)
		troubled(ctx, controlplane.Calls("GET", "statefulsets"), controlplane.AnswerStatus(500))
	}, patience)

	DescribeTable("a desire is answered 503 and leaves nothing half done", troubled,
		Entry("500 for the Secret", patience, controlplane.Creates("secrets"), controlplane.AnswerStatus(500)),
		Entry("500 for the StatefulSet", patience, controlplane.Creates("statefulsets"), controlplane.AnswerStatus(500)),
		Entry("502 from a proxy before it", patience, controlplane.Creates("statefulsets"), controlplane.AnswerStatus(502)),
		Entry("503 for the StatefulSet", patience, controlplane.Creates("statefulsets"), controlplane.AnswerStatus(503)),
		Entry("504 for the StatefulSet", patience, controlplane.Creates("statefulsets"), controlplane.AnswerStatus(504)),
		Entry("429 again and again", patience, controlplane.Creates("statefulsets"), controlplane.AnswerBusy(0)),
	)

	It("waits as long as a busy API server asks for, and then goes through", func(ctx context.Context) {
		d := controlplane.App("patient")
		gate.Fail(controlplane.WritesApps, gate.AtFirst(2, controlplane.AnswerBusy(1)))
		started := time.Now()
		controlplane.DesireApp(ctx, irene, d)
		Expect(time.Since(started)).To(BeNumerically(">=", time.Second))
		controlplane.AwaitRunning(ctx, irene, d, 1)
	}, patience)

	It("gives up with the caller when the API server never answers, and leaves nothing half done", func(ctx context.Context) {
		d := controlplane.App("hanging")
		gate.Fail(controlplane.Creates("statefulsets"), controlplane.NeverAnswer)
		impatient, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := irene.Desire(impatient, d)
		Expect(err).To(MatchError(context.DeadlineExceeded))
		Expect(place.StatefulSets(ctx, d.GUID())).To(BeEmpty())
		Expect(irene.List(ctx)).To(BeEmpty())
		gate.Heal()
		controlplane.DesireApp(ctx, irene, d)
		controlplane.AwaitRunning(ctx, irene, d, 1)
	}, patience)

	It("answers 503 by itself, before Cloud Controller's 60 s are over, when the API server never answers", func(ctx context.Context) {
		gate.Fail(controlplane.Creates("statefulsets"), controlplane.NeverAnswer)
		started := time.Now()
		Expect(irene.Desire(ctx, controlplane.App("waiting"))).To(controlplane.Answered(503))
		Expect(time.Since(started)).To(BeNumerically("<", 58*time.Second))
	}, SpecTimeout(4*time.Minute))

	It("takes an answer that was lost for no harm: the next desire finds the app", func(ctx context.Context) {
		d := controlplane.App("lost-answer")
		gate.Intercept(controlplane.Creates("statefulsets"), func(pass func()) {
			pass()
			panic(http.ErrAbortHandler)
		})
		Expect(irene.Desire(ctx, d)).To(controlplane.Answered(503))
		gate.Heal()
		set := place.StatefulSet(ctx, d.GUID())
		controlplane.DesireApp(ctx, irene, d)
		Expect(place.StatefulSet(ctx, d.GUID()).UID).To(Equal(set.UID))
		controlplane.AwaitRunning(ctx, irene, d, 1)
	}, patience)

	It("answers updates and stops 503 and changes nothing that GET would show", func(ctx context.Context) {
		d := controlplane.App("unchanged")
		controlplane.RunApp(ctx, irene, d)
		gate.Fail(controlplane.WritesApps, controlplane.AnswerStatus(500))
		Expect(irene.Update(ctx, d.GUID(), d.Version(), map[string]any{"instances": 3, "annotation": "2.0"})).To(controlplane.Answered(503))
		Expect(irene.Client.Stop(ctx, d.GUID(), d.Version())).To(controlplane.Answered(503))
		Expect(irene.StopInstance(ctx, d.GUID(), d.Version(), "0")).To(controlplane.Answered(503))
		Expect(controlplane.Annotation(ctx, irene, d)).To(Equal(d["last_updated"]))
		controlplane.AwaitRunning(ctx, irene, d, 1)
		gate.Heal()
		Expect(irene.Update(ctx, d.GUID(), d.Version(), map[string]any{"instances": 2, "annotation": "2.0"})).To(controlplane.Answered(200))
		controlplane.AwaitRunning(ctx, irene, d, 2)
	}, patience)

	It("answers from what it knows while the API server is away, refuses to list once that is too old, and recovers by itself", func(ctx context.Context) {
		d, other := controlplane.App("known"), controlplane.App("new")
		controlplane.RunApp(ctx, irene, d)
		gate.Close()
		away := time.Now()
		Expect(irene.Desire(ctx, other)).To(controlplane.Answered(503))
		Expect(irene.Client.Stop(ctx, d.GUID(), d.Version())).To(controlplane.Answered(503))
		Expect(irene.Get(ctx, other.GUID(), other.Version())).To(controlplane.Answered(503))

		By("still answering")
		Expect(irene.Desire(ctx, d)).To(controlplane.Answered(202), "it is there and needs no change")
		Expect(irene.Get(ctx, d.GUID(), d.Version())).To(controlplane.Answered(200))
		Expect(irene.States(ctx, d.GUID(), d.Version())).To(Equal([]string{"RUNNING"}))
		Expect(controlplane.Annotation(ctx, irene, d)).To(Equal(d["last_updated"]))
		Expect(ready(irene)).To(Equal(200), "its reads are as good as any replica's")

		By("refusing to list what may be too old, with no list at all")
		Eventually(func() error {
			_, err := irene.List(ctx)
			return err
		}, "20s").Should(MatchError(HavePrefix("status 503: no list of LRPs")))
		Expect(time.Since(away)).To(BeNumerically(">", 4*time.Second))
		answer, err := irene.Call(ctx, "GET", "/apps", nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(json.Valid(answer.Body)).To(BeFalse(), "Cloud Controller looks at the body alone")
		Expect(irene.States(ctx, d.GUID(), d.Version())).To(Equal([]string{"RUNNING"}))

		By("recovering")
		Expect(irene.Running()).To(BeTrue())
		gate.Reopen()
		Eventually(irene.List).WithContext(ctx).WithTimeout(30 * time.Second).Should(HaveKey(d.ProcessGUID()))
		controlplane.DesireApp(ctx, irene, other)
		controlplane.AwaitRunning(ctx, irene, other, 1)
		Expect(irene.List(ctx)).To(HaveLen(2))
	}, patience)

	It("learns what it missed when its watches have expired", func(ctx context.Context) {
		stays, goes, comes := controlplane.App("stays"), controlplane.App("goes"), controlplane.App("comes")
		controlplane.RunApp(ctx, irene, stays)
		controlplane.RunApp(ctx, irene, goes)
		gate.Fail(resumedWatches, controlplane.AnswerStatus(http.StatusGone))
		gate.Close()
		other := place.LaunchThrough(direct())
		Expect(other.AwaitReady(ctx)).To(Succeed())
		Expect(other.Client.Stop(ctx, goes.GUID(), goes.Version())).To(controlplane.Answered(200))
		controlplane.DesireApp(ctx, other, comes)
		Expect(other.Update(ctx, stays.GUID(), stays.Version(), map[string]any{"instances": 2, "annotation": "2.0"})).To(controlplane.Answered(200))
		controlplane.AwaitRunning(ctx, other, stays, 2)
		gate.Reopen()
		Eventually(irene.List).WithContext(ctx).WithTimeout(30 * time.Second).Should(And(
			HaveLen(2), HaveKey(comes.ProcessGUID()), HaveKeyWithValue(stays.ProcessGUID(), "2.0")))
		controlplane.AwaitRunning(ctx, irene, stays, 2)
	}, patience)

	It("is as slow as that one in its writes, and in nothing else", func(ctx context.Context) {
		known := controlplane.App("known")
		controlplane.RunApp(ctx, irene, known)
		let := make(chan struct{})
		gate.Fail(controlplane.WritesApps, func(w http.ResponseWriter, r *http.Request) {
			<-let
			gate.Forward.ServeHTTP(w, r)
		})
		slow := controlplane.App("slow")
		desired := make(chan struct{})
		go func() {
			defer GinkgoRecover()
			defer close(desired)
			Expect(irene.Desire(ctx, slow)).To(controlplane.Answered(202))
		}()
		Eventually(func() float64 { return controlplane.Gauge(ctx, irene, "irene_kubernetes_calls_in_flight") }).Should(BeNumerically(">", 0))
		Expect(irene.List(ctx)).To(HaveLen(1))
		Expect(irene.States(ctx, known.GUID(), known.Version())).To(Equal([]string{"RUNNING"}))
		Consistently(desired, "300ms").ShouldNot(BeClosed())
		close(let)
		Eventually(desired).Should(BeClosed())
		controlplane.AwaitRunning(ctx, irene, slow, 1)
	}, patience)

	It("is not ready before it has seen everything, and then is", func(ctx context.Context) {
		d := controlplane.App("seen-later")
		controlplane.RunApp(ctx, irene, d)
		gate.Fail(controlplane.Calls("GET", "secrets"), controlplane.AnswerStatus(500))
		late := place.Launch()
		Eventually(func() (int, error) { return ready(late) }).Should(Equal(503))
		Consistently(func() (int, error) { return ready(late) }, "500ms").Should(Equal(503))
		_, err := late.List(ctx)
		Expect(err).To(MatchError(ContainSubstring("status 503")), "half of what there is must not be listed")
		gate.Heal()
		Expect(late.AwaitReady(ctx)).To(Succeed())
		Expect(late.List(ctx)).To(HaveKey(d.ProcessGUID()))
	}, patience)
})

// resumedWatches matches those that go on where another ended, not those that begin
// with everything there is.
func resumedWatches(r *http.Request) bool {
	query := r.URL.Query()
	return query.Get("watch") != "" && query.Get("sendInitialEvents") == ""
}

// ready is the status of /readyz.
func ready(irene *ireneprocess.Process) (int, error) {
	response, err := http.Get(irene.ObserveURL + "/readyz")
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}
