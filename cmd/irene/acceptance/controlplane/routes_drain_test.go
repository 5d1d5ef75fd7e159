//go:build controlplane

package controlplane_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
)

// Every address that an instance leaves goes at once to an instance of another app,
// which would answer whatever is still sent there; and the routers try one instance
// only. So a request that comes late is seen, either way.
var _ = Describe("Under load no request is lost or misled", func() {
	const tenant = "other-tenant"
	var (
		place *routing
		nodes *controlplane.Kubelet
		irene *ireneprocess.Process
		// heir has an instance for each address that is left.
		heir cloudcontroller.Desire
	)
	BeforeEach(func(ctx context.Context) {
		place = aloneRouting(ctx)
		nodes = controlplane.NewKubelet(ctx, api, place.Namespace, 3)
		// Long enough for the disruption controller to see that an evicted pod goes,
		// before the next of its name is there. Else it counts that one as gone for two
		// minutes.
		maps.Copy(place.Settings["apps"].(map[string]any), map[string]any{"pre_stop_sleep": "3s", "termination_grace": "6s"})
		irene = place.Start(ctx)
	})

	started := func(ctx context.Context, name string, instances int) (cloudcontroller.Desire, []string) {
		GinkgoHelper()
		d := nodes.App(name, instances)
		controlplane.DesireApp(ctx, irene, d)
		return d, place.routed(ctx, d, name+".example.com", nodes.Port, instances)
	}
	awaitedBy := func(ctx context.Context, heirs int) {
		GinkgoHelper()
		heir = nodes.AppOnFreedAddresses(tenant, heirs)
		controlplane.DesireApp(ctx, irene, heir)
		// On their nodes and waiting for addresses.
		Eventually(irene.States).WithContext(ctx).WithArguments(heir.GUID(), heir.Version()).Should(HaveEach("CLAIMED"))
	}
	// inherited is that all addresses are another app's now, which answers there.
	inherited := func(addresses []string) {
		GinkgoHelper()
		slices.Sort(addresses)
		for _, w := range place.routers {
			Eventually(w.addresses).WithArguments(tenant + ".example.com").Should(Equal(addresses))
		}
		requests := place.load(heir, tenant+".example.com")
		requests.goesOn(20)
		Expect(requests.stop()).To(BeEmpty())
	}
	without := func(all, kept []string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(address string) bool { return slices.Contains(kept, address) })
	}
	scale := func(ctx context.Context, d cloudcontroller.Desire, instances int) {
		GinkgoHelper()
		Expect(irene.Update(ctx, d.GUID(), d.Version(), map[string]any{
			"instances": instances, "routes": d["routes"], "annotation": strconv.FormatInt(time.Now().UnixNano(), 10),
		})).To(controlplane.Answered(200))
	}

	It("when an app is scaled down from four instances to one", func(ctx context.Context) {
		d, before := started(ctx, "scaled", 4)
		awaitedBy(ctx, 3)
		requests := place.load(d, "scaled.example.com")
		requests.goesOn(200)
		scale(ctx, d, 1)
		inherited(without(before, place.routed(ctx, d, "scaled.example.com", nodes.Port, 1)))
		requests.goesOn(200)
		requests.lostNothing(4)
	}, patience)

	It("when an instance is stopped, and started again", func(ctx context.Context) {
		d, before := started(ctx, "stopped", 2)
		awaitedBy(ctx, 2)
		requests := place.load(d, "stopped.example.com")
		requests.goesOn(200)
		for n := range 2 {
			Expect(irene.StopInstance(ctx, d.GUID(), d.Version(), strconv.Itoa(n))).To(controlplane.Answered(200))
			Eventually(place.routers[0].addresses).WithArguments("stopped.example.com").Should(SatisfyAll(
				HaveLen(2), Not(Equal(before))))
			Eventually(func() []string { return place.routers[0].addresses(tenant + ".example.com") }).Should(HaveLen(n + 1))
		}
		inherited(without(before, place.routed(ctx, d, "stopped.example.com", nodes.Port, 2)))
		requests.goesOn(200)
		requests.lostNothing(4)
	}, patience)

	It("when Cloud Controller deploys an app anew, one instance after another", func(ctx context.Context) {
		old, before := started(ctx, "rolled", 3)
		awaitedBy(ctx, 3)
		requests := place.load(old, "rolled.example.com")
		requests.goesOn(200)
		// Another process of the same app with the same routes. Each time that all its
		// instances are RUNNING the old one loses one and it gets one.
		fresh := old.Clone().Identify(cloudcontroller.NewGUID(), cloudcontroller.NewGUID()).With("instances", 1)
		controlplane.DesireApp(ctx, irene, fresh)
		for step := 1; step <= 3; step++ {
			controlplane.AwaitRunning(ctx, irene, fresh, step)
			scale(ctx, old, 3-step)
			if step < 3 {
				scale(ctx, fresh, step+1)
			}
		}
		Expect(irene.Client.Stop(ctx, old.GUID(), old.Version())).To(controlplane.Answered(200))
		inherited(before)
		place.routed(ctx, fresh, "rolled.example.com", nodes.Port, 3)
		requests.goesOn(200)
		requests.lostNothing(6)
	}, patience)

	It("when nodes are drained of apps with two and more instances", func(ctx context.Context) {
		two, _ := started(ctx, "two", 2)
		three, _ := started(ctx, "three", 3)
		awaitedBy(ctx, 5)
		Eventually(func() int { return len(place.Budgets(ctx, "")) }).Should(Equal(3))
		loads := []*load{place.load(two, "two.example.com"), place.load(three, "three.example.com")}
		// drain does what kubectl drain does: what a budget holds back is tried again.
		drain := func(node string) {
			GinkgoHelper()
			nodes.Cordon(ctx, node, true)
			Eventually(func(g Gomega) {
				var left []string
				for _, pod := range append(place.Pods(ctx, two.GUID()), place.Pods(ctx, three.GUID())...) {
					if pod.Spec.NodeName != node {
						continue
					}
					err := api.CoreV1().Pods(place.Namespace).EvictV1(ctx, &policyv1.Eviction{
						ObjectMeta:    metav1.ObjectMeta{Name: pod.Name},
						DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}},
					})
					if !apierrors.IsTooManyRequests(err) && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
						Expect(err).NotTo(HaveOccurred())
					}
					left = append(left, fmt.Sprintf("%s, deleted %v: %v", pod.Name, pod.DeletionTimestamp, err))
				}
				g.Expect(left).To(BeEmpty())
				// Should the disruption controller have missed it all the same.
			}, "150s", "100ms").Should(Succeed())
		}
		// With two of three nodes gone everything is on the third; then that one goes.
		drain(nodes.Nodes[0])
		drain(nodes.Nodes[1])
		for _, node := range nodes.Nodes[:2] {
			nodes.Cordon(ctx, node, false)
		}
		controlplane.AwaitRunning(ctx, irene, two, 2)
		controlplane.AwaitRunning(ctx, irene, three, 3)
		drain(nodes.Nodes[2])

		place.routed(ctx, two, "two.example.com", nodes.Port, 2)
		place.routed(ctx, three, "three.example.com", nodes.Port, 3)
		for _, w := range place.routers {
			Eventually(w.addresses).WithArguments(tenant + ".example.com").Should(HaveLen(5))
		}
		for _, requests := range loads {
			requests.goesOn(200)
			Expect(requests.stop()).To(BeEmpty())
			requests.lostNothing(len(requests.answers))
		}
	}, SpecTimeout(6*time.Minute))
})
