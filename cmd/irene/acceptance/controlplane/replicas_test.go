//go:build controlplane

package controlplane_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
)

var _ = Describe("Two replicas", func() {
	var place *controlplane.Platform
	var one, other *ireneprocess.Process
	BeforeEach(func(ctx context.Context) {
		place = newPlatform(ctx, direct(), nil)
		one, other = place.Start(ctx), place.Start(ctx)
	})

	It("know at once what the other was told", func(ctx context.Context) {
		for n := range 20 {
			d := controlplane.App(fmt.Sprintf("shared-%d", n)).With("instances", 2)
			controlplane.DesireApp(ctx, one, d)
			Expect(other.Get(ctx, d.GUID(), d.Version())).To(controlplane.Answered(200))
			Expect(other.Instances(ctx, d.GUID(), d.Version())).To(HaveLen(2))
			Eventually(other.List).WithContext(ctx).WithTimeout(2 * time.Second).Should(HaveKey(d.ProcessGUID()))
			one, other = other, one
		}
	}, patience)

	It("stop and update what the other started", func(ctx context.Context) {
		d := controlplane.App("crossed")
		controlplane.DesireApp(ctx, one, d)
		Expect(other.Update(ctx, d.GUID(), d.Version(), map[string]any{"instances": 2, "annotation": "2.0"})).To(controlplane.Answered(200))
		Eventually(func() string { return controlplane.Annotation(ctx, one, d) }).Should(Equal("2.0"))
		controlplane.DesireApp(ctx, other, d.Clone().With("instances", 2).With("last_updated", "3.0"))
		controlplane.AwaitRunning(ctx, one, d, 2)
		Expect(one.Client.Stop(ctx, d.GUID(), d.Version())).To(controlplane.Answered(200))
		Expect(other.Client.Stop(ctx, d.GUID(), d.Version())).To(controlplane.Answered(200))
		Eventually(other.List).WithContext(ctx).ShouldNot(HaveKey(d.ProcessGUID()))
		Eventually(place.NothingLeftOf(ctx, d.GUID())).Should(Succeed())
	}, patience)

	It("have one leader, whom the other follows within the time of the Lease when it is killed", func(ctx context.Context) {
		leading := func() (leaders []*ireneprocess.Process) {
			for _, replica := range []*ireneprocess.Process{one, other} {
				if replica.Running() && controlplane.Gauge(ctx, replica, "irene_leader") == 1 {
					leaders = append(leaders, replica)
				}
			}
			return leaders
		}
		Eventually(leading).Should(HaveLen(1))
		Consistently(leading).Should(HaveLen(1))
		leader := leading()[0]
		d := controlplane.App("led").With("instances", 2)
		controlplane.DesireApp(ctx, one, d)
		Eventually(func() int { return len(place.Budgets(ctx, d.GUID())) }).Should(Equal(1))

		leader.Kill()
		budget := place.Budgets(ctx, d.GUID())[0]
		Expect(api.PolicyV1().PodDisruptionBudgets(place.Namespace).Delete(ctx, budget.Name, metav1.DeleteOptions{})).To(Succeed())
		// lease_duration is 4 s here, and followers look every 500 ms.
		Eventually(func() int { return len(place.Budgets(ctx, d.GUID())) }, "8s").Should(Equal(1))
		Expect(leading()).To(HaveLen(1))
	}, patience)

	It("hand over at once when the leader is stopped in order", func(ctx context.Context) {
		Eventually(func() float64 {
			return controlplane.Gauge(ctx, one, "irene_leader") + controlplane.Gauge(ctx, other, "irene_leader")
		}).Should(BeEquivalentTo(1))
		if controlplane.Gauge(ctx, other, "irene_leader") == 1 {
			one, other = other, one
		}
		Expect(one.Stop()).To(Succeed())
		Eventually(func() float64 { return controlplane.Gauge(ctx, other, "irene_leader") }, "3s").Should(BeEquivalentTo(1))
	}, patience)

	It("lose no request and no crash in a rolling restart under load, when callers try the other one", func(ctx context.Context) {
		telling := newTelling(ctx, true)
		place = telling.Platform
		one, other = place.Start(ctx), place.Start(ctx)
		telling.irene = one
		crashed := telling.runs(ctx, "crashing", 1)
		crashing := telling.pod(ctx, crashed, 0)
		var replicas [2]atomic.Pointer[ireneprocess.Process]
		replicas[0].Store(one)
		replicas[1].Store(other)
		// As a Service does: another replica is asked when one can't be reached.
		ask := func(n int, call func(cloudcontroller.Client) (cloudcontroller.Answer, error)) (answer cloudcontroller.Answer, err error) {
			// On a slow machine the first may have ended, and its successor begun, while the
			// other was asked, which then ends.
			for attempt := range 4 {
				if answer, err = call(replicas[(n+attempt)%2].Load().Client); err == nil {
					break
				}
			}
			return answer, err
		}
		done := make(chan struct{})
		var mutex sync.Mutex
		var desired []cloudcontroller.Desire
		var callers sync.WaitGroup
		for caller := range 4 {
			callers.Go(func() {
				defer GinkgoRecover()
				first := ""
				for n := caller; ; n++ {
					d := controlplane.App(fmt.Sprintf("load-%d", caller)).With("instances", 1+n%2)
					Expect(ask(n, func(c cloudcontroller.Client) (cloudcontroller.Answer, error) { return c.Desire(ctx, d) })).To(controlplane.Answered(202))
					Expect(ask(n+1, func(c cloudcontroller.Client) (cloudcontroller.Answer, error) {
						return c.Get(ctx, d.GUID(), d.Version())
					})).To(controlplane.Answered(200), "whoever is asked knows what the other was told")
					// The other number of instances, so that budgets come and go.
					d["instances"], d["last_updated"] = 2-n%2, fmt.Sprintf("%d.%d", caller, n)
					Expect(ask(n+1, func(c cloudcontroller.Client) (cloudcontroller.Answer, error) {
						return c.Update(ctx, d.GUID(), d.Version(), map[string]any{"instances": d["instances"], "annotation": d["last_updated"]})
					})).To(controlplane.Answered(200))
					answer, err := ask(n, func(c cloudcontroller.Client) (cloudcontroller.Answer, error) {
						return c.Call(ctx, http.MethodGet, "/apps", nil)
					})
					Expect(err).NotTo(HaveOccurred())
					Expect(answer).To(controlplane.Answered(200))
					if first == "" {
						first = d.ProcessGUID()
					} else if n > caller+4 { // some writes ago, so every replica has heard of it
						Expect(string(answer.Body)).To(ContainSubstring(first), "a list is never partial")
					}
					mutex.Lock()
					desired = append(desired, d)
					mutex.Unlock()
					select {
					case <-done:
						return
					case <-time.After(20 * time.Millisecond): // a steady load, not a flood
					}
				}
			})
		}
		crashes := 0
		callers.Go(func() {
			defer GinkgoRecover()
			for {
				crashes++
				telling.crash(ctx, crashing, crashes)
				select {
				case <-done:
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
		for range 3 {
			for n := range replicas {
				Expect(replicas[n].Load().Stop()).To(Succeed())
				replicas[n].Store(place.Start(ctx))
			}
		}
		close(done)
		callers.Wait()

		repeats := telling.knows(crashes)
		AddReportEntry(fmt.Sprintf("%d apps were desired, read, updated and listed meanwhile; of %d crashes all were told, %d twice", len(desired), crashes, repeats))
		Expect(len(desired)).To(BeNumerically(">", 8))
		annotations := map[string]string{crashed.ProcessGUID(): crashed["last_updated"].(string)}
		for _, d := range desired {
			annotations[d.ProcessGUID()] = d["last_updated"].(string)
		}
		for n := range replicas {
			Eventually(replicas[n].Load().List).WithContext(ctx).Should(Equal(annotations))
		}
		Eventually(func(g Gomega) {
			budgets := map[string]bool{}
			for _, budget := range place.Budgets(ctx, "") {
				budgets[budget.Labels["cloudfoundry.org/guid"]] = true
			}
			sets, secrets := map[string]int{}, map[string]int{}
			for _, set := range place.StatefulSets(ctx, "") {
				sets[set.Labels["cloudfoundry.org/guid"]]++
			}
			for _, secret := range place.Secrets(ctx, "") {
				g.Expect(secret.OwnerReferences).To(HaveLen(1))
				secrets[secret.Labels["cloudfoundry.org/guid"]]++
			}
			for _, d := range desired {
				g.Expect(sets[d.GUID()]).To(Equal(1))
				g.Expect(secrets[d.GUID()]).To(Equal(1))
				g.Expect(budgets[d.GUID()]).To(Equal(controlplane.InstancesOf(d) > 1))
			}
		}).Should(Succeed())
	}, SpecTimeout(4*time.Minute))
})
