//go:build node

package node_test

import (
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
)

var _ = Describe("a docker app", func() {
	It("runs as the number that its image names, with the image's environment and its own arguments", func(ctx SpecContext) {
		a := cloud.run(ctx, cloudcontroller.NewDocker("numbered", images.numbered, "/sampleapp", dollars).
			Env("DOLLARS", dollars).Env("odd.name-with/signs", "value").Env("VCAP_APPLICATION", `{"text":"$$ $(PORT)"}`))
		Expect(userOf(ctx, a)).To(Equal("1001 1001"))
		Expect(a.arguments(ctx)).To(Equal([]string{"/sampleapp", dollars}))
		Expect(a.variable(ctx, "DOLLARS")).To(Equal(dollars))
		Expect(a.get(ctx, 0, "/env")).To(ContainSubstring(`"odd.name-with/signs": "value"`))
		Expect(a.variable(ctx, "PATH")).To(Equal("/opt/image/bin:/bin"))
		Expect(a.variable(ctx, "FROM_IMAGE")).To(Equal("yes"))
		Expect(a.variable(ctx, "CF_INSTANCE_INDEX")).To(Equal("0"))
		Expect(a.variable(ctx, "VCAP_APPLICATION")).To(Equal(`{"text":"$$ $(PORT)","instance_id":"` + string(a.pod(ctx, 0).UID) +
			`","instance_index":0,"host":"0.0.0.0","port":8080}`))
	}, SpecTimeout(2*time.Minute))

	It("runs as the user that its image gives by name, with the image's own command", func(ctx SpecContext) {
		a := cloud.run(ctx, cloudcontroller.NewDocker("named", images.named))
		Expect(userOf(ctx, a)).To(Equal("1234 1235"))
		Expect(a.arguments(ctx)).To(Equal([]string{"/sampleapp"}))
	}, SpecTimeout(2*time.Minute))

	It("is refused, and says so, when its image runs as root and there are no user namespaces", func(ctx SpecContext) {
		desire := cloudcontroller.NewDocker("rooted", images.root)
		answer, err := cloud.Desire(ctx, desire)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Status).To(Equal(http.StatusUnprocessableEntity))
		Expect(answer.Message()).To(And(ContainSubstring("docker_lifecycle.image"), ContainSubstring("root")))

		refused := &app{Desire: desire, home: cloud}
		instance, err := refused.instance(0)(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(instance.State).To(Equal("CRASHED"))
		Expect(instance.PlacementError).To(Equal(answer.Message()))
		Expect(refused.objects(ctx)).To(BeEmpty())
	}, SpecTimeout(time.Minute))

	It("runs as root inside, and as nobody of the node's outside, with user namespaces", func(ctx SpecContext) {
		namespaced := newInstallation(ctx, "apps-in-user-namespaces", map[string]any{"user_namespaces": "on"})
		a := namespaced.run(ctx, cloudcontroller.NewDocker("rooted", images.root))
		Expect(userOf(ctx, a)).To(Equal("0 0"))
		mapping := strings.Fields(a.exec(ctx, 0, "cat", "/proc/1/uid_map"))
		Expect(mapping).To(HaveLen(3))
		Expect(mapping[0]).To(Equal("0"))
		Expect(mapping[1]).NotTo(Equal("0"), "root inside must not be root outside")

		By("running as the image's own user, too")
		named := namespaced.run(ctx, cloudcontroller.NewDocker("named", images.named))
		Expect(userOf(ctx, named)).To(Equal("1234 1235"))
	}, SpecTimeout(2*time.Minute))
})
