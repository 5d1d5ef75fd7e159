//go:build controlplane

package events

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/k8s/keys"
)

func TestJobs(t *testing.T) {
	cluster := startCluster(t)
	for name, test := range map[string]func(*world){
		"told once":                          toldOnce,
		"Cloud Controller is away":           cloudControllerIsAway,
		"answers that are final":             finalAnswers,
		"credentials that are not accepted":  notAccepted,
		"nobody to tell":                     nobodyToTell,
		"a tombstone's time is over":         tombstoneExpires,
		"stopped in order again and again":   stoppedInOrder,
		"killed again and again":             killedAgainAndAgain,
		"two at once":                        twoAtOnce,
		"deleted by hand":                    deletedByHand,
		"it takes too long":                  takesTooLong,
		"nothing can be decided":             nothingCanBeDecided,
		"a slow answer holds nobody else up": slowAnswers,
		"what is not ours":                   notOurs,
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.SetDefaultEventuallyTimeout(30 * time.Second)
			g.SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
			g.SetDefaultConsistentlyDuration(500 * time.Millisecond)
			test(newWorld(t, g, cluster))
		})
	}
}

func toldOnce(w *world) {
	stop, metrics := w.run(nil)
	first := w.build(ended("detect"))
	later := w.build(nil)
	w.g.Eventually(w.answer(first)).Should(HavePrefix("200 2"))
	w.g.Consistently(w.answer(later)).Should(BeEmpty())
	w.end(later, "memory")
	w.g.Eventually(w.answer(later)).Should(HavePrefix("200 2"))
	// The mark is on the Job before the reporter has taken it off its own list.
	w.g.Eventually(func() map[string]float64 { return measured(w.g, metrics) }).Should(And(
		HaveKeyWithValue(`irene_outcomes_total{kind="STG",reason="detect"}`, 1.0),
		HaveKeyWithValue(`irene_outcomes_total{kind="STG",reason="memory"}`, 1.0),
		HaveKeyWithValue(`irene_outcome_answers_total{answer="accepted",kind="STG"}`, 2.0),
		HaveKeyWithValue(`irene_outcomes_oldest_pending_seconds`, 0.0),
	))
	stop()
	w.run(nil)
	w.g.Consistently(func() int { return len(w.cc.Received(standin.BuildCompleted, "")) }, time.Second).Should(Equal(2))
	w.heard()
}

// end says that a Job has ended.
func (w *world) end(name, reason string) {
	w.t.Helper()
	_, err := w.client.BatchV1().Jobs(w.namespace).Patch(w.ctx, name, "application/merge-patch+json",
		[]byte(`{"metadata":{"annotations":{"`+endedMark+`":"`+reason+`"}}}`), metav1.PatchOptions{})
	w.g.Expect(err).NotTo(HaveOccurred())
}

func cloudControllerIsAway(w *world) {
	w.run(func(c *ClientOptions, _ *Options) { c.RequestTimeout = 300 * time.Millisecond })
	for _, fault := range []standin.Fault{{Cut: true}, {Stall: true}, {Status: 500}, {Status: 429}, {Status: 503}} {
		fault.Times = 10
		w.cc.Fail(fault)
	}
	for range 20 {
		w.build(ended("detect"))
	}
	w.g.Eventually(w.allAnswered, 90*time.Second).Should(BeTrue())
	w.heard()
	codes := map[int]int{}
	for _, request := range w.cc.Received(standin.BuildCompleted, "") {
		codes[request.Status]++
	}
	w.g.Expect(codes).To(Equal(map[int]int{0: 20, 500: 10, 429: 10, 503: 10, 200: 20}))
}

