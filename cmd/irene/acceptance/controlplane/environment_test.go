//go:build controlplane

package controlplane_test

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
)

var _ = Describe("An app's environment", func() {
	It("may have 900 KiB in all", func(ctx context.Context) {
		d := cloudcontroller.NewBuildpack("large")
		for n := range 9 {
			d.Env(fmt.Sprintf("BLOB_%d", n), strings.Repeat(fmt.Sprint(n), 100<<10))
		}
		controlplane.RunApp(ctx, irene, d)
		values := common.Environment(ctx, d.GUID())
		for n := range 9 {
			Expect(values[fmt.Sprintf("BLOB_%d", n)] == strings.Repeat(fmt.Sprint(n), 100<<10)).To(BeTrue())
		}
		By("being harmless to repeat and to stop")
		controlplane.DesireApp(ctx, irene, d)
		Expect(irene.Client.Stop(ctx, d.GUID(), d.Version())).To(controlplane.Answered(200))
	}, patience)

	It("is refused above 1 MiB in all, naming the largest variable", func(ctx context.Context) {
		d := cloudcontroller.NewBuildpack("too-large").Env("LARGEST", strings.Repeat("x", 110<<10))
		for n := range 10 {
			d.Env(fmt.Sprintf("BLOB_%d", n), strings.Repeat("x", 100<<10))
		}
		answer, err := irene.Desire(ctx, d)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer).To(controlplane.Answered(422))
		Expect(answer.Message()).To(SatisfyAll(HavePrefix("environment: "), ContainSubstring("LARGEST")))
		Expect(common.StatefulSets(ctx, d.GUID())).To(BeEmpty())
	}, patience)

	It("may have a variable just as large as Linux allows, not a byte more", func(ctx context.Context) {
		largest := 128<<10 - 1 - len("BLOB=")
		d := cloudcontroller.NewBuildpack("limit").Env("BLOB", strings.Repeat("x", largest))
		controlplane.RunApp(ctx, irene, d)

		d = cloudcontroller.NewBuildpack("over-limit").Env("BLOB", strings.Repeat("x", largest+1))
		answer, err := irene.Desire(ctx, d)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer).To(controlplane.Answered(422))
		Expect(answer.Message()).To(HavePrefix("environment.BLOB: "))
	}, patience)

	It("may have names that Kubernetes takes for no key", func(ctx context.Context) {
		d := cloudcontroller.NewBuildpack("names").Env("with space", "1").Env("1st", "2").Env("a/b:c", "3").Env("..", "4").Env("dash-ed.dotted", "5")
		controlplane.RunApp(ctx, irene, d)
		values := common.Environment(ctx, d.GUID())
		for name, value := range map[string]string{"with space": "1", "1st": "2", "a/b:c": "3", "..": "4", "dash-ed.dotted": "5"} {
			Expect(values).To(HaveKeyWithValue(name, value))
		}
	}, patience)

	It("comes through untouched where it looks like Kubernetes' own references", func(ctx context.Context) {
		const odd, escaped = `$$ $(PORT) $PORT $$(PORT) $(NOBODY) $`, `$$$$ $$(PORT) $$PORT $$$$(PORT) $$(NOBODY) $$`
		d := cloudcontroller.NewBuildpack("dollars").Env("ODD", odd).Env("VCAP_APPLICATION", odd).Env("PATH", odd)
		d["lifecycle"].(map[string]any)["buildpack_lifecycle"].(map[string]any)["start_command"] = odd
		controlplane.RunApp(ctx, irene, d)
		values := common.Environment(ctx, d.GUID())
		Expect(values).To(HaveKeyWithValue("ODD", odd), "kubelet takes values from Secrets as they are")
		Expect(values).To(HaveKeyWithValue("VCAP_APPLICATION", escaped))
		Expect(values).To(HaveKeyWithValue("PATH", escaped))
		Expect(values).To(HaveKeyWithValue("START_COMMAND", escaped))
		Expect(values).To(HaveKeyWithValue("CF_INSTANCE_ADDR", "$(CF_INSTANCE_IP):8080"), "this one is to be replaced")

		docker := cloudcontroller.NewDocker("dollars", "127.0.0.1:1/dollars", "/bin/echo", odd)
		controlplane.DesireApp(ctx, irene, docker)
		Expect(controlplane.Container(common.StatefulSet(ctx, docker.GUID())).Command).To(Equal([]string{"/bin/echo", escaped}))
	}, patience)

	It("is in an immutable Secret that only the app's own template refers to, and the plain rest is readable", func(ctx context.Context) {
		d := controlplane.App("split").Env("API_KEY", "k")
		controlplane.RunApp(ctx, irene, d)
		secrets := common.Secrets(ctx, d.GUID())
		Expect(secrets).To(HaveLen(1))
		Expect(secrets[0].Immutable).To(HaveValue(BeTrue()))
		Expect(secrets[0].Type).To(Equal(corev1.SecretTypeOpaque))
		plain := []string{}
		for _, variable := range controlplane.Container(common.StatefulSet(ctx, d.GUID())).Env {
			if variable.ValueFrom == nil {
				plain = append(plain, variable.Name)
			} else if reference := variable.ValueFrom.SecretKeyRef; reference != nil {
				Expect(reference.Name).To(Equal(secrets[0].Name))
				Expect(variable.Name).To(BeElementOf("API_KEY", "DATABASE_URL"))
			}
		}
		Expect(plain).To(ContainElements("PORT", "VCAP_APPLICATION", "MEMORY_LIMIT", "VCAP_SERVICES", "HOME", "START_COMMAND"))
	}, patience)

	It("takes no Secret when there is nothing to hide", func(ctx context.Context) {
		d := cloudcontroller.NewBuildpack("plain")
		controlplane.RunApp(ctx, irene, d)
		Expect(common.Secrets(ctx, d.GUID())).To(BeEmpty())
	}, patience)

	It("leaves room beside thousands of egress rules", func(ctx context.Context) {
		rules := []any{}
		for n := range 4000 {
			rules = append(rules, map[string]any{"protocol": "tcp", "destinations": []string{fmt.Sprintf("10.%d.%d.0/24", n/256, n%256)},
				"ports": []int{443}, "annotations": []string{"security_group_id:" + cloudcontroller.NewGUID()}})
		}
		d := controlplane.App("ruled").With("egress_rules", rules)
		controlplane.RunApp(ctx, irene, d)
		size := 0
		for key, value := range common.StatefulSet(ctx, d.GUID()).Annotations {
			size += len(key) + len(value)
		}
		Expect(size).To(BeNumerically("<=", 200<<10))
	}, patience)
})
