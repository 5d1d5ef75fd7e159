//go:build controlplane

package controlplane_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
)

var _ = Describe("Updating an app", func() {
	routes := func(hostnames ...string) map[string]any {
		list := []any{}
		for _, hostname := range hostnames {
			list = append(list, map[string]any{"hostname": hostname, "port": 8080})
		}
		return map[string]any{"cf-router": list}
	}
	update := func(ctx context.Context, d cloudcontroller.Desire, update map[string]any) {
		GinkgoHelper()
		Expect(irene.Update(ctx, d.GUID(), d.Version(), update)).To(answered(200))
	}
	routesOf := func(ctx context.Context, d cloudcontroller.Desire) string {
		GinkgoHelper()
		return common.statefulSet(ctx, d.GUID()).Annotations["cloudfoundry.org/routes"]
	}

	It("scales from 1 to 3 to 1 and restarts no instance that stays", func(ctx context.Context) {
		d := app("scaled")
		run(ctx, irene, d)
		first := common.podUIDs(ctx, d.GUID())
		update(ctx, d, map[string]any{"instances": 3, "routes": routes("scaled.example.com"), "annotation": "2.0"})
		running(ctx, irene, d, 3)
		for name, uid := range first {
			Expect(common.podUIDs(ctx, d.GUID())).To(HaveKeyWithValue(name, uid))
		}
		update(ctx, d, map[string]any{"instances": 1, "routes": routes("scaled.example.com"), "annotation": "3.0"})
		Expect(irene.Instances(ctx, d.GUID(), d.Version())).To(HaveLen(1))
		Eventually(common.podUIDs).WithContext(ctx).WithArguments(d.GUID()).Should(Equal(first))
		running(ctx, irene, d, 1)
	}, patience)

	It("is seen by the very next read", func(ctx context.Context) {
		d := app("read")
		desire(ctx, irene, d)
		for n := range 20 {
			instances := 1 + n%3
			text := string(rune('a' + n))
			update(ctx, d, map[string]any{"instances": instances, "annotation": text})
			Expect(annotation(ctx, irene, d)).To(Equal(text))
			Expect(irene.Instances(ctx, d.GUID(), d.Version())).To(HaveLen(instances))
		}
	}, patience)

	It("scales to 0 and keeps the app listed", func(ctx context.Context) {
		d := app("zero")
		run(ctx, irene, d)
		update(ctx, d, map[string]any{"instances": 0, "routes": routes(), "annotation": "2.0"})
		Eventually(func() int { return len(common.pods(ctx, d.GUID())) }).Should(BeZero())
		Expect(irene.Instances(ctx, d.GUID(), d.Version())).To(BeEmpty())
		Expect(annotation(ctx, irene, d)).To(Equal("2.0"))
		update(ctx, d, map[string]any{"instances": 1})
		running(ctx, irene, d, 1)
	}, patience)

	It("replaces routes, and empties them with an empty list", func(ctx context.Context) {
		d := app("routed")
		desire(ctx, irene, d)
		update(ctx, d, map[string]any{"instances": 1, "routes": routes("a.example.com", "b.example.com/path")})
		Expect(routesOf(ctx, d)).To(MatchJSON(`[{"hostname":"a.example.com","port":8080},{"hostname":"b.example.com/path","port":8080}]`))
		Expect(common.statefulSet(ctx, d.GUID()).Annotations["cloudfoundry.org/application_uris"]).To(MatchJSON(routesOf(ctx, d)))
		update(ctx, d, map[string]any{"instances": 1, "routes": routes()})
		Expect(routesOf(ctx, d)).To(MatchJSON(`[]`))
		Expect(annotation(ctx, irene, d)).To(Equal(d["last_updated"]), "it was not spoken of")
	}, patience)

	It("leaves routes and annotation as they are when they are absent", func(ctx context.Context) {
		d := app("kept").Routes("kept.example.com", 8080)
		desire(ctx, irene, d)
		before := routesOf(ctx, d)
		for _, partial := range []map[string]any{
			{"instances": 2},
			{"instances": 2, "routes": map[string]any{}},
			{"instances": 2, "routes": nil, "annotation": nil},
			{"instances": 2, "routes": map[string]any{"cf-router": nil}},
		} {
			update(ctx, d, partial)
			Expect(routesOf(ctx, d)).To(Equal(before))
			Expect(annotation(ctx, irene, d)).To(Equal(d["last_updated"]))
		}
	}, patience)

	It("takes an earlier annotation: the last writer wins", func(ctx context.Context) {
		d := app("corrected").With("last_updated", "1529064800.987654321")
		desire(ctx, irene, d)
		update(ctx, d, map[string]any{"instances": 1, "annotation": "1529064800.9"})
		Expect(annotation(ctx, irene, d)).To(Equal("1529064800.9"))
	}, patience)

	It("does not touch the template, nor the Secret", func(ctx context.Context) {
		d := app("untouched")
		run(ctx, irene, d)
		before, secrets := common.statefulSet(ctx, d.GUID()), common.secretNames(ctx, d.GUID())
		update(ctx, d, map[string]any{"instances": 1, "routes": routes("x.example.com"), "annotation": "9.0"})
		after := common.statefulSet(ctx, d.GUID())
		Expect(after.Spec).To(Equal(before.Spec))
		Expect(after.Status.UpdateRevision).To(Equal(before.Status.UpdateRevision))
		Expect(common.secretNames(ctx, d.GUID())).To(Equal(secrets))
	}, patience)

	It("answers 404 for an app that is not there", func(ctx context.Context) {
		Expect(irene.Update(ctx, cloudcontroller.NewGUID(), cloudcontroller.NewGUID(), map[string]any{"instances": 1})).
			To(SatisfyAll(answered(404), HaveField("Message()", ContainSubstring("not found"))))
	}, patience)

	DescribeTable("refuses what is incomplete or wrong, and changes nothing",
		func(ctx context.Context, status int, field string, members map[string]any) {
			d := app("guarded").With("instances", 2)
			desire(ctx, irene, d)
			before := common.statefulSet(ctx, d.GUID())
			body := map[string]any{"guid": d.GUID(), "version": d.Version()}
			for name, value := range members {
				body[name] = value
			}
			answer, err := irene.Call(ctx, "POST", "/apps/"+d.ProcessGUID(), body)
			Expect(err).NotTo(HaveOccurred())
			Expect(answer).To(answered(status))
			Expect(answer.Message()).To(HavePrefix(field + ": "))
			after := common.statefulSet(ctx, d.GUID())
			Expect(after.Generation).To(Equal(before.Generation))
			Expect(after.Annotations).To(Equal(before.Annotations))
			Expect(irene.Instances(ctx, d.GUID(), d.Version())).To(HaveLen(2))
		},
		Entry("no update", patience, 400, "update", map[string]any{}),
		Entry("update null", patience, 400, "update", map[string]any{"update": nil}),
		Entry("no instances", patience, 400, "update.instances", map[string]any{"update": map[string]any{"annotation": "2.0", "routes": map[string]any{"cf-router": []any{}}}}),
		Entry("instances null", patience, 400, "update.instances", map[string]any{"update": map[string]any{"instances": nil}}),
		Entry("negative instances", patience, 422, "instances", map[string]any{"update": map[string]any{"instances": -1}}),
		Entry("instances as text", patience, 400, "update.instances", map[string]any{"update": map[string]any{"instances": "3"}}),
		Entry("a bad route", patience, 422, "routes.cf-router[0].hostname", map[string]any{"update": map[string]any{"instances": 3, "routes": routes("not a host")}}),
		Entry("another guid in the body", patience, 400, "process_guid", map[string]any{"guid": "other", "update": map[string]any{"instances": 3}}),
		Entry("another version in the body", patience, 400, "process_guid", map[string]any{"version": "other", "update": map[string]any{"instances": 3}}),
		Entry("no guid", patience, 400, "guid", map[string]any{"guid": "", "update": map[string]any{"instances": 3}}),
	)
})
