//go:build controlplane

package controlplane_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/fixtures/controlplane"
)

var _ = Describe("What became of a task", func() {
	It("Cloud Controller hears exactly once", func(ctx context.Context) {
		place := newTaskingBehind(ctx, direct(), map[string]any{
			"tasks": map[string]any{"deadline": "1h", "pull_patience": "1s", "scheduling_patience": "4s"},
		})
		tasks := make([]*task, len(taskFates))
		for i, f := range taskFates {
			tasks[i] = f.begins(ctx, place)
		}
		for i, f := range taskFates {
			By(f.name)
			began := time.Now()
			f.comes(ctx, tasks[i])
			f.met(tasks[i])
			if f.play != nil {
				AddReportEntry(f.name+" → callback", tasks[i].received()[0].At.Sub(began).Round(time.Millisecond).String())
			}
			if !f.deleted {
				Expect(tasks[i].answered(ctx)).To(HavePrefix("200 "))
			}
		}
		Eventually(func() []string { return listed(ctx, place.irene) }).Should(BeEmpty())
		By("and never again, although irene starts anew and the request comes once more")
		place.restart(ctx)
		for i, f := range taskFates {
			if !f.deleted {
				tasks[i].asked(ctx, place.irene)
			}
		}
		Consistently(func(g Gomega) {
			for i, f := range taskFates {
				g.Expect(tasks[i].received()).To(HaveLen(1), f.name)
			}
			g.Expect(listed(ctx, place.irene)).To(BeEmpty())
		}).Should(Succeed())
		By("and the secrets are gone, those of tombstones too")
		for i, f := range taskFates {
			Eventually(func() int { return len(place.Secrets(ctx, tasks[i].guid)) }).WithTimeout(50*time.Second).Should(BeZero(), f.name)
		}
	}, SpecTimeout(3*time.Minute))

	It("Cloud Controller hears although irene is killed again and again", func(ctx context.Context) {
		place := newTaskingBehind(ctx, direct(), map[string]any{
			"tasks": map[string]any{"deadline": "1h", "pull_patience": "1s", "scheduling_patience": "4s"},
		})
		// Cloud Controller knows at once and answers later: the worst moment for a kill.
		place.cc.Fail(standin.Fault{Endpoint: standin.TaskCompleted, AfterWork: true, Delay: 200 * time.Millisecond})
		var kills []time.Time
		var killer sync.WaitGroup
		life, end := context.WithCancel(ctx)
		defer killer.Wait()
		defer end()
		killer.Go(func() {
			defer GinkgoRecover()
			for life.Err() == nil {
				pass(life, rand.N(700*time.Millisecond))
				kills = append(kills, place.restart(ctx))
			}
		})
		var work sync.WaitGroup
		tasks := make([]*task, len(taskFates))
		for i, f := range taskFates {
			work.Go(func() {
				defer GinkgoRecover()
				tasks[i] = f.begins(ctx, place)
				f.comes(ctx, tasks[i])
				f.met(tasks[i])
			})
		}
		work.Wait()
		end()
		killer.Wait()
		Eventually(func() []string { return listed(ctx, place.irene) }).Should(BeEmpty())
		duplicates := 0
		for i, t := range tasks {
			taskFates[i].met(t)
			received := t.received()
			duplicates += len(received) - 1
			for n := range len(received) - 1 {
				Expect(slices.ContainsFunc(kills, func(at time.Time) bool {
					return at.After(received[n].At) && at.Before(received[n+1].At)
				})).To(BeTrue(), "%s was told twice without a kill between", t.guid)
			}
		}
		AddReportEntry("killed", fmt.Sprintf("%d times among %d tasks: %d duplicates", len(kills), len(tasks), duplicates), ReportEntryVisibilityAlways)
	}, SpecTimeout(3*time.Minute))

	It("is listed from the 202 until Cloud Controller has answered", func(ctx context.Context) {
		place := newTasking(ctx)
		other := place.Start(ctx)
		heal := place.cc.Fail(standin.Fault{Endpoint: standin.TaskCompleted, Stall: true})
		t, quick := place.newTask(buildpackTask), place.newTask(dockerTask)
		for _, each := range []*task{t, quick} {
			each.asked(ctx, place.irene)
			Expect(listed(ctx, other)).To(ContainElement(each.guid), "at once, on the other replica")
			Expect(other.Call(ctx, http.MethodGet, each.path(), nil)).To(controlplane.Answered(http.StatusOK))
		}
		t.placed(ctx)
		t.exits(ctx, 0, "Completed")
		Eventually(t.received).ShouldNot(BeEmpty())
		Consistently(func(g Gomega) {
			g.Expect(listed(ctx, place.irene)).To(ContainElements(t.guid, quick.guid))
			g.Expect(place.irene.Call(ctx, http.MethodGet, t.path(), nil)).To(controlplane.Answered(http.StatusOK))
		}).Should(Succeed())

		By("until Cloud Controller, which has recovered, has answered the next irene")
		heal()
		place.restart(ctx)
		Expect(t.ended().Failed).To(BeFalse())
		Eventually(func() []string { return listed(ctx, place.irene) }).Should(ConsistOf(quick.guid))
		answer, err := place.irene.Call(ctx, http.MethodGet, t.path(), nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer).To(controlplane.Answered(http.StatusNotFound))
		Expect(stageMessage(answer)).To(ContainSubstring(t.guid))
		Expect(place.irene.Call(ctx, http.MethodDelete, t.path(), nil)).To(controlplane.Answered(http.StatusNotFound))
	}, patience)

	It("is heard once of each of 500 that come at once", func(ctx context.Context) {
		const count, callers = 500, 50
		// None goes to the node whose pods the spec would have to end.
		place := newTaskingBehind(ctx, direct(), map[string]any{
			"apps":  map[string]any{"placement": map[string]any{"shared": "unlabelled"}},
			"tasks": map[string]any{"scheduling_patience": "15m"},
		})
		tasks := make(chan *task, count)
		all := make([]*task, count)
		for i := range all {
			all[i] = place.small()
			tasks <- all[i]
		}
		close(tasks)
		began := time.Now()
		var work sync.WaitGroup
		for range callers {
			work.Go(func() {
				defer GinkgoRecover()
				for t := range tasks {
					t.asked(ctx, place.irene)
				}
			})
		}
		work.Wait()
		AddReportEntry("500 tasks accepted", time.Since(began).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
		Eventually(func() int { return len(listed(ctx, place.irene)) }).WithTimeout(8 * time.Minute).WithPolling(200 * time.Millisecond).Should(BeZero())
		AddReportEntry("500 tasks told", time.Since(began).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
		for _, t := range all {
			Expect(t.received()).To(HaveLen(1))
			Expect(t.ended().Failed).To(BeFalse())
		}
	}, SpecTimeout(12*time.Minute))
})
