//go:build controlplane

package controlplane_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/fixtures/controlplane"
)

var _ = Describe("What became of a build", func() {
	It("Cloud Controller hears exactly once", func(ctx context.Context) {
		place := newReporting(ctx, standin.Options{})
		builds := make([]*reported, len(fates))
		for i, f := range fates {
			builds[i] = f.begins(ctx, place)
		}
		for i, f := range fates {
			By(f.name)
			began := time.Now()
			f.comes(ctx, builds[i])
			f.met(ctx, builds[i])
			if f.play != nil {
				AddReportEntry(f.name+" → callback", builds[i].received()[0].At.Sub(began).Round(time.Millisecond).String())
			}
			if !f.deleted {
				Expect(builds[i].answered(ctx)).To(HavePrefix("200 "))
			}
		}
		By("and never again, although irene starts anew and the request comes once more")
		place.irene.Kill()
		place.irene = place.Start(ctx)
		for i, f := range fates {
			if !f.deleted {
				stage(ctx, place.irene, builds[i].build)
			}
		}
		Consistently(func(g Gomega) {
			for i, f := range fates {
				g.Expect(builds[i].received()).To(HaveLen(1), f.name)
			}
		}).Should(Succeed())
		Eventually(func(g Gomega) {
			jobs := []string{}
			for i := range fates {
				for _, job := range place.jobs(ctx, builds[i].build) {
					jobs = append(jobs, job.Name)
				}
			}
			g.Expect(jobs).To(HaveLen(len(fates)-2), "what was deleted by hand is gone, the others stay as tombstones")
		}).Should(Succeed())
	}, SpecTimeout(4*time.Minute))

	It("Cloud Controller hears although irene is killed again and again", func(ctx context.Context) {
		place := newReporting(ctx, standin.Options{})
		// Cloud Controller knows at once and answers later: the worst moment for a kill.
		place.cc.Fail(standin.Fault{Endpoint: standin.BuildCompleted, AfterWork: true, Delay: 200 * time.Millisecond})
		const count, together = 20, 3
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
		builds := make([]*reported, count)
		next := make(chan int, count)
		for i := range count {
			next <- i
		}
		close(next)
		for range together {
			work.Go(func() {
				defer GinkgoRecover()
				for i := range next {
					f := fates[i%len(fates)]
					builds[i] = f.begins(ctx, place)
					f.comes(ctx, builds[i])
					f.met(ctx, builds[i])
				}
			})
		}
		work.Wait()
		end()
		killer.Wait()

		for _, b := range builds {
			Eventually(func(g Gomega) {
				for _, job := range place.jobs(ctx, b.build) {
					g.Expect(job.Annotations["irene.cloudfoundry.org/outcome-answer"]).NotTo(BeEmpty())
				}
			}).Should(Succeed())
		}
		duplicates := 0
		for i, b := range builds {
			fates[i%len(fates)].met(ctx, b)
			received := b.received()
			duplicates += len(received) - 1
			for n := range len(received) - 1 {
				between := 0
				for _, at := range kills {
					if at.After(received[n].At) && at.Before(received[n+1].At) {
						between++
					}
				}
				Expect(between).To(BeNumerically(">", 0), "%s was told twice without a kill between", b.GUID)
			}
		}
		AddReportEntry("killed", fmt.Sprintf("%d times among %d builds: %d duplicates", len(kills), count, duplicates), ReportEntryVisibilityAlways)
		Expect(len(kills)).To(BeNumerically(">", 5))
	}, SpecTimeout(4*time.Minute))

	DescribeTable("is told later, when Cloud Controller is back", func(ctx context.Context, fault standin.Fault) {
		place := newReporting(ctx, standin.Options{})
		fault.Endpoint = standin.BuildCompleted
		heal := place.cc.Fail(fault)
		good, bad := place.stages(ctx), place.stages(ctx)
		good.succeeds(ctx)
		bad.detectFails(ctx)
		for _, b := range []*reported{good, bad} {
			Eventually(func() int { return len(b.received()) }).Should(BeNumerically(">=", 2))
			Expect(place.job(ctx, b.build).Annotations).NotTo(HaveKey("irene.cloudfoundry.org/outcome-answer"))
		}
		healed := time.Now()
		heal()
		fates[0].met(ctx, good)
		fates[1].met(ctx, bad)
		AddReportEntry("back → told", time.Since(healed).Round(time.Millisecond).String())
		Expect(good.answered(ctx)).To(HavePrefix("200 "))
	},
		Entry("from being away", patience, standin.Fault{Cut: true}),
		Entry("from answering 500", patience, standin.Fault{Status: http.StatusInternalServerError}),
		Entry("from answering 503", patience, standin.Fault{Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"1"}}}),
		Entry("from being busy", patience, standin.Fault{Status: http.StatusTooManyRequests}),
	)

	DescribeTable("is not told again after a definite answer", func(ctx context.Context, status int, mark types.GomegaMatcher) {
		place := newReporting(ctx, standin.Options{})
		place.cc.Fail(standin.Fault{Endpoint: standin.BuildCompleted, Status: status})
		b := place.stages(ctx)
		b.detectFails(ctx)
		Expect(b.answered(ctx)).To(mark)
		Consistently(b.received).WithTimeout(3 * time.Second).Should(HaveLen(1))
	},
		Entry("that it can't be used", patience, http.StatusBadRequest, HavePrefix("400 ")),
		Entry("that nobody knows the build", patience, http.StatusNotFound, HavePrefix("404 ")),
	)

	It("is told while Cloud Controller starts the app before it answers", func(ctx context.Context) {
		var place *reporting
		var desired cloudcontroller.Desire
		var status atomic.Int32
		place = newReporting(ctx, standin.Options{Start: func(ctx context.Context, build standin.Build) error {
			answer, err := place.irene.Desire(ctx, desired)
			status.Store(int32(answer.Status))
			return err
		}})
		desired = place.app("started", place.newDroplet())
		b := place.newBuild(standin.Build{StartApp: true})
		stage(ctx, place.irene, b.build)
		place.placed(ctx, b.build)
		b.succeeds(ctx)
		fates[0].met(ctx, b)
		Expect(b.answered(ctx)).To(HavePrefix("200 "))
		Expect(status.Load()).To(BeEquivalentTo(http.StatusAccepted))
		Expect(b.received()).To(HaveLen(1))
		Expect(b.received()[0].URI).To(HaveSuffix("start=true"))
		Expect(place.StatefulSet(ctx, desired.GUID()).Name).To(HavePrefix("started"))
		Expect(place.irene.Client.Stop(ctx, desired.GUID(), desired.Version())).To(controlplane.Answered(200))
		Expect(place.Log.String()).NotTo(ContainSubstring("callback-hunter2"))
	}, patience)
})

// pass returns when a time has passed or ctx has ended.
func pass(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
