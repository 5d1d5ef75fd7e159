//go:build controlplane

package controlplane_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
)

var _ = Describe("Stopping an app", func() {
	It("removes everything that was made for it and leaves others alone", func(ctx context.Context) {
		d, other := controlplane.App("gone").With("instances", 3), controlplane.App("stays").With("instances", 2)
		controlplane.RunApp(ctx, irene, d)
		controlplane.RunApp(ctx, irene, other)
		Eventually(func() int { return len(common.Budgets(ctx, d.GUID())) }).Should(Equal(1))
		// What nobody owns nobody collects with its owner.
		Eventually(func() []any {
			owners := []any{}
			for _, secret := range common.Secrets(ctx, d.GUID()) {
				for _, owner := range secret.OwnerReferences {
					owners = append(owners, owner.UID)
				}
			}
			return owners
		}).Should(ConsistOf(common.StatefulSet(ctx, d.GUID()).UID))
		uids := common.PodUIDs(ctx, other.GUID())

		Expect(irene.Client.Stop(ctx, d.GUID(), d.Version())).To(controlplane.Answered(200))
		Eventually(common.NothingLeftOf(ctx, d.GUID())).Should(Succeed())
		Expect(irene.List(ctx)).NotTo(HaveKey(d.ProcessGUID()))
		Expect(irene.List(ctx)).To(HaveKey(other.ProcessGUID()))
		Expect(common.PodUIDs(ctx, other.GUID())).To(Equal(uids))
	}, patience)

	It("is no error for what is not there, or not any more", func(ctx context.Context) {
		Expect(irene.Client.Stop(ctx, cloudcontroller.NewGUID(), cloudcontroller.NewGUID())).To(controlplane.Answered(200))
		d := controlplane.App("twice")
		controlplane.DesireApp(ctx, irene, d)
		for range 3 {
			Expect(irene.Client.Stop(ctx, d.GUID(), d.Version())).To(controlplane.Answered(200))
		}
	}, patience)

	It("stops only the version that is named", func(ctx context.Context) {
		d := controlplane.App("version")
		controlplane.RunApp(ctx, irene, d)
		Expect(irene.Client.Stop(ctx, d.GUID(), cloudcontroller.NewGUID())).To(controlplane.Answered(200))
		controlplane.AwaitRunning(ctx, irene, d, 1)
	}, patience)

	It("can be desired again at once, even with other settings", func(ctx context.Context) {
		d := controlplane.App("back").Env("COLOUR", "green")
		controlplane.RunApp(ctx, irene, d)
		Expect(irene.Client.Stop(ctx, d.GUID(), d.Version())).To(controlplane.Answered(200))
		controlplane.DesireApp(ctx, irene, d.Clone().Env("COLOUR", "red"))
		controlplane.AwaitRunning(ctx, irene, d, 1)
		Expect(common.Environment(ctx, d.GUID())).To(HaveKeyWithValue("COLOUR", "red"))
	}, patience)
})

var _ = Describe("Stopping an instance", func() {
	It("replaces just that one", func(ctx context.Context) {
		d := controlplane.App("one-of-three").With("instances", 3)
		controlplane.RunApp(ctx, irene, d)
		name := common.StatefulSet(ctx, d.GUID()).Name
		before := common.PodUIDs(ctx, d.GUID())
		Expect(irene.StopInstance(ctx, d.GUID(), d.Version(), "1")).To(controlplane.Answered(200))
		Eventually(func(g Gomega) {
			after := common.PodUIDs(ctx, d.GUID())
			g.Expect(after).To(HaveLen(3))
			g.Expect(after[name+"-1"]).NotTo(Equal(before[name+"-1"]))
			g.Expect(after).To(HaveKeyWithValue(name+"-0", before[name+"-0"]))
			g.Expect(after).To(HaveKeyWithValue(name+"-2", before[name+"-2"]))
		}).Should(Succeed())
		controlplane.AwaitRunning(ctx, irene, d, 3)
	}, patience)

	DescribeTable("stops nothing for an index that is not desired",
		func(ctx context.Context, index string, status int) {
			d := controlplane.App("bad-index").With("instances", 3)
			controlplane.RunApp(ctx, irene, d)
			before := common.PodUIDs(ctx, d.GUID())
			answer, err := irene.StopInstance(ctx, d.GUID(), d.Version(), index)
			Expect(err).NotTo(HaveOccurred())
			Expect(answer).To(controlplane.Answered(status))
			Consistently(common.PodUIDs, "300ms").WithContext(ctx).WithArguments(d.GUID()).Should(Equal(before))
			controlplane.AwaitRunning(ctx, irene, d, 3)
		},
		Entry("negative", patience, "-1", 400),
		Entry("a letter", patience, "x", 400),
		Entry("one too many", patience, "3", 400),
		Entry("far too many", patience, "99", 400),
		Entry("beyond any integer", patience, "99999999999999999999", 400),
		Entry("a fraction", patience, "0.5", 400),
		Entry("blank", patience, "%20", 400),
		Entry("with a sign", patience, "+1", 400),
		Entry("nothing", patience, "", 404),
	)

	It("is no error for an app that is not there", func(ctx context.Context) {
		Expect(irene.StopInstance(ctx, cloudcontroller.NewGUID(), cloudcontroller.NewGUID(), "0")).To(controlplane.Answered(200))
	}, patience)
})
