//go:build controlplane

package controlplane_test

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures"
	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
	"github.com/irene-cf/irene/k8s/keys"
)

var _ = Describe("A request that can't be honoured", Ordered, ContinueOnFailure, func() {
	var place *controlplane.Platform
	var irene *ireneprocess.Process
	BeforeAll(func(ctx context.Context) {
		place = alone(ctx, direct())
		irene = place.Start(ctx)
	}, NodeTimeout(3*time.Minute))

	// refused sends body to the app's path and wants a JSON error that names the
	// field, the same text in …/instances, and nothing in Kubernetes.
	refused := func(ctx context.Context, guid, version string, status int, field string, body any) {
		GinkgoHelper()
		answer, err := irene.Call(ctx, "PUT", "/apps/"+guid+"-"+version, body)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer).To(answered(status))
		Expect(json.Valid(answer.Body)).To(BeTrue(), string(answer.Body))
		Expect(answer.Message()).To(HavePrefix(field + ": "))

		instances, err := irene.Instances(ctx, guid, version)
		Expect(err).NotTo(HaveOccurred())
		Expect(instances).NotTo(BeEmpty())
		for _, instance := range instances {
			Expect(instance.State).To(Equal("CRASHED"))
			Expect(instance.PlacementError).To(Equal(answer.Message()))
			Expect(instance.SinceTime()).NotTo(BeZero())
		}
		Expect(irene.List(ctx)).To(BeEmpty())
		Expect(irene.Get(ctx, guid, version)).To(answered(404))
		Expect(place.StatefulSets(ctx, "")).To(BeEmpty())
		Expect(place.Secrets(ctx, "")).To(BeEmpty())
	}

	docker := func(image string, more ...string) any {
		lifecycle := map[string]any{"image": image, "command": []string{}}
		for i := 0; i+1 < len(more); i += 2 {
			lifecycle[more[i]] = more[i+1]
		}
		return map[string]any{"docker_lifecycle": lifecycle}
	}
	internal := func(hostname any) any {
		return map[string]any{"internal-router": []any{map[string]any{"hostname": hostname}}}
	}
	route := func(hostname string, port any) any {
		return map[string]any{"cf-router": []any{map[string]any{"hostname": hostname, "port": port}}}
	}
	DescribeTable("is answered with the field and the reason, and leaves nothing behind",
		func(ctx context.Context, field string, value any, status int, named string) {
			d := app("refused")
			guid, version := d.GUID(), d.Version()
			if value == missing {
				delete(d, field)
			} else {
				d[field] = value
			}
			refused(ctx, guid, version, status, named, d)
		},
		Entry("no guid", patience, "guid", missing, 400, "guid"),
		Entry("no version", patience, "version", missing, 400, "version"),
		Entry("guid null", patience, "guid", nil, 400, "guid"),
		Entry("guid a number", patience, "guid", 7, 400, "guid"),
		Entry("another guid than the path's", patience, "guid", "other", 400, "process_guid"),
		Entry("another version than the path's", patience, "version", "other", 400, "process_guid"),
		Entry("another process_guid", patience, "process_guid", "other", 400, "process_guid"),
		Entry("no lifecycle", patience, "lifecycle", missing, 400, "lifecycle"),
		Entry("an empty lifecycle", patience, "lifecycle", map[string]any{}, 400, "lifecycle"),
		Entry("an unknown lifecycle", patience, "lifecycle", map[string]any{"kpack_lifecycle": map[string]any{}}, 400, "lifecycle"),
		Entry("instances as text", patience, "instances", "1", 400, "instances"),
		Entry("instances as a fraction", patience, "instances", 1.5, 400, "instances"),
		Entry("negative instances", patience, "instances", -1, 422, "instances"),
		Entry("more instances than an int32", patience, "instances", 1<<40, 400, "instances"),
		Entry("negative memory", patience, "memory_mb", -1, 422, "memory_mb"),
		Entry("no memory", patience, "memory_mb", missing, 422, "memory_mb"),
		Entry("negative disk", patience, "disk_mb", -1, 422, "disk_mb"),
		Entry("negative CPU weight", patience, "cpu_weight", -1, 422, "cpu_weight"),
		Entry("an unknown health check type", patience, "health_check_type", "telepathy", 400, "health_check_type"),
		Entry("ports as text", patience, "ports", "8080", 400, "ports"),
		Entry("port 0", patience, "ports", []int{0}, 422, "ports[0]"),
		Entry("port 65536", patience, "ports", []int{8080, 65536}, 422, "ports[1]"),
		Entry("environment as a list", patience, "environment", []string{"A=B"}, 400, "environment"),
		Entry("a variable as a number", patience, "environment", map[string]any{"A": 1}, 400, "environment"),
		Entry("a variable name with an equals sign", patience, "environment", map[string]any{"A=B": "C"}, 422, "environment.A=B"),
		Entry("a variable without name", patience, "environment", map[string]any{"": "C"}, 422, "environment"),
		Entry("a variable of 130 KiB", patience, "environment", map[string]any{"HUGE": strings.Repeat("x", 130<<10)}, 422, "environment.HUGE"),
		Entry("a NUL byte in a value", patience, "environment", map[string]any{"NUL": "a\x00b"}, 422, "environment.NUL"),
		Entry("an image with a scheme", patience, "lifecycle", docker("http://example.org/image"), 422, "lifecycle.docker_lifecycle.image"),
		Entry("an image in capitals", patience, "lifecycle", docker("Org/App"), 422, "lifecycle.docker_lifecycle.image"),
		Entry("no image", patience, "lifecycle", docker(""), 422, "lifecycle.docker_lifecycle.image"),
		Entry("an image that ends with a slash", patience, "lifecycle", docker("repo/app/"), 422, "lifecycle.docker_lifecycle.image"),
		Entry("an image with a bad tag", patience, "lifecycle", docker("org/app:!"), 422, "lifecycle.docker_lifecycle.image"),
		Entry("a registry password without user", patience, "lifecycle", docker("127.0.0.1:1/app", "registry_password", "p"), 422, "lifecycle.docker_lifecycle.registry_username"),
		Entry("a droplet hash that is no tag", patience, "lifecycle", map[string]any{"buildpack_lifecycle": map[string]any{"droplet_guid": "g", "droplet_hash": "a/b"}}, 422, "lifecycle.buildpack_lifecycle.droplet_hash"),
		Entry("no droplet guid", patience, "lifecycle", map[string]any{"buildpack_lifecycle": map[string]any{"droplet_hash": "abc"}}, 422, "lifecycle.buildpack_lifecycle.droplet_guid"),
		Entry("a route without host", patience, "routes", route("/path", 8080), 400, "routes.cf-router[0].hostname"),
		Entry("a route with a scheme", patience, "routes", route("https://a.example.com", 8080), 400, "routes.cf-router[0].hostname"),
		Entry("a route to port 0", patience, "routes", route("a.example.com", 0), 400, "routes.cf-router[0].port"),
		Entry("a route port as text", patience, "routes", route("a.example.com", "8080"), 400, "routes.cf-router[0].port"),
		Entry("an internal route with a wildcard", patience, "routes", internal("*.apps.internal"), 400, "routes.internal-router[0].hostname"),
		Entry("an internal route as a number", patience, "routes", internal(7), 400, "routes.internal-router[0].hostname"),
		Entry("a volume that is no claim", patience, "volume_mounts", []any{map[string]any{"volume_id": "Not A Claim", "mount_dir": "/data"}}, 422, "volume_mounts[0].volume_id"),
		Entry("a volume at a relative path", patience, "volume_mounts", []any{map[string]any{"volume_id": "claim", "mount_dir": "data"}}, 422, "volume_mounts[0].mount_dir"),
		Entry("a NUL byte in a name", patience, "app_name", "a\x00b", 422, "app_name"),
		Entry("a NUL byte in the annotation", patience, "last_updated", "1\x00", 422, "last_updated"),
	)

	DescribeTable("is answered when it is no request at all",
		func(ctx context.Context, status int, body string) {
			refused(ctx, cloudcontroller.NewGUID(), cloudcontroller.NewGUID(), status, "body", body)
		},
		Entry("nothing", patience, 400, ""),
		Entry("half of one", patience, 400, `{"guid": "a`),
		Entry("two", patience, 400, `{} {}`),
		Entry("a list", patience, 400, `[]`),
		Entry("a text", patience, 400, `"guid"`),
		Entry("a form", patience, 400, `guid=a&version=b`),
		Entry("9 MiB", patience, 413, `{"guid":"`+strings.Repeat("x", 9<<20)+`"}`),
	)

	It("is refused when guid and version don't fit labels", func(ctx context.Context) {
		d := app("label").Identify(strings.Repeat("g", 64), "-")
		refused(ctx, d.GUID(), d.Version(), 422, "guid", d)
	}, patience)

	It("is refused as Cloud Controller's own specification has it, for its image", func(ctx context.Context) {
		body, err := fixtures.Requests.ReadFile("requests/02-desire-lrp-docker-r1.json")
		Expect(err).NotTo(HaveOccurred())
		refused(ctx, "process-guid", "e2fe80f5-fd0c-4699-a4d1-ae06bc48a923", 422, "lifecycle.docker_lifecycle.image", body)
		Expect(irene.Instances(ctx, "process-guid", "e2fe80f5-fd0c-4699-a4d1-ae06bc48a923")).To(HaveLen(21))
	}, patience)

	It("names every field that is wrong, not only the first", func(ctx context.Context) {
		answer, err := irene.Desire(ctx, app("many").With("memory_mb", -1).With("instances", -1).With("ports", []int{0}))
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Message()).To(SatisfyAll(ContainSubstring("memory_mb: "), ContainSubstring("instances: "), ContainSubstring("ports[0]: ")))
	}, patience)

	It("is malformed when one of its faults is a malformed route, and names them all", func(ctx context.Context) {
		d := app("many").With("memory_mb", -1).With("routes", route("not a host", 8080)).With("health_check_type", "telepathy")
		guid, version := d.GUID(), d.Version()
		refused(ctx, guid, version, 400, "health_check_type", d)
		answer, err := irene.Desire(ctx, d)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Message()).To(SatisfyAll(ContainSubstring("memory_mb: "), ContainSubstring("routes.cf-router[0].hostname: ")))
	}, patience)

	It("is forgotten once the app could be desired", func(ctx context.Context) {
		d := app("mended")
		refused(ctx, d.GUID(), d.Version(), 422, "memory_mb", d.Clone().With("memory_mb", 0))
		run(ctx, irene, d)
		Expect(irene.Client.Stop(ctx, d.GUID(), d.Version())).To(answered(200))
		Expect(irene.Instances(ctx, d.GUID(), d.Version())).To(BeEmpty())
		Eventually(place.NothingLeftOf(ctx, "")).Should(Succeed())
	}, patience)

	It("is forgotten once the app is stopped", func(ctx context.Context) {
		d := app("given-up").With("memory_mb", 0)
		refused(ctx, d.GUID(), d.Version(), 422, "memory_mb", d)
		Expect(irene.Client.Stop(ctx, d.GUID(), d.Version())).To(answered(200))
		Expect(irene.Instances(ctx, d.GUID(), d.Version())).To(BeEmpty())
	}, patience)

	It("is not for odd values that no instance depends on", func(ctx context.Context) {
		rule := func(protocol, destination string, port int) any {
			return map[string]any{"protocol": protocol, "destinations": []string{destination}, "ports": []int{port}}
		}
		mount := map[string]any{"volume_id": "claim", "mount_dir": "/data"}
		d := app("odd").With("egress_rules", []any{rule("tcp", "010.0.11.0/24", 443), rule("smoke", "10.0.0.1", 1), rule("tcp", "example.com", 1), rule("tcp", "10.0.0.1", 0), "no rule"}).
			With("ports", []int{8080, 8080}).With("volume_mounts", []any{mount, mount}).
			With("health_check_type", "http").With("health_check_http_endpoint", "health").With("health_check_timeout_ms", -1).With("start_timeout_ms", 1<<40).
			With("placement_tags", []string{""}).With("app_guid", "no label").With("space_guid", strings.Repeat("s", 64))
		desire(ctx, irene, d)
		set := place.StatefulSet(ctx, d.GUID())
		Expect(set.Annotations[keys.LRP]).To(SatisfyAll(ContainSubstring(`"10.0.11.0/24"`), Not(ContainSubstring("example.com")), Not(ContainSubstring("smoke"))))
		container := set.Spec.Template.Spec.Containers[0]
		Expect(container.Ports).To(HaveLen(1))
		Expect(container.VolumeMounts).To(HaveLen(1))
		Expect(container.StartupProbe.HTTPGet.Path).To(Equal("/health"))
		Expect(irene.Client.Stop(ctx, d.GUID(), d.Version())).To(answered(200))
		Eventually(place.NothingLeftOf(ctx, "")).Should(Succeed())
	}, patience)

	It("changes nothing of an app that runs", func(ctx context.Context) {
		d := app("runs")
		run(ctx, irene, d)
		before := place.StatefulSet(ctx, d.GUID())
		Expect(irene.Desire(ctx, d.Clone().With("instances", -1))).To(answered(422))
		Expect(irene.Desire(ctx, d.Clone().With("instances", 2).With("last_updated", "2.0").Routes("not a host", 8080))).To(answered(400))
		Expect(place.StatefulSet(ctx, d.GUID()).Generation).To(Equal(before.Generation))
		Expect(place.StatefulSet(ctx, d.GUID()).Annotations).To(Equal(before.Annotations))
		running(ctx, irene, d, 1)
		Expect(irene.Client.Stop(ctx, d.GUID(), d.Version())).To(answered(200))
		Eventually(place.NothingLeftOf(ctx, "")).Should(Succeed())
	}, patience)

	DescribeTable("is told so in JSON when there is no such call",
		func(ctx context.Context, method, path string, status int) {
			answer, err := irene.Call(ctx, method, path, nil)
			Expect(err).NotTo(HaveOccurred())
			Expect(answer).To(answered(status))
			Expect(json.Valid(answer.Body)).To(BeTrue())
		},
		Entry("unknown path", patience, "GET", "/lrps", 404),
		Entry("trailing slash", patience, "GET", "/apps/", 404),
		Entry("unknown method", patience, "DELETE", "/apps", 405),
	)
})

// missing stands for a field that is left out.
const missing = "\x00missing"
