//go:build controlplane

package controlplane_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
	"github.com/irene-cf/irene/fixtures/router"
)

var _ = Describe("Two replicas and the routers", func() {
	const port = 8080
	var (
		place             *routing
		gates             map[*ireneprocess.Process]*controlplane.Gateway
		leader, follower  *ireneprocess.Process
		first, second     cloudcontroller.Desire
		firstAt, secondAt []string
	)
	const firstURI, secondURI = "first.apps.example.com", "second.apps.example.com"
	active := func(ctx context.Context, replicas ...*ireneprocess.Process) func() float64 {
		return func() (sum float64) {
			for _, replica := range replicas {
				sum += controlplane.Gauge(ctx, replica, "irene_route_emitter_active")
			}
			return sum
		}
	}
	startReplica := func(ctx context.Context) *ireneprocess.Process {
		GinkgoHelper()
		gate := controlplane.NewGateway(apiConfig)
		place.Kubeconfig = gate.Kubeconfig()
		replica := place.Start(ctx)
		gates[replica] = gate
		return replica
	}
	elect := func(ctx context.Context) {
		GinkgoHelper()
		Eventually(active(ctx, leader, follower)).Should(BeEquivalentTo(1))
		if controlplane.Gauge(ctx, follower, "irene_route_emitter_active") == 1 {
			leader, follower = follower, leader
		}
	}
	// The routers ask for a refresh every second and drop what is not refreshed for
	// three, a fortieth of what they usually wait. So 15 s here are what ten minutes
	// would be to a router with its own defaults.
	BeforeEach(func(ctx context.Context) {
		place = newRouting(ctx, direct(), router.Options{
			RegisterInterval: time.Second, PruneThreshold: 3 * time.Second, PruneInterval: 500 * time.Millisecond,
		})
		gates = map[*ireneprocess.Process]*controlplane.Gateway{}
		leader, follower = startReplica(ctx), startReplica(ctx)
		elect(ctx)
		first, second = cloudcontroller.NewBuildpack("first").With("instances", 3), cloudcontroller.NewBuildpack("second").With("instances", 3)
		controlplane.DesireApp(ctx, leader, first)
		controlplane.DesireApp(ctx, follower, second)
		firstAt = place.routed(ctx, first, firstURI, port, 3)
		secondAt = place.routed(ctx, second, secondURI, port, 3)
	}, NodeTimeout(3*time.Minute))

	// scale changes a StatefulSet, past all gateways.
	scale := func(ctx context.Context, d cloudcontroller.Desire, instances int) {
		GinkgoHelper()
		set := place.StatefulSet(ctx, d.GUID())
		current, err := api.AppsV1().StatefulSets(place.Namespace).GetScale(ctx, set.Name, metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		current.Spec.Replicas = int32(instances)
		_, err = api.AppsV1().StatefulSets(place.Namespace).UpdateScale(ctx, set.Name, current, metav1.UpdateOptions{})
		Expect(err).NotTo(HaveOccurred())
	}
	// lastAt is the address of the instance with the highest index.
	lastAt := func(ctx context.Context, d cloudcontroller.Desire) string {
		GinkgoHelper()
		pod, err := api.CoreV1().Pods(place.Namespace).Get(ctx, fmt.Sprintf("%s-%d", place.StatefulSet(ctx, d.GUID()).Name, controlplane.InstancesOf(d)-1), metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		return fmt.Sprintf("%s:%d", pod.Status.PodIP, port)
	}
	// quick waits until all routers have heard an unregister since then, and returns
	// how long after began that was at the slowest.
	quick := func(since []int, began time.Time, uri, address string) (slowest time.Duration) {
		GinkgoHelper()
		for i, w := range place.routers {
			slowest = max(slowest, w.hears(since[i], unregisters(uri, address)).At.Sub(began))
		}
		return slowest
	}
	// reregistered is what was said of an endpoint after it had been unregistered, if
	// it was registered again.
	reregistered := func(since []int, uri, address string) func() string {
		return func() string {
			for i, w := range place.routers {
				gone, again, said := false, false, ""
				for _, m := range w.heard(since[i], func(m router.Message) bool { return registers(uri, address)(m) || unregisters(uri, address)(m) }) {
					gone = gone || m.Subject == "router.unregister"
					again = again || gone && m.Subject == "router.register"
					said += fmt.Sprintf("%s %s %s\n", m.At.Format("05.000000"), m.Subject, m.Data)
				}
				if again {
					return said
				}
			}
			return ""
		}
	}

	It("have one that registers, and unregister within a second although it was killed; registrations follow", func(ctx context.Context) {
		gone := lastAt(ctx, first)
		since := place.now()
		leader.Kill()
		killed := time.Now()
		scale(ctx, first, 2)
		deleted := quick(since, killed, firstURI, gone)
		stopped := time.Now()
		Expect(follower.Client.Stop(ctx, second.GUID(), second.Version())).To(controlplane.Answered(200))
		var whole time.Duration
		for _, address := range secondAt {
			whole = max(whole, quick(since, stopped, secondURI, address))
		}
		fresh := cloudcontroller.NewBuildpack("fresh")
		controlplane.RunApp(ctx, follower, fresh)
		place.routed(ctx, fresh, "fresh.apps.example.com", port, 1)
		registered := time.Since(killed)
		AddReportEntry(fmt.Sprintf("after the one that registers was killed: an instance out after %s, a stopped app %s after the request, a new one in after %s",
			deleted.Round(time.Millisecond), whole.Round(time.Millisecond), registered.Round(time.Millisecond)))
		Expect(deleted).To(BeNumerically("<", time.Second))
		Expect(whole).To(BeNumerically("<", time.Second))
		place.routed(ctx, first, firstURI, port, 2)
		Expect(place.routers[0].Table()).To(HaveLen(2))
		Eventually(active(ctx, follower)).Should(BeEquivalentTo(1))
	}, patience)

	It("lose no route while the API server is away, and catch up when it is back", func(ctx context.Context) {
		third := cloudcontroller.NewBuildpack("third").With("instances", 2)
		controlplane.DesireApp(ctx, leader, third)
		place.routed(ctx, third, "third.apps.example.com", port, 2)
		watch := place.guard(map[string][]string{firstURI: firstAt})
		for _, gate := range gates {
			gate.Close()
		}
		away := time.Now()
		scale(ctx, second, 1)
		scale(ctx, third, 4)
		Eventually(func() []string { return place.instances(ctx, second, port) }).Should(HaveLen(1))
		Eventually(func() []string { return place.instances(ctx, third, port) }).Should(HaveLen(4))
		Eventually(func() time.Duration { return time.Since(away) }, "20s", "100ms").Should(BeNumerically(">", 15*time.Second))
		// What nobody could know of is as it was.
		Expect(place.routers[0].addresses(secondURI)).To(Equal(secondAt))
		Expect(place.routers[0].Counts().Pruned).To(BeZero())

		began := time.Now()
		for _, gate := range gates {
			gate.Reopen()
		}
		place.routed(ctx, second, secondURI, port, 1)
		place.routed(ctx, third, "third.apps.example.com", port, 4)
		AddReportEntry(fmt.Sprintf("API server away for %s; caught up %s after its return", began.Sub(away).Round(time.Second), time.Since(began).Round(time.Millisecond)))
		Eventually(active(ctx, leader, follower)).Should(BeEquivalentTo(1))
		Eventually(func() float64 {
			return controlplane.Gauge(ctx, leader, "irene_leader") + controlplane.Gauge(ctx, follower, "irene_leader")
		}).Should(BeEquivalentTo(1))
		watch.missedNothing("API server away")
		for _, w := range place.routers {
			Expect(w.Counts().Pruned).To(BeZero())
		}
	}, patience)

	It("agree when the leader is cut off from the API server but not from NATS", func(ctx context.Context) {
		before, after := lastAt(ctx, first), lastAt(ctx, second)
		keptFirst := slices.DeleteFunc(slices.Clone(firstAt), func(a string) bool { return a == before })
		since := place.now()
		gates[leader].Close()
		cut := time.Now()

		By("an unregister of the one that still sees, while the other holds on")
		scale(ctx, first, 2)
		out := quick(since, cut, firstURI, before)
		watch := place.guard(map[string][]string{firstURI: keptFirst})

		By("the other taking over, and the first falling silent")
		Eventually(func() float64 { return controlplane.Gauge(ctx, follower, "irene_route_emitter_active") }, "15s").Should(BeEquivalentTo(1))
		took := time.Since(cut)
		Eventually(func() float64 { return controlplane.Gauge(ctx, leader, "irene_route_emitter_active") }, "1s").Should(BeZero())
		removed := time.Now()
		scale(ctx, second, 2)
		outAfter := quick(since, removed, secondURI, after)
		AddReportEntry(fmt.Sprintf("leader cut off: an instance out after %s; the other took over after %s; another instance out after %s",
			out.Round(time.Millisecond), took.Round(time.Millisecond), outAfter.Round(time.Millisecond)))
		Expect(out).To(BeNumerically("<", time.Second))
		Expect(outAfter).To(BeNumerically("<", time.Second))
		// Four times the interval at which whatever somebody believes in is registered.
		Consistently(func() string {
			return reregistered(since, firstURI, before)() + reregistered(since, secondURI, after)()
		}, "4s").Should(BeEmpty())

		By("the first coming back as follower that is right")
		gates[leader].Reopen()
		leader, follower = follower, leader
		fresh := cloudcontroller.NewBuildpack("fresh")
		controlplane.DesireApp(ctx, leader, fresh)
		place.routed(ctx, fresh, "fresh.apps.example.com", port, 1)
		Eventually(follower.List).WithContext(ctx).WithTimeout(20 * time.Second).Should(HaveKey(fresh.ProcessGUID()))
		Consistently(active(ctx, leader, follower)).Should(BeEquivalentTo(1))
		place.routed(ctx, first, firstURI, port, 2)
		place.routed(ctx, second, secondURI, port, 2)

		watch.missedNothing("leader cut off")

		By("leading again")
		leader.Kill()
		Eventually(active(ctx, follower)).Should(BeEquivalentTo(1))
		scale(ctx, second, 3)
		place.routed(ctx, second, secondURI, port, 3)
		place.routed(ctx, first, firstURI, port, 2)
	}, SpecTimeout(3*time.Minute))

	DescribeTable("are right again at once when a leader that hung goes on", func(ctx context.Context, alsoCutOff bool) {
		goneFirst, goneSecond := lastAt(ctx, first), lastAt(ctx, second)
		since := place.now()
		Expect(leader.Freeze()).To(Succeed())
		if alsoCutOff {
			gates[leader].Close()
		}
		frozen := time.Now()
		scale(ctx, first, 2)
		scale(ctx, second, 2)
		out := max(quick(since, frozen, firstURI, goneFirst), quick(since, frozen, secondURI, goneSecond))
		Eventually(active(ctx, follower), "15s").Should(BeEquivalentTo(1))
		place.routed(ctx, first, firstURI, port, 2)
		place.routed(ctx, second, secondURI, port, 2)

		thawed := time.Now()
		Expect(leader.Thaw()).To(Succeed())
		// Until it has read what was said meanwhile it may repeat what it believed.
		Eventually(func() time.Duration { return time.Since(thawed) }).Should(BeNumerically(">", time.Second))
		right := func(g Gomega) {
			for _, w := range place.routers {
				g.Expect(w.addresses(firstURI)).To(Equal(place.instances(ctx, first, port)))
				g.Expect(w.addresses(secondURI)).To(Equal(place.instances(ctx, second, port)))
			}
		}
		AddReportEntry(fmt.Sprintf("leader frozen: instances out after %s", out.Round(time.Millisecond)),
			"thawed at "+thawed.Format("05.000000")+"\n"+reregistered(since, firstURI, goneFirst)()+reregistered(since, secondURI, goneSecond)())
		right(Default)
		Consistently(right).Should(Succeed())
		By("falling silent with the next announcement")
		Eventually(active(ctx, leader), "7s").Should(BeZero())
		Eventually(controlplane.Gauge).WithArguments(ctx, follower, "irene_route_emitter_active").Should(BeEquivalentTo(1))
		right(Default)
	},
		Entry("with the API server", patience, false),
		Entry("without the API server", patience, true),
	)

	It("keep every route while they are restarted one after the other", func(ctx context.Context) {
		watch := place.guard(map[string][]string{firstURI: firstAt, secondURI: secondAt})
		since := place.now()
		for _, replica := range []**ireneprocess.Process{&leader, &follower, &leader} {
			Expect((*replica).Stop()).To(Succeed())
			*replica = startReplica(ctx)
		}
		elect(ctx)
		watch.missedNothing("rolling restart")
		for i, w := range place.routers {
			Expect(w.heard(since[i], unregisters(firstURI, ""))).To(BeEmpty())
			Expect(w.Counts().Pruned).To(BeZero())
		}
	}, patience)
})
