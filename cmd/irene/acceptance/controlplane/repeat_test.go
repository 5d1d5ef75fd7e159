//go:build controlplane

package controlplane_test

import (
	"context"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
)

var _ = Describe("Desiring an app again", func() {
	It("changes nothing when nothing changed", func(ctx context.Context) {
		d := controlplane.App("same").With("instances", 2)
		controlplane.RunApp(ctx, irene, d)
		Eventually(func() int { return len(common.Budgets(ctx, d.GUID())) }).Should(Equal(1))
		set, secret, pods := common.StatefulSet(ctx, d.GUID()), common.Secrets(ctx, d.GUID())[0], common.PodUIDs(ctx, d.GUID())
		for range 5 {
			controlplane.DesireApp(ctx, irene, d)
		}
		again := common.StatefulSet(ctx, d.GUID())
		Expect(again.UID).To(Equal(set.UID))
		Expect(again.Generation).To(Equal(set.Generation))
		Expect(again.Annotations).To(Equal(set.Annotations))
		secrets := common.Secrets(ctx, d.GUID())
		Expect(secrets).To(HaveLen(1))
		Expect(secrets[0].UID).To(Equal(secret.UID))
		Expect(common.Budgets(ctx, d.GUID())).To(HaveLen(1))
		Expect(common.PodUIDs(ctx, d.GUID())).To(Equal(pods))
	}, patience)

	It("is known as a repetition by every replica, since all share the key of digests", func(ctx context.Context) {
		place := newPlatform(ctx, direct(), nil)
		d := controlplane.App("known").Env("SECRET", "s")
		controlplane.RunApp(ctx, place.Start(ctx), d)
		set := place.StatefulSet(ctx, d.GUID())
		key, err := api.CoreV1().Secrets(place.Namespace).Get(ctx, "irene-digest-key", metav1.GetOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(key.Immutable).To(HaveValue(BeTrue()))
		Expect(key.Data).To(HaveKeyWithValue("key", HaveLen(32)))

		other := place.Start(ctx)
		controlplane.DesireApp(ctx, other, d)
		Expect(place.Log.String()).NotTo(ContainSubstring("template-kept"))

		By("restoring the app's Secret under the name that its template refers to")
		name := set.Annotations["irene.cloudfoundry.org/secret"]
		Expect(api.CoreV1().Secrets(place.Namespace).Delete(ctx, name, metav1.DeleteOptions{})).To(Succeed())
		Eventually(func() (map[string]string, error) { return other.List(ctx) }).ShouldNot(HaveKey(d.ProcessGUID()))
		controlplane.DesireApp(ctx, other, d)
		Expect(place.SecretNames(ctx, d.GUID())).To(ConsistOf(name))
		Expect(place.StatefulSet(ctx, d.GUID()).UID).To(Equal(set.UID))
	}, patience)

	It("brings back an app whose StatefulSet has lost its labels", func(ctx context.Context) {
		d := controlplane.App("stripped")
		controlplane.RunApp(ctx, irene, d)
		set := common.StatefulSet(ctx, d.GUID())
		_, err := api.AppsV1().StatefulSets(common.Namespace).Patch(ctx, set.Name, types.MergePatchType, []byte(`{"metadata":{"labels":null}}`), metav1.PatchOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(func() (map[string]string, error) { return irene.List(ctx) }).ShouldNot(HaveKey(d.ProcessGUID()))
		controlplane.DesireApp(ctx, irene, d)
		Expect(irene.List(ctx)).To(HaveKey(d.ProcessGUID()))
		Expect(common.StatefulSet(ctx, d.GUID()).UID).To(Equal(set.UID))
		Expect(irene.Client.Stop(ctx, d.GUID(), d.Version())).To(controlplane.Answered(200))
	}, patience)

	It("sets instances, routes and annotation without restarting anything", func(ctx context.Context) {
		d := controlplane.App("moved")
		controlplane.RunApp(ctx, irene, d)
		before, pods := common.StatefulSet(ctx, d.GUID()), common.PodUIDs(ctx, d.GUID())
		controlplane.DesireApp(ctx, irene, d.Clone().With("instances", 2).With("last_updated", "2.0").Routes("moved.example.com", 8080))
		controlplane.AwaitRunning(ctx, irene, d, 2)
		Expect(controlplane.Annotation(ctx, irene, d)).To(Equal("2.0"))
		after := common.StatefulSet(ctx, d.GUID())
		Expect(after.UID).To(Equal(before.UID))
		Expect(after.Spec.Template).To(Equal(before.Spec.Template))
		Expect(after.Annotations["cloudfoundry.org/routes"]).To(MatchJSON(`[{"hostname":"moved.example.com","port":8080}]`))
		for name, uid := range pods {
			Expect(common.PodUIDs(ctx, d.GUID())).To(HaveKeyWithValue(name, uid))
		}
	}, patience)

	It("keeps a running app's template when the request would make another, and tells so", func(ctx context.Context) {
		d := controlplane.App("template").Env("COLOUR", "green")
		controlplane.RunApp(ctx, irene, d)
		before, secrets := common.StatefulSet(ctx, d.GUID()), common.SecretNames(ctx, d.GUID())
		other := d.Clone().With("memory_mb", 512).Env("COLOUR", "red").
			With("instances", 2).With("last_updated", "3.0").Routes("other.example.com", 8080)
		controlplane.DesireApp(ctx, irene, other)
		controlplane.AwaitRunning(ctx, irene, d, 2)
		after := common.StatefulSet(ctx, d.GUID())
		Expect(after.UID).To(Equal(before.UID))
		Expect(after.Spec.Template).To(Equal(before.Spec.Template))
		Expect(after.Annotations["cloudfoundry.org/routes"]).To(MatchJSON(`[{"hostname":"other.example.com","port":8080}]`))
		Expect(controlplane.Annotation(ctx, irene, d)).To(Equal("3.0"))
		Expect(common.Environment(ctx, d.GUID())).To(HaveKeyWithValue("COLOUR", "green"))
		Expect(common.SecretNames(ctx, d.GUID())).To(Equal(secrets))

		Eventually(func(g Gomega) {
			events, err := api.CoreV1().Events(common.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=TemplateKept"})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(events.Items).To(ContainElement(SatisfyAll(
				HaveField("InvolvedObject.UID", before.UID),
				HaveField("InvolvedObject.Kind", "StatefulSet"),
				HaveField("Message", ContainSubstring("Restart the app")))))
		}).Should(Succeed())
	}, patience)

	It("knows the app under a new name, too", func(ctx context.Context) {
		d := controlplane.App("before")
		controlplane.RunApp(ctx, irene, d)
		set := common.StatefulSet(ctx, d.GUID())
		controlplane.DesireApp(ctx, irene, d.Clone().With("app_name", "after").With("last_updated", "2.0"))
		Expect(common.StatefulSet(ctx, d.GUID()).UID).To(Equal(set.UID))
		Expect(controlplane.Annotation(ctx, irene, d)).To(Equal("2.0"))
	}, patience)

	It("makes one app of many requests at the same time on two replicas", func(ctx context.Context) {
		place := newPlatform(ctx, direct(), nil)
		replicas := []*ireneprocess.Process{place.Start(ctx), place.Start(ctx)}
		d := controlplane.App("crowd").With("instances", 2)
		var requests sync.WaitGroup
		for n := range 20 {
			requests.Go(func() {
				defer GinkgoRecover()
				Expect(replicas[n%2].Desire(ctx, d)).To(controlplane.Answered(202))
			})
		}
		requests.Wait()
		controlplane.AwaitRunning(ctx, replicas[0], d, 2)
		place.StatefulSet(ctx, d.GUID())
		Expect(place.Secrets(ctx, d.GUID())).To(HaveLen(1))
		Eventually(func() int { return len(place.Budgets(ctx, d.GUID())) }).Should(Equal(1))
	}, patience)

	It("ends with one app when two replicas are told two names of it at once, and never lists two", func(ctx context.Context) {
		// Both find nothing, and only then either may create its StatefulSet.
		gate := controlplane.NewGateway(apiConfig)
		place := newPlatform(ctx, gate.Kubeconfig(), nil)
		replicas := []*ireneprocess.Process{place.Start(ctx), place.Start(ctx)}
		both := newMeeting(2)
		gate.Intercept(controlplane.Creates("statefulsets"), func(pass func()) {
			both.attend(ctx)
			pass()
		})
		d := controlplane.App("first")
		names := []cloudcontroller.Desire{d, d.Clone().With("app_name", "second")}
		stopListing := make(chan struct{})
		var listing, requests sync.WaitGroup
		for _, replica := range replicas {
			listing.Go(func() {
				defer GinkgoRecover()
				for {
					_, err := replica.List(ctx) // fails on an app that is listed twice
					Expect(err).NotTo(HaveOccurred())
					select {
					case <-stopListing:
						return
					case <-time.After(5 * time.Millisecond):
					}
				}
			})
		}
		for n, name := range names {
			requests.Go(func() {
				defer GinkgoRecover()
				Expect(replicas[n].Desire(ctx, name)).To(controlplane.Answered(202))
			})
		}
		requests.Wait()
		Expect(both.met()).To(BeTrue(), "there were no twins to begin with")
		Eventually(func() int { return len(place.StatefulSets(ctx, d.GUID())) }).Should(Equal(1))
		Consistently(func() int { return len(place.StatefulSets(ctx, d.GUID())) }).Should(Equal(1))
		close(stopListing)
		listing.Wait()
		for _, replica := range replicas {
			controlplane.AwaitRunning(ctx, replica, d, 1)
			Expect(replica.List(ctx)).To(HaveKey(d.ProcessGUID()))
		}
		By("collecting the twin's Secret")
		Eventually(func(g Gomega) {
			set := place.StatefulSet(ctx, d.GUID())
			for _, name := range place.SecretNames(ctx, d.GUID()) {
				if name != set.Annotations["irene.cloudfoundry.org/secret"] {
					place.AgeSecret(ctx, name)
				}
			}
			g.Expect(place.SecretNames(ctx, d.GUID())).To(ConsistOf(set.Annotations["irene.cloudfoundry.org/secret"]))
		}).Should(Succeed())
	}, patience)
})

// meeting is a barrier: attend returns once all participants have called it.
type meeting struct {
	mutex   sync.Mutex
	missing int
	all     chan struct{}
}

func newMeeting(size int) *meeting { return &meeting{missing: size, all: make(chan struct{})} }

func (m *meeting) attend(ctx context.Context) {
	m.mutex.Lock()
	m.missing--
	if m.missing == 0 {
		close(m.all)
	}
	m.mutex.Unlock()
	select {
	case <-m.all:
	case <-ctx.Done():
	}
}

func (m *meeting) met() bool {
	select {
	case <-m.all:
		return true
	default:
		return false
	}
}
