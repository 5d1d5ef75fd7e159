//go:build controlplane

package controlplane_test

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
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
		Expect(irene.Update(ctx, d.GUID(), d.Version(), update)).To(controlplane.Answered(200))
	}
	route := func(hostname string, port any, more ...any) map[string]any {
		route := map[string]any{"hostname": hostname, "port": port}
		for i := 0; i+1 < len(more); i += 2 {
			route[more[i].(string)] = more[i+1]
		}
		return map[string]any{"cf-router": []any{route}}
	}
	internal := func(hostnames ...string) map[string]any {
		list := []any{}
		for _, hostname := range hostnames {
			list = append(list, map[string]any{"hostname": hostname})
		}
		return map[string]any{"internal-router": list}
	}
	routesOf := func(ctx context.Context, d cloudcontroller.Desire) string {
		GinkgoHelper()
		return common.StatefulSet(ctx, d.GUID()).Annotations["cloudfoundry.org/routes"]
	}

	It("scales from 1 to 3 to 1 and restarts no instance that stays", func(ctx context.Context) {
		d := controlplane.App("scaled")
		controlplane.RunApp(ctx, irene, d)
		first := common.PodUIDs(ctx, d.GUID())
		update(ctx, d, map[string]any{"instances": 3, "routes": routes("scaled.example.com"), "annotation": "2.0"})
		controlplane.AwaitRunning(ctx, irene, d, 3)
		for name, uid := range first {
			Expect(common.PodUIDs(ctx, d.GUID())).To(HaveKeyWithValue(name, uid))
		}
		update(ctx, d, map[string]any{"instances": 1, "routes": routes("scaled.example.com"), "annotation": "3.0"})
		Expect(irene.Instances(ctx, d.GUID(), d.Version())).To(HaveLen(1))
		Eventually(common.PodUIDs).WithContext(ctx).WithArguments(d.GUID()).Should(Equal(first))
		controlplane.AwaitRunning(ctx, irene, d, 1)
	}, patience)

	It("is seen by the very next read", func(ctx context.Context) {
		d := controlplane.App("read")
		controlplane.DesireApp(ctx, irene, d)
		for n := range 20 {
			instances := 1 + n%3
			text := string(rune('a' + n))
			update(ctx, d, map[string]any{"instances": instances, "annotation": text})
			Expect(controlplane.Annotation(ctx, irene, d)).To(Equal(text))
			Expect(irene.Instances(ctx, d.GUID(), d.Version())).To(HaveLen(instances))
		}
	}, patience)

	It("scales to 0 and keeps the app listed", func(ctx context.Context) {
		d := controlplane.App("zero")
		controlplane.RunApp(ctx, irene, d)
		update(ctx, d, map[string]any{"instances": 0, "routes": routes(), "annotation": "2.0"})
		Eventually(func() int { return len(common.Pods(ctx, d.GUID())) }).Should(BeZero())
		Expect(irene.Instances(ctx, d.GUID(), d.Version())).To(BeEmpty())
		Expect(controlplane.Annotation(ctx, irene, d)).To(Equal("2.0"))
		update(ctx, d, map[string]any{"instances": 1})
		controlplane.AwaitRunning(ctx, irene, d, 1)
	}, patience)

	It("replaces routes, and empties them with an empty list", func(ctx context.Context) {
		d := controlplane.App("routed")
		controlplane.DesireApp(ctx, irene, d)
		update(ctx, d, map[string]any{"instances": 1, "routes": routes("a.example.com", "b.example.com/path")})
		Expect(routesOf(ctx, d)).To(MatchJSON(`[{"hostname":"a.example.com","port":8080},{"hostname":"b.example.com/path","port":8080}]`))
		Expect(common.StatefulSet(ctx, d.GUID()).Annotations["cloudfoundry.org/application_uris"]).To(MatchJSON(routesOf(ctx, d)))
		update(ctx, d, map[string]any{"instances": 1, "routes": routes()})
		Expect(routesOf(ctx, d)).To(MatchJSON(`[]`))
		Expect(controlplane.Annotation(ctx, irene, d)).To(Equal(d["last_updated"]), "it was not spoken of")
	}, patience)

	It("leaves routes and annotation as they are when they are absent", func(ctx context.Context) {
		d := controlplane.App("kept").Routes("kept.example.com", 8080)
		controlplane.DesireApp(ctx, irene, d)
		before := routesOf(ctx, d)
		for _, partial := range []map[string]any{
			{"instances": 2},
			{"instances": 2, "routes": map[string]any{}},
			{"instances": 2, "routes": nil, "annotation": nil},
			{"instances": 2, "routes": map[string]any{"cf-router": nil}},
			{"instances": 2, "routes": map[string]any{"cf-router": nil, "internal-router": nil}},
			{"instances": 2, "routes": map[string]any{"diego-ssh": map[string]any{"container_port": 2222}}},
		} {
			update(ctx, d, partial)
			Expect(routesOf(ctx, d)).To(Equal(before))
			Expect(controlplane.Annotation(ctx, irene, d)).To(Equal(d["last_updated"]))
		}
	}, patience)

	It("replaces internal routes and HTTP routes each by themselves, restarting nothing", func(ctx context.Context) {
		d := controlplane.App("internal").Routes("internal.example.com", 8080)
		controlplane.RunApp(ctx, irene, d)
		before, pods := common.StatefulSet(ctx, d.GUID()), common.PodUIDs(ctx, d.GUID())
		Expect(before.Annotations).NotTo(HaveKey("irene.cloudfoundry.org/internal-routes"))
		for _, step := range []struct {
			routes map[string]any
			held   string
		}{
			{internal("a.apps.internal", "b.apps.internal"),
				`{"cf-router":[{"hostname":"internal.example.com","port":8080}],"internal-router":[{"hostname":"a.apps.internal"},{"hostname":"b.apps.internal"}]}`},
			{routes("x.example.com"),
				`{"cf-router":[{"hostname":"x.example.com","port":8080}],"internal-router":[{"hostname":"a.apps.internal"},{"hostname":"b.apps.internal"}]}`},
			{map[string]any{"cf-router": []any{}, "internal-router": internal("c.apps.internal")["internal-router"]},
				`{"cf-router":[],"internal-router":[{"hostname":"c.apps.internal"}]}`},
			{internal(), `{"cf-router":[]}`},
		} {
			update(ctx, d, map[string]any{"instances": 1, "routes": step.routes})
			Expect(heldRoutes(ctx, d)).To(MatchJSON(step.held))
		}
		after := common.StatefulSet(ctx, d.GUID())
		Expect(after.Annotations).NotTo(HaveKey("irene.cloudfoundry.org/internal-routes"))
		Expect(after.Annotations["cloudfoundry.org/last_updated"]).To(Equal(before.Annotations["cloudfoundry.org/last_updated"]))
		Expect(after.Spec).To(Equal(before.Spec))
		Expect(common.PodUIDs(ctx, d.GUID())).To(Equal(pods))
	}, patience)

	It("keeps all that Diego's form says of a route, and takes it away again", func(ctx context.Context) {
		d := controlplane.App("attributes")
		controlplane.DesireApp(ctx, irene, d)
		update(ctx, d, map[string]any{"instances": 1, "routes": route("full.example.com", 8080, "protocol", "http2", "route_service_url", "https://service.example.com/path",
			"isolation_segment", "segment", "options", map[string]any{"loadbalancing": "hash", "hash_balance": 1.25, "on": true})})
		const full = `[{"hostname":"full.example.com","port":8080,"protocol":"http2","route_service_url":"https://service.example.com/path",
			"isolation_segment":"segment","options":{"loadbalancing":"hash","hash_balance":"1.25","on":"true"}}]`
		Expect(routesOf(ctx, d)).To(MatchJSON(full))
		Expect(heldRoutes(ctx, d)).To(MatchJSON(`{"cf-router":` + full + `}`))
		update(ctx, d, map[string]any{"instances": 1, "routes": routes("full.example.com")})
		Expect(routesOf(ctx, d)).To(Equal(`[{"hostname":"full.example.com","port":8080}]`))
	}, patience)

	It("has room for a thousand routes, also in an app with large security groups, and refuses what would not fit", func(ctx context.Context) {
		rules := []any{}
		for n := range 4000 {
			rules = append(rules, map[string]any{"protocol": "tcp", "destinations": []string{fmt.Sprintf("10.0.%d.%d", n/250, n%250)}, "ports": []int{443}})
		}
		d := controlplane.App("crowded").With("egress_rules", rules)
		controlplane.DesireApp(ctx, irene, d)
		many := func(count int) map[string]any {
			hostnames := make([]string, count)
			for n := range hostnames {
				hostnames[n] = fmt.Sprintf("app-%d.apps.example.com", n)
			}
			return routes(hostnames...)
		}
		update(ctx, d, map[string]any{"instances": 1, "routes": many(1000)})
		before := common.StatefulSet(ctx, d.GUID())
		refused := SatisfyAll(controlplane.Answered(422), HaveField("Message()", HavePrefix("routes: ")))
		Expect(irene.Update(ctx, d.GUID(), d.Version(), map[string]any{"instances": 2, "routes": many(5000)})).To(refused)
		Expect(irene.Desire(ctx, d.Clone().With("routes", many(5000)))).To(refused)
		Expect(irene.Desire(ctx, controlplane.App("too-crowded").With("routes", many(5000)))).To(refused)
		Expect(common.StatefulSet(ctx, d.GUID()).Annotations).To(Equal(before.Annotations))
		update(ctx, d, map[string]any{"instances": 1, "routes": many(1)})
	}, patience)

	It("does not pretend to serve TCP routes", func(ctx context.Context) {
		d := controlplane.App("tcp")
		controlplane.DesireApp(ctx, irene, d)
		before := common.StatefulSet(ctx, d.GUID())
		tcp := map[string]any{"tcp-router": []any{map[string]any{"router_group_guid": "group", "external_port": 1024, "container_port": 8080}}}
		refused := SatisfyAll(controlplane.Answered(422), HaveField("Message()", Equal("routes.tcp-router: TCP routes are not supported")))
		Expect(irene.Update(ctx, d.GUID(), d.Version(), map[string]any{"instances": 2, "routes": tcp})).To(refused)
		Expect(irene.Desire(ctx, d.Clone().With("routes", tcp))).To(refused)
		Expect(irene.Desire(ctx, controlplane.App("tcp-too").With("routes", tcp))).To(refused)
		Expect(common.StatefulSet(ctx, d.GUID()).Generation).To(Equal(before.Generation))
		Expect(common.StatefulSet(ctx, d.GUID()).Annotations).To(Equal(before.Annotations))
		update(ctx, d, map[string]any{"instances": 1, "routes": map[string]any{"tcp-router": []any{}}})
	}, patience)

	It("takes an earlier annotation: the last writer wins", func(ctx context.Context) {
		d := controlplane.App("corrected").With("last_updated", "1529064800.987654321")
		controlplane.DesireApp(ctx, irene, d)
		update(ctx, d, map[string]any{"instances": 1, "annotation": "1529064800.9"})
		Expect(controlplane.Annotation(ctx, irene, d)).To(Equal("1529064800.9"))
	}, patience)

	It("does not touch the template, nor the Secret", func(ctx context.Context) {
		d := controlplane.App("untouched")
		controlplane.RunApp(ctx, irene, d)
		before, secrets := common.StatefulSet(ctx, d.GUID()), common.SecretNames(ctx, d.GUID())
		update(ctx, d, map[string]any{"instances": 1, "routes": routes("x.example.com"), "annotation": "9.0"})
		after := common.StatefulSet(ctx, d.GUID())
		Expect(after.Spec).To(Equal(before.Spec))
		Expect(after.Status.UpdateRevision).To(Equal(before.Status.UpdateRevision))
		Expect(common.SecretNames(ctx, d.GUID())).To(Equal(secrets))
	}, patience)

	It("answers 404 for an app that is not there", func(ctx context.Context) {
		Expect(irene.Update(ctx, cloudcontroller.NewGUID(), cloudcontroller.NewGUID(), map[string]any{"instances": 1})).
			To(SatisfyAll(controlplane.Answered(404), HaveField("Message()", ContainSubstring("not found"))))
	}, patience)

	DescribeTable("refuses what is incomplete or wrong, and changes nothing",
		func(ctx context.Context, status int, field string, members map[string]any) {
			d := controlplane.App("guarded").With("instances", 2)
			controlplane.DesireApp(ctx, irene, d)
			before := common.StatefulSet(ctx, d.GUID())
			body := map[string]any{"guid": d.GUID(), "version": d.Version()}
			for name, value := range members {
				body[name] = value
			}
			answer, err := irene.Call(ctx, "POST", "/apps/"+d.ProcessGUID(), body)
			Expect(err).NotTo(HaveOccurred())
			Expect(answer).To(controlplane.Answered(status))
			Expect(answer.Message()).To(HavePrefix(field + ": "))
			after := common.StatefulSet(ctx, d.GUID())
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
		Entry("a bad route", patience, 400, "routes.cf-router[0].hostname", map[string]any{"update": map[string]any{"instances": 3, "routes": routes("not a host")}}),
		Entry("a bad route among good ones", patience, 400, "routes.cf-router[2].hostname", map[string]any{"update": map[string]any{"instances": 3, "annotation": "2.0", "routes": routes("a.example.com", "*.example.com", "b.example.com:80")}}),
		Entry("a route to no port", patience, 400, "routes.cf-router[0].port", map[string]any{"update": map[string]any{"instances": 3, "routes": route("a.example.com", nil)}}),
		Entry("a route port as text", patience, 400, "routes.cf-router[0].port", map[string]any{"update": map[string]any{"instances": 3, "routes": route("a.example.com", "8080")}}),
		Entry("an unknown protocol", patience, 400, "routes.cf-router[0].protocol", map[string]any{"update": map[string]any{"instances": 3, "routes": route("a.example.com", 8080, "protocol", "spdy")}}),
		Entry("a route service without TLS", patience, 400, "routes.cf-router[0].route_service_url", map[string]any{"update": map[string]any{"instances": 3, "routes": route("a.example.com", 8080, "route_service_url", "http://service")}}),
		Entry("an option that is a list", patience, 400, "routes.cf-router[0].options.a", map[string]any{"update": map[string]any{"instances": 3, "routes": route("a.example.com", 8080, "options", map[string]any{"a": []int{1}})}}),
		Entry("a bad internal route", patience, 400, "routes.internal-router[0].hostname", map[string]any{"update": map[string]any{"instances": 3, "routes": internal("*.apps.internal")}}),
		Entry("routes that are a list", patience, 400, "routes", map[string]any{"update": map[string]any{"instances": 3, "routes": []any{}}}),
		Entry("a bad route and no instances", patience, 400, "update.instances", map[string]any{"update": map[string]any{"routes": routes("not a host")}}),
		Entry("another guid in the body", patience, 400, "process_guid", map[string]any{"guid": "other", "update": map[string]any{"instances": 3}}),
		Entry("another version in the body", patience, 400, "process_guid", map[string]any{"version": "other", "update": map[string]any{"instances": 3}}),
		Entry("no guid", patience, 400, "guid", map[string]any{"guid": "", "update": map[string]any{"instances": 3}}),
	)
})
