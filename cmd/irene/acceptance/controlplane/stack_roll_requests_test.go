//go:build controlplane

package controlplane_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/k8s/control"
)

var _ = Describe("Rolling a stack while Cloud Controller asks for something", func() {
	var (
		stack *patchedStack
		node  *controlplane.ImageKubelet
	)
	BeforeEach(func(ctx context.Context) {
		stack = newPatchedStack(common)
		node = controlplane.NewImageKubelet(ctx, api, common.Namespace)
	})
	started := func(ctx context.Context, name string, instances int) cloudcontroller.Desire {
		GinkgoHelper()
		d, _ := stack.started(ctx, node, name, instances)
		return d
	}

	DescribeTable("yields to requests that come meanwhile",
		func(ctx context.Context, update map[string]any, instances int, outcome control.RollOutcome) {
			d := started(ctx, "busy", 1)
			ready := node.WatchReady(d)
			surged := func() bool { return stack.replicas(ctx, d)() == 2 }
			wait := meanwhile(ctx, surged, func() { Expect(irene.Update(ctx, d.GUID(), d.Version(), update)).To(controlplane.Answered(200)) })
			stack.rolls(ctx, outcome)
			wait()
			stack.onNew(ctx, d, instances)
			controlplane.AwaitRunning(ctx, irene, d, instances)
			if lowest, _ := ready(); instances > 0 {
				Expect(lowest).To(Equal(1))
			}
			Expect(controlplane.Annotation(ctx, irene, d)).To(Equal("2.0"))
		},
		Entry("a route", patience, map[string]any{"instances": 1, "annotation": "2.0", "routes": map[string]any{"cf-router": []any{}}}, 1, control.RollDone),
		Entry("more instances", patience, map[string]any{"instances": 3, "annotation": "2.0"}, 3, control.RollDone),
		Entry("no instances", patience, map[string]any{"instances": 0, "annotation": "2.0"}, 0, control.RollDone),
	)

	It("keeps an app up however often its routes are changed meanwhile", func(ctx context.Context) {
		d := started(ctx, "rerouted", 1)
		ready := node.WatchReady(d)
		done, updates := make(chan struct{}), 0
		var group sync.WaitGroup
		group.Go(func() {
			defer GinkgoRecover()
			for over := false; !over; {
				select {
				case <-done:
					over = true // one more, after the end
				default:
				}
				updates++
				Expect(irene.Update(ctx, d.GUID(), d.Version(), map[string]any{
					"instances": 1, "annotation": fmt.Sprint(updates), "routes": map[string]any{"cf-router": []any{
						map[string]any{"hostname": fmt.Sprintf("r%d.example.com", updates), "port": 8080}}},
				})).To(controlplane.Answered(200))
			}
		})
		stack.rolls(ctx, control.RollDone)
		close(done)
		group.Wait()
		AddReportEntry(fmt.Sprintf("%d updates during the roll", updates))
		stack.onNew(ctx, d, 1)
		lowest, most := ready()
		Expect([]int{lowest, most}).To(Equal([]int{1, 2}))
		Expect(controlplane.Annotation(ctx, irene, d)).To(Equal(fmt.Sprint(updates)))
		Expect(common.StatefulSet(ctx, d.GUID()).Annotations["cloudfoundry.org/routes"]).To(ContainSubstring(fmt.Sprintf("r%d.example.com", updates)))
	}, patience)

	It("keeps an app up that is scaled down to one instance meanwhile", func(ctx context.Context) {
		for _, instances := range []int{2, 3} {
			for replaced := range instances {
				d := started(ctx, fmt.Sprintf("shrinking-%d-%d", instances, replaced), instances)
				ready := node.WatchReady(d)
				wait := meanwhile(ctx, stack.replaced(ctx, d, replaced), func() {
					Expect(irene.Update(ctx, d.GUID(), d.Version(), map[string]any{"instances": 1})).To(controlplane.Answered(200))
					Expect(irene.Instances(ctx, d.GUID(), d.Version())).To(HaveLen(1))
				})
				stack.rolls(ctx, control.RollDone)
				wait()
				stack.onNew(ctx, d, 1)
				lowest, _ := ready()
				Expect(lowest).To(Equal(1), "%d of %d replaced", replaced, instances)
				controlplane.AwaitRunning(ctx, irene, d, 1)
			}
		}
	}, SpecTimeout(4*time.Minute))

	It("goes on after requests that came while it was interrupted", func(ctx context.Context) {
		for _, instances := range []int{0, 1, 2} {
			d := started(ctx, fmt.Sprintf("paused-%d", instances), 1)
			ready := node.WatchReady(d)
			killed, kill := context.WithCancelCause(ctx)
			wait := meanwhile(ctx, func() bool { return stack.replicas(ctx, d)() == 2 }, func() { kill(errors.New("killed")) })
			_, err := stack.roll(killed)
			Expect(err).To(MatchError(ContainSubstring("killed")))
			wait()
			Expect(irene.Update(ctx, d.GUID(), d.Version(), map[string]any{"instances": instances, "annotation": "2.0"})).To(controlplane.Answered(200))
			Expect(irene.Instances(ctx, d.GUID(), d.Version())).To(HaveLen(instances))
			// Of an app without instances nothing is left to do, which irene may have
			// noticed already.
			lrps, err := stack.roll(ctx)
			Expect(err).NotTo(HaveOccurred())
			if instances > 0 {
				Expect(lrps).To(ConsistOf(HaveField("Outcome", control.RollDone)))
			}
			stack.onNew(ctx, d, instances)
			controlplane.AwaitRunning(ctx, irene, d, instances)
			if lowest, _ := ready(); instances > 0 {
				Expect(lowest).To(Equal(1))
			}
			Expect(controlplane.Annotation(ctx, irene, d)).To(Equal("2.0"))
		}
	}, SpecTimeout(4*time.Minute))

	It("yields to a second desire and to a stop", func(ctx context.Context) {
		again := started(ctx, "again", 1)
		stopped := started(ctx, "stopped", 1)
		ready := node.WatchReady(again)
		waits := []func(){
			meanwhile(ctx, func() bool { return stack.replicas(ctx, again)() == 2 }, func() { controlplane.DesireApp(ctx, irene, again.With("annotation", "2.0")) }),
			meanwhile(ctx, func() bool { return stack.replicas(ctx, stopped)() == 2 }, func() {
				Expect(irene.Client.Stop(ctx, stopped.GUID(), stopped.Version())).To(controlplane.Answered(200))
			}),
		}
		stack.rolls(ctx, control.RollDone, control.RollOvertaken)
		for _, wait := range waits {
			wait()
		}
		stack.onNew(ctx, again, 1)
		lowest, _ := ready()
		Expect(lowest).To(Equal(1))
		Expect(common.StatefulSets(ctx, stopped.GUID())).To(BeEmpty())
	}, patience)
})

