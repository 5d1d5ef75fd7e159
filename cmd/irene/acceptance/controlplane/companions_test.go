//go:build controlplane

package controlplane_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
)

var _ = Describe("An app's PodDisruptionBudget", func() {
	budget := func(ctx context.Context, d cloudcontroller.Desire) policyv1.PodDisruptionBudget {
		GinkgoHelper()
		var found policyv1.PodDisruptionBudget
		Eventually(func(g Gomega) {
			budgets := common.Budgets(ctx, d.GUID())
			g.Expect(budgets).To(HaveLen(1))
			found = budgets[0]
		}).Should(Succeed())
		return found
	}
	allows := func(ctx context.Context, d cloudcontroller.Desire, unavailable intstr.IntOrString) {
		GinkgoHelper()
		Eventually(func(g Gomega) {
			found := common.Budgets(ctx, d.GUID())
			g.Expect(found).To(HaveLen(1))
			g.Expect(found[0].Spec.MaxUnavailable).To(HaveValue(Equal(unavailable)))
			g.Expect(found[0].Spec.MinAvailable).To(BeNil())
			g.Expect(found[0].Spec.UnhealthyPodEvictionPolicy).To(HaveValue(Equal(policyv1.AlwaysAllow)))
		}).Should(Succeed())
	}
	scale := func(ctx context.Context, d cloudcontroller.Desire, instances int) {
		GinkgoHelper()
		Expect(irene.Update(ctx, d.GUID(), d.Version(), map[string]any{"instances": instances})).To(controlplane.Answered(200))
	}

	It("lets one instance at a time go, covers just the app's pods and belongs to its StatefulSet", func(ctx context.Context) {
		d := controlplane.App("pair").With("instances", 2)
		controlplane.RunApp(ctx, irene, d)
		allows(ctx, d, intstr.FromInt32(1))
		found, set := budget(ctx, d), common.StatefulSet(ctx, d.GUID())
		Expect(found.Spec.Selector.MatchLabels).To(Equal(set.Spec.Selector.MatchLabels))
		Expect(found.OwnerReferences).To(ConsistOf(HaveField("UID", set.UID)))
		Eventually(func() int32 { return budget(ctx, d).Status.ExpectedPods }).Should(BeEquivalentTo(2))
	}, patience)

	It("lets 10 % go from 20 instances on", func(ctx context.Context) {
		d := controlplane.App("many").With("instances", 19)
		controlplane.DesireApp(ctx, irene, d)
		allows(ctx, d, intstr.FromInt32(1))
		scale(ctx, d, 20)
		allows(ctx, d, intstr.FromString("10%"))
		scale(ctx, d, 19)
		allows(ctx, d, intstr.FromInt32(1))
		Expect(irene.Client.Stop(ctx, d.GUID(), d.Version())).To(controlplane.Answered(200))
	}, patience)

	It("comes with the second instance and goes with it", func(ctx context.Context) {
		d := controlplane.App("single")
		controlplane.RunApp(ctx, irene, d)
		Consistently(func() int { return len(common.Budgets(ctx, d.GUID())) }, "300ms").Should(BeZero())
		scale(ctx, d, 2)
		allows(ctx, d, intstr.FromInt32(1))
		scale(ctx, d, 1)
		Eventually(func() int { return len(common.Budgets(ctx, d.GUID())) }).Should(BeZero())
		scale(ctx, d, 3)
		allows(ctx, d, intstr.FromInt32(1))
		scale(ctx, d, 0)
		Eventually(func() int { return len(common.Budgets(ctx, d.GUID())) }).Should(BeZero())
	}, patience)

	DescribeTable("is put right when somebody changes it",
		func(ctx context.Context, patch string) {
			d := controlplane.App("drift").With("instances", 2)
			controlplane.DesireApp(ctx, irene, d)
			before := budget(ctx, d)
			_, err := api.PolicyV1().PodDisruptionBudgets(common.Namespace).Patch(ctx, before.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
			Expect(err).NotTo(HaveOccurred())
			allows(ctx, d, intstr.FromInt32(1))
			Eventually(func(g Gomega) {
				after := budget(ctx, d)
				g.Expect(after.Spec).To(Equal(before.Spec))
				g.Expect(after.OwnerReferences).To(Equal(before.OwnerReferences))
			}).Should(Succeed())
		},
		Entry("how many may go", patience, `{"spec":{"maxUnavailable":"100%"}}`),
		Entry("what it counts by", patience, `{"spec":{"maxUnavailable":null,"minAvailable":2}}`),
		Entry("its policy", patience, `{"spec":{"unhealthyPodEvictionPolicy":null}}`),
		Entry("its selector", patience, `{"spec":{"selector":{"matchLabels":{"cloudfoundry.org/guid":"other"}}}}`),
		Entry("its owner", patience, `{"metadata":{"ownerReferences":null}}`),
		Entry("its labels", patience, `{"metadata":{"labels":{"cloudfoundry.org/guid":"other"}}}`),
	)

	It("is put right even if it can't be found by its labels any more", func(ctx context.Context) {
		d := controlplane.App("unlabelled").With("instances", 2)
		controlplane.DesireApp(ctx, irene, d)
		before := budget(ctx, d)
		_, err := api.PolicyV1().PodDisruptionBudgets(common.Namespace).Patch(ctx, before.Name, types.MergePatchType,
			[]byte(`{"metadata":{"labels":null},"spec":{"maxUnavailable":2}}`), metav1.PatchOptions{})
		Expect(err).NotTo(HaveOccurred())
		allows(ctx, d, intstr.FromInt32(1))
		Expect(budget(ctx, d).UID).To(Equal(before.UID))
	}, patience)

	It("comes back when somebody deletes it", func(ctx context.Context) {
		d := controlplane.App("deleted").With("instances", 2)
		controlplane.DesireApp(ctx, irene, d)
		before := budget(ctx, d)
		Expect(api.PolicyV1().PodDisruptionBudgets(common.Namespace).Delete(ctx, before.Name, metav1.DeleteOptions{})).To(Succeed())
		Eventually(func() types.UID { return budget(ctx, d).UID }).ShouldNot(Equal(before.UID))
		allows(ctx, d, intstr.FromInt32(1))
	}, patience)
})

var _ = Describe("An app's Secret", func() {
	owners := func(ctx context.Context, d cloudcontroller.Desire) func() []types.UID {
		return func() []types.UID {
			uids := []types.UID{}
			for _, secret := range common.Secrets(ctx, d.GUID()) {
				for _, owner := range secret.OwnerReferences {
					uids = append(uids, owner.UID)
				}
			}
			return uids
		}
	}

	It("belongs to its StatefulSet, again after somebody took that away", func(ctx context.Context) {
		d := controlplane.App("owned")
		controlplane.DesireApp(ctx, irene, d)
		set := common.StatefulSet(ctx, d.GUID())
		Eventually(owners(ctx, d)).Should(ConsistOf(set.UID))
		name := common.SecretNames(ctx, d.GUID())[0]
		_, err := api.CoreV1().Secrets(common.Namespace).Patch(ctx, name, types.MergePatchType, []byte(`{"metadata":{"ownerReferences":null}}`), metav1.PatchOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(owners(ctx, d)).Should(ConsistOf(set.UID))
	}, patience)

	It("is collected when no app uses it and it is old, not before, and nobody else's is", func(ctx context.Context) {
		guid := cloudcontroller.NewGUID()
		create := func(name string, labels map[string]string, desiredAt time.Time) {
			GinkgoHelper()
			_, err := api.CoreV1().Secrets(common.Namespace).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
				Name: name + "-" + guid[:8], Labels: labels,
				Annotations: map[string]string{"irene.cloudfoundry.org/desired-at": desiredAt.UTC().Format(time.RFC3339)},
			}}, metav1.CreateOptions{})
			Expect(err).NotTo(HaveOccurred())
		}
		ours := map[string]string{"cloudfoundry.org/guid": guid, "cloudfoundry.org/version": "v", "cloudfoundry.org/source_type": "APP"}
		long := time.Now().Add(-24 * time.Hour)
		create("fresh", ours, time.Now())
		create("foreign", map[string]string{"cloudfoundry.org/guid": guid}, long)
		create("old", ours, long)
		Eventually(common.SecretNames).WithContext(ctx).WithArguments(guid).Should(ConsistOf("fresh-"+guid[:8], "foreign-"+guid[:8]))
		Consistently(common.SecretNames).WithContext(ctx).WithArguments(guid).Should(ConsistOf("fresh-"+guid[:8], "foreign-"+guid[:8]))
		common.AgeSecret(ctx, "fresh-"+guid[:8])
		Eventually(common.SecretNames).WithContext(ctx).WithArguments(guid).Should(ConsistOf("foreign-" + guid[:8]))
	}, patience)

	It("stays when a request counts on it again at the moment when it is collected", func(ctx context.Context) {
		gate := controlplane.NewGateway(apiConfig)
		place := alone(ctx, gate.Kubeconfig())
		irene := place.Start(ctx)
		d := controlplane.App("orphan")
		By("leaving an orphan behind, since the StatefulSet can't be written")
		gate.Fail(controlplane.Creates("statefulsets"), controlplane.AnswerStatus(500))
		Expect(irene.Desire(ctx, d)).To(controlplane.Answered(503))
		orphan := place.SecretNames(ctx, d.GUID())
		Expect(orphan).To(HaveLen(1))

		By("holding its deletion back while it is desired again")
		held, release := make(chan struct{}), make(chan struct{})
		gate.Intercept(controlplane.Calls("DELETE", "secrets"), func(pass func()) {
			close(held)
			<-release
			pass()
		})
		place.AgeSecret(ctx, orphan[0])
		Eventually(held).Should(BeClosed())
		controlplane.DesireApp(ctx, irene, d)
		close(release)

		controlplane.AwaitRunning(ctx, irene, d, 1)
		Consistently(place.SecretNames, "500ms").WithContext(ctx).WithArguments(d.GUID()).Should(Equal(orphan))
		Expect(place.Environment(ctx, d.GUID())).To(HaveKey("DATABASE_URL"))
		Expect(irene.List(ctx)).To(HaveKey(d.ProcessGUID()))
	}, patience)

	It("gets its labels back with the next sync", func(ctx context.Context) {
		d := controlplane.App("unlabelled")
		controlplane.RunApp(ctx, irene, d)
		name, pods := common.SecretNames(ctx, d.GUID())[0], common.PodUIDs(ctx, d.GUID())
		_, err := api.CoreV1().Secrets(common.Namespace).Patch(ctx, name, types.MergePatchType, []byte(`{"metadata":{"labels":null}}`), metav1.PatchOptions{})
		Expect(err).NotTo(HaveOccurred())
		Eventually(irene.List).WithContext(ctx).ShouldNot(HaveKey(d.ProcessGUID()))
		controlplane.DesireApp(ctx, irene, d)
		Expect(irene.List(ctx)).To(HaveKey(d.ProcessGUID()))
		Expect(common.SecretNames(ctx, d.GUID())).To(ConsistOf(name))
		Expect(common.PodUIDs(ctx, d.GUID())).To(Equal(pods))
	}, patience)

	Context("when somebody deleted it", func() {
		deleted := func(ctx context.Context) (cloudcontroller.Desire, string) {
			GinkgoHelper()
			d := controlplane.App("bereft").Env("COLOUR", "green")
			controlplane.RunApp(ctx, irene, d)
			name := common.SecretNames(ctx, d.GUID())[0]
			Expect(api.CoreV1().Secrets(common.Namespace).Delete(ctx, name, metav1.DeleteOptions{})).To(Succeed())
			Eventually(irene.List).WithContext(ctx).ShouldNot(HaveKey(d.ProcessGUID()))
			return d, name
		}

		It("comes back with the next sync, and the app runs on", func(ctx context.Context) {
			d, name := deleted(ctx)
			set, pods := common.StatefulSet(ctx, d.GUID()), common.PodUIDs(ctx, d.GUID())
			controlplane.DesireApp(ctx, irene, d)
			Expect(irene.List(ctx)).To(HaveKey(d.ProcessGUID()))
			Expect(common.SecretNames(ctx, d.GUID())).To(ConsistOf(name))
			Expect(common.Environment(ctx, d.GUID())).To(HaveKeyWithValue("COLOUR", "green"))
			Expect(common.StatefulSet(ctx, d.GUID()).UID).To(Equal(set.UID))
			Expect(common.PodUIDs(ctx, d.GUID())).To(Equal(pods))
			Eventually(owners(ctx, d)).Should(ConsistOf(set.UID))
		}, patience)

		It("the app is made anew when the next sync brings other values", func(ctx context.Context) {
			d, name := deleted(ctx)
			set := common.StatefulSet(ctx, d.GUID())
			controlplane.DesireApp(ctx, irene, d.Clone().Env("COLOUR", "red").With("last_updated", "2.0"))
			Expect(controlplane.Annotation(ctx, irene, d)).To(Equal("2.0"))
			controlplane.AwaitRunning(ctx, irene, d, 1)
			Expect(common.StatefulSet(ctx, d.GUID()).UID).NotTo(Equal(set.UID))
			Expect(common.SecretNames(ctx, d.GUID())).NotTo(ContainElement(name))
			Expect(common.Environment(ctx, d.GUID())).To(HaveKeyWithValue("COLOUR", "red"))
		}, patience)
	})
})