func finalAnswers(w *world) {
	stop, metrics := w.run(nil)
	for _, status := range []int{400, 404, 422} {
		w.cc.Fail(standin.Fault{Status: status, Times: 1})
		name := w.build(ended("detect"))
		w.g.Eventually(w.answer(name)).Should(HavePrefix(fmt.Sprintf("%d 2", status)))
	}
	stop()
	w.run(nil)
	w.g.Consistently(func() int { return len(w.cc.Received(standin.BuildCompleted, "")) }, time.Second).Should(Equal(3))
	w.g.Expect(measured(w.g, metrics)).To(HaveKeyWithValue(`irene_outcome_answers_total{answer="refused",kind="STG"}`, 3.0))
}

func notAccepted(w *world) {
	remove := w.cc.Fail(standin.Fault{Status: 401})
	stop, metrics := w.run(nil)
	name := w.build(ended("detect"))
	w.g.Eventually(func() int { return len(w.cc.Received(standin.BuildCompleted, name)) }).Should(Equal(1))
	w.g.Eventually(func() map[string]float64 { return measured(w.g, metrics) }).Should(And(
		HaveKeyWithValue(`irene_outcomes_pending{kind="STG"}`, 1.0),
		HaveKeyWithValue(`irene_outcome_failures_total{step="deliver"}`, 1.0),
		HaveKeyWithValue(`irene_cloud_controller_requests_total{code="401",endpoint="build_completed"}`, 1.0),
	))
	w.g.Consistently(func() int { return len(w.cc.Received(standin.BuildCompleted, name)) }, 2*time.Second).Should(Equal(1), "not at once")
	w.g.Expect(w.answer(name)()).To(BeEmpty())
	stop()
	remove()
	w.run(nil)
	w.g.Eventually(w.answer(name)).Should(HavePrefix("200 "))
	w.heard()
}

func nobodyToTell(w *world) {
	name := w.build(nil)
	w.g.Expect(w.client.CoreV1().Secrets(w.namespace).Delete(w.ctx, name, metav1.DeleteOptions{})).To(Succeed())
	_, metrics := w.run(nil)
	w.end(name, "detect")
	w.g.Eventually(w.answer(name)).Should(HavePrefix("no-callback 2"))
	w.g.Expect(measured(w.g, metrics)).To(HaveKeyWithValue(`irene_outcome_answers_total{answer="no_callback",kind="STG"}`, 1.0))
}

func tombstoneExpires(w *world) {
	w.run(func(_ *ClientOptions, o *Options) { o.TombstoneTTL = 3 * time.Second })
	name := w.build(ended("detect"))
	w.g.Eventually(w.answer(name)).ShouldNot(BeEmpty())
	w.g.Consistently(w.gone(name), time.Second).Should(BeFalse())
	w.g.Eventually(w.gone(name)).Should(BeTrue())
	w.heard()

	waiting := w.build(ended("detect"))
	w.g.Eventually(w.answer(waiting)).ShouldNot(BeEmpty())
	w.g.Expect(w.client.BatchV1().Jobs(w.namespace).Delete(w.ctx, waiting, metav1.DeleteOptions{})).To(Succeed())
	w.g.Eventually(w.gone(waiting), time.Second).Should(BeTrue(), "at once if somebody deletes it")
}

// stoppedInOrder ends the controller at random instants, as a SIGTERM or a lost Lease
// does.
func stoppedInOrder(w *world) {
	w.cc.Fail(standin.Fault{AfterWork: true, Delay: 50 * time.Millisecond})
	for range 20 {
		w.build(ended("detect"))
	}
	stops := 0
	for ; !w.allAnswered(); stops++ {
		stop, _ := w.run(func(_ *ClientOptions, o *Options) { o.Workers = 2 })
		pass(w.ctx, rand.N(400*time.Millisecond))
		stop()
	}
	duplicates, _ := w.heard()
	w.t.Logf("stopped %d times: %d duplicates", stops, duplicates)
	w.g.Expect(duplicates).To(BeZero())
}