var _ = Describe("Rolling a stack under load", func() {
	It("loses no request", func(ctx context.Context) {
		place := aloneRouting(ctx)
		nodes := controlplane.NewKubelet(ctx, api, place.Namespace, 2)
		irene := place.Start(ctx)
		stack := newPatchedStack(place.Platform)
		var loads []*load
		var apps []cloudcontroller.Desire
		for _, instances := range []int{1, 3} {
			name := fmt.Sprintf("rolled-%d", instances)
			d := nodes.App(name, instances)
			controlplane.DesireApp(ctx, irene, d)
			place.routed(ctx, d, name+".example.com", nodes.Port, instances)
			stack.takes(ctx, d)
			apps, loads = append(apps, d), append(loads, place.load(d, name+".example.com"))
		}
		for _, requests := range loads {
			requests.goesOn(200)
		}
		By("mapping another route to each while it is moved")
		for i, instances := range []int{1, 3} {
			d, name := apps[i], fmt.Sprintf("rolled-%d.example.com", instances)
			wait := meanwhile(ctx, stack.replaced(ctx, d, 1), func() {
				Expect(irene.Update(ctx, d.GUID(), d.Version(), map[string]any{"instances": instances, "annotation": "2.0",
					"routes": map[string]any{"cf-router": []any{
						map[string]any{"hostname": name, "port": nodes.Port}, map[string]any{"hostname": "also-" + name, "port": nodes.Port},
					}}})).To(controlplane.Answered(200))
			})
			defer wait()
		}
		lrps, err := stack.roll(ctx, func(o *control.StackRollOptions) { o.Parallel = 2 })
		Expect(err).NotTo(HaveOccurred())
		Expect(lrps).To(HaveEach(HaveField("Outcome", control.RollDone)))
		for i, instances := range []int{1, 3} {
			surged := 0
			if instances == 1 {
				surged = 1
			}
			stack.onNew(ctx, apps[i], instances)
			place.routed(ctx, apps[i], fmt.Sprintf("rolled-%d.example.com", instances), nodes.Port, instances)
			place.routed(ctx, apps[i], fmt.Sprintf("also-rolled-%d.example.com", instances), nodes.Port, instances)
			loads[i].goesOn(200)
			loads[i].lostNothing(2*instances + surged)
		}
	}, SpecTimeout(4*time.Minute))
})
