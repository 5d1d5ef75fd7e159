//go:build controlplane

package controlplane_test

import (
	"bytes"
	"context"
	"net/http"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
	"github.com/irene-cf/irene/k8s"
	"github.com/irene-cf/irene/k8s/keys"
)

// synchronise does what Cloud Controller's sync does for one app that it wants: desire it
// if it is not listed, update it if its annotation is another.
func synchronise(ctx context.Context, irene *ireneprocess.Process, d cloudcontroller.Desire) {
	GinkgoHelper()
	list, err := irene.List(ctx)
	Expect(err).NotTo(HaveOccurred())
	text, listed := list[d.ProcessGUID()]
	switch {
	case !listed:
		Expect(irene.Desire(ctx, d)).To(controlplane.Answered(202))
	case text != d["last_updated"]:
		Expect(irene.Update(ctx, d.GUID(), d.Version(), map[string]any{
			"instances": d["instances"], "routes": d["routes"], "annotation": d["last_updated"],
		})).To(controlplane.Answered(200))
	}
}

var _ = Describe("When irene is killed", func() {
	var (
		gate   *controlplane.Gateway
		place  *controlplane.Platform
		irene  *ireneprocess.Process
		killed atomic.Bool
	)
	BeforeEach(func(ctx context.Context) {
		gate = controlplane.NewGateway(apiConfig)
		place = alone(ctx, gate.Kubeconfig())
		irene = place.Start(ctx)
		killed.Store(false)
	})

	// killAt ends irene without warning at the nth call that matches.
	type moment bool
	const before, after moment = false, true
	killAt := func(matches func(*http.Request) bool, nth int, when moment) {
		victim := irene
		left := int64(nth)
		gate.Intercept(matches, func(pass func()) {
			if atomic.AddInt64(&left, -1) != 0 {
				pass()
				return
			}
			if when == after {
				pass()
			}
			victim.Kill()
			killed.Store(true)
			panic(http.ErrAbortHandler)
		})
	}
	// whole is that there is one app of that colour with all that belongs to it, and
	// nothing else once what is orphaned has grown old.
	whole := func(ctx context.Context, d cloudcontroller.Desire, colour string) {
		GinkgoHelper()
		controlplane.AwaitRunning(ctx, irene, d, controlplane.InstancesOf(d))
		Expect(controlplane.Annotation(ctx, irene, d)).To(Equal(d["last_updated"]))
		Eventually(func(g Gomega) {
			set := place.StatefulSet(ctx, d.GUID())
			for _, name := range place.SecretNames(ctx, d.GUID()) {
				place.AgeSecret(ctx, name)
			}
			secrets := place.Secrets(ctx, d.GUID())
			g.Expect(secrets).To(HaveLen(1))
			g.Expect(secrets[0].OwnerReferences).To(ConsistOf(HaveField("UID", set.UID)))
			budgets := place.Budgets(ctx, d.GUID())
			g.Expect(budgets).To(HaveLen(1))
			g.Expect(budgets[0].OwnerReferences).To(ConsistOf(HaveField("UID", set.UID)))
		}).Should(Succeed())
		Expect(place.Environment(ctx, d.GUID())).To(HaveKeyWithValue("COLOUR", colour))
		Expect(place.Secrets(ctx, "")).To(HaveLen(1))
		Expect(place.StatefulSets(ctx, "")).To(HaveLen(1))
	}

	// hasKey makes the key of digests, which the first desire of an installation creates as
	// a Secret before the app's own.
	hasKey := func(ctx context.Context) {
		GinkgoHelper()
		_, err := api.CoreV1().Secrets(place.Namespace).Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: k8s.DigestKeySecret, Labels: map[string]string{keys.DigestKey: "true"}},
			Data:       map[string][]byte{"key": bytes.Repeat([]byte("k"), 32)},
			Immutable:  new(true),
		}, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
	}

	interrupted := func(ctx context.Context, matches func(*http.Request) bool, when moment, colour string) {
		GinkgoHelper()
		d := controlplane.App("interrupted").With("instances", 2).Env("COLOUR", "green")
		killAt(matches, 1, when)
		_, _ = irene.Desire(ctx, d) // whoever asked may not learn what became of it
		Eventually(killed.Load).Should(BeTrue())
		gate.Heal()

		irene = place.Start(ctx)
		changed := d.Clone().Env("COLOUR", "red").With("last_updated", "2.0")
		synchronise(ctx, irene, changed)
		whole(ctx, changed, colour)
	}
	It("in a desire that has not written anything, the next sync makes one whole app of it", func(ctx context.Context) {
		quiet(ctx, irene)
		interrupted(ctx, controlplane.Calls("GET", "statefulsets"), before, "red")
	}, patience)

	DescribeTable("in the first desire, the next sync makes one whole app of it", interrupted,
		Entry("before the key of digests", patience, controlplane.Creates("secrets"), before, "red"),
		Entry("after the key of digests", patience, controlplane.Creates("secrets"), after, "red"),
	)

	DescribeTable("in a desire, the next sync makes one whole app of it",
		func(ctx context.Context, matches func(*http.Request) bool, when moment, colour string) {
			hasKey(ctx)
			interrupted(ctx, matches, when, colour)
		},
		// Until the StatefulSet is written there is no app: the sync desires it, with
		// the new values.
		Entry("before the Secret", patience, controlplane.Creates("secrets"), before, "red"),
		Entry("after the Secret", patience, controlplane.Creates("secrets"), after, "red"),
		Entry("before the StatefulSet", patience, controlplane.Creates("statefulsets"), before, "red"),
		// From then on there is one, as first desired; Cloud Controller makes a new
		// version for new values.
		Entry("after the StatefulSet", patience, controlplane.Creates("statefulsets"), after, "green"),
		Entry("before the Secret gets its owner", patience, controlplane.Calls("PATCH", "secrets"), before, "green"),
		Entry("after the Secret got its owner", patience, controlplane.Calls("PATCH", "secrets"), after, "green"),
		Entry("before the budget", patience, controlplane.Creates("poddisruptionbudgets"), before, "green"),
		Entry("after the budget", patience, controlplane.Creates("poddisruptionbudgets"), after, "green"),
	)

	It("in a desire after the Secret, the same request goes on with that Secret", func(ctx context.Context) {
		d := controlplane.App("resumed").With("instances", 2).Env("COLOUR", "green")
		hasKey(ctx)
		killAt(controlplane.Creates("secrets"), 1, after)
		_, _ = irene.Desire(ctx, d)
		Eventually(killed.Load).Should(BeTrue())
		gate.Heal()
		left := place.SecretNames(ctx, d.GUID())
		Expect(left).To(HaveLen(1))
		irene = place.Start(ctx)
		synchronise(ctx, irene, d)
		whole(ctx, d, "green")
		Expect(place.SecretNames(ctx, d.GUID())).To(Equal(left))
	}, patience)

	It("in a desire that is given up, nothing is left", func(ctx context.Context) {
		d := controlplane.App("abandoned")
		killAt(controlplane.Creates("statefulsets"), 1, before)
		_, _ = irene.Desire(ctx, d)
		Eventually(killed.Load).Should(BeTrue())
		gate.Heal()
		Expect(place.Secrets(ctx, d.GUID())).To(HaveLen(1))
		place.Settings["apps"] = map[string]any{"orphan_min_age": "3s"}
		irene = place.Start(ctx)
		Eventually(place.NothingLeftOf(ctx, "")).Should(Succeed())
	}, patience)

	DescribeTable("in an update, the next sync completes it",
		func(ctx context.Context, when moment) {
			d := controlplane.App("updated").With("instances", 2).Env("COLOUR", "green")
			controlplane.RunApp(ctx, irene, d)
			whole(ctx, d, "green")
			killAt(controlplane.Calls("PATCH", "statefulsets"), 1, when)
			changed := d.Clone().With("instances", 3).With("last_updated", "2.0").Routes("new.example.com", 8080)
			_, _ = irene.Update(ctx, d.GUID(), d.Version(), map[string]any{"instances": 3, "routes": changed["routes"], "annotation": "2.0"})
			Eventually(killed.Load).Should(BeTrue())
			gate.Heal()
			irene = place.Start(ctx)
			synchronise(ctx, irene, changed)
			whole(ctx, changed, "green")
			Expect(place.StatefulSet(ctx, d.GUID()).Annotations["cloudfoundry.org/routes"]).To(ContainSubstring("new.example.com"))
		},
		Entry("before it is written", patience, before),
		Entry("after it is written", patience, after),
	)

	DescribeTable("in a stop, the next sync completes it and nothing is left",
		func(ctx context.Context, when moment) {
			d := controlplane.App("stopped").With("instances", 2)
			controlplane.RunApp(ctx, irene, d)
			killAt(controlplane.Calls("DELETE", "statefulsets"), 1, when)
			_, _ = irene.Client.Stop(ctx, d.GUID(), d.Version())
			Eventually(killed.Load).Should(BeTrue())
			gate.Heal()
			irene = place.Start(ctx)
			list, err := irene.List(ctx)
			Expect(err).NotTo(HaveOccurred())
			if _, listed := list[d.ProcessGUID()]; listed {
				Expect(irene.Client.Stop(ctx, d.GUID(), d.Version())).To(controlplane.Answered(200))
			}
			Eventually(func(g Gomega) {
				for _, name := range place.SecretNames(ctx, d.GUID()) {
					place.AgeSecret(ctx, name)
				}
				place.NothingLeftOf(ctx, "")(g)
			}).Should(Succeed())
		},
		Entry("before it is written", patience, before),
		Entry("after it is written", patience, after),
	)

	It("between an app's removal and its renewal for new values, the next sync makes it", func(ctx context.Context) {
		d := controlplane.App("renewed").With("instances", 2).Env("COLOUR", "green")
		controlplane.RunApp(ctx, irene, d)
		for _, name := range place.SecretNames(ctx, d.GUID()) {
			Expect(api.CoreV1().Secrets(place.Namespace).Delete(ctx, name, metav1.DeleteOptions{})).To(Succeed())
		}
		Eventually(irene.List).WithContext(ctx).ShouldNot(HaveKey(d.ProcessGUID()))
		killAt(controlplane.Calls("DELETE", "statefulsets"), 1, after)
		changed := d.Clone().Env("COLOUR", "red").With("last_updated", "2.0")
		_, _ = irene.Desire(ctx, changed)
		Eventually(killed.Load).Should(BeTrue())
		gate.Heal()
		irene = place.Start(ctx)
		synchronise(ctx, irene, changed)
		whole(ctx, changed, "red")
	}, patience)
})