func pass(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func twoAtOnce(w *world) {
	w.cc.Fail(standin.Fault{AfterWork: true, Delay: 50 * time.Millisecond})
	w.run(nil)
	w.run(nil)
	for range 20 {
		w.build(ended("detect"))
	}
	w.g.Eventually(w.allAnswered).Should(BeTrue())
	duplicates, most := w.heard()
	w.t.Logf("%d duplicates", duplicates)
	w.g.Expect(most).To(BeNumerically("<=", 1))
}

func deletedByHand(w *world) {
	remove := w.cc.Fail(standin.Fault{Status: 503})
	w.run(nil)
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground} {
		name := w.build(running)
		w.g.Eventually(w.pods).Should(HaveLen(1))
		w.g.Expect(w.client.BatchV1().Jobs(w.namespace).Delete(w.ctx, name, metav1.DeleteOptions{PropagationPolicy: &policy})).To(Succeed())
		w.g.Eventually(w.pods).Should(BeEmpty(), "although Cloud Controller is away")
		w.g.Expect(w.gone(name)()).To(BeFalse())
	}
	remove()
	for _, name := range w.builds {
		w.g.Eventually(w.gone(name)).Should(BeTrue())
		build, _ := w.cc.Build(name)
		w.g.Expect(build.ErrorMessage).To(HavePrefix("deleted"))
	}
	w.heard()
}

func takesTooLong(w *world) {
	w.run(func(_ *ClientOptions, o *Options) {
		o.Kinds = map[string]Decider{keys.SourceTypeStaging: &whim{patience: 3 * time.Second}}
	})
	name := w.build(running)
	w.g.Eventually(w.pods).Should(HaveLen(1))
	w.g.Eventually(w.answer(name)).ShouldNot(BeEmpty())
	w.g.Eventually(w.pods).Should(BeEmpty(), "what was reported as ended has ended")
	w.g.Expect(*w.job(name).Spec.Suspend).To(BeTrue())
	build, _ := w.cc.Build(name)
	w.g.Expect(build.ErrorMessage).To(HavePrefix("unschedulable"))
}

func nothingCanBeDecided(w *world) {
	decider := &whim{}
	_, metrics := w.run(func(_ *ClientOptions, o *Options) { o.Kinds = map[string]Decider{keys.SourceTypeStaging: decider} })
	name := w.build(ended("broken"))
	w.g.Eventually(func() map[string]float64 { return measured(w.g, metrics) }).Should(
		HaveKeyWithValue(`irene_outcome_failures_total{step="decide"}`, BeNumerically(">=", 2)))
	w.end(name, "detect")
	w.g.Eventually(w.answer(name)).ShouldNot(BeEmpty())
}

func slowAnswers(w *world) {
	w.cc.Fail(standin.Fault{Stall: true})
	_, metrics := w.run(func(_ *ClientOptions, o *Options) { o.Workers = 2 })
	for range 4 {
		w.build(ended("detect"))
	}
	w.g.Eventually(func() int { return len(w.cc.Received(standin.BuildCompleted, "")) }).Should(Equal(2))
	w.build(ended("memory"))
	w.g.Eventually(func() map[string]float64 { return measured(w.g, metrics) }, 3*time.Second).Should(
		HaveKeyWithValue(`irene_outcomes_total{kind="STG",reason="memory"}`, 1.0), "deciding goes on")
}

func notOurs(w *world) {
	w.run(nil)
	name := w.build(ended("detect"))
	w.g.Eventually(w.answer(name)).ShouldNot(BeEmpty())
	foreign := w.job(name)
	foreign.ObjectMeta = metav1.ObjectMeta{Name: "foreign", Labels: map[string]string{keys.SourceType: keys.SourceTypeStaging}, Annotations: map[string]string{endedMark: "detect"}}
	foreign.Spec.Selector, foreign.Spec.Template.Labels = nil, nil
	_, err := w.client.BatchV1().Jobs(w.namespace).Create(w.ctx, foreign, metav1.CreateOptions{})
	w.g.Expect(err).NotTo(HaveOccurred())
	w.g.Consistently(func() map[string]string { return w.job("foreign").Annotations }).ShouldNot(HaveKey(keys.Outcome))
}
