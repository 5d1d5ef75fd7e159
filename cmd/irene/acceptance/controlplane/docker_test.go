//go:build controlplane

package controlplane_test

import (
	"context"
	"io"
	"log"
	"net/http/httptest"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/controlplane"
)

var _ = Describe("A docker image", func() {
	// push puts an image with that USER and command into a registry of this process.
	push := func(user string, command ...string) string {
		GinkgoHelper()
		server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
		DeferCleanup(server.Close)
		image, err := mutate.Config(empty.Image, v1.Config{User: user, Cmd: command})
		Expect(err).NotTo(HaveOccurred())
		reference, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/org/app:v1")
		Expect(err).NotTo(HaveOccurred())
		Expect(remote.Write(reference, image)).To(Succeed())
		return reference.String()
	}

	It("runs as the user whom it names by number, with its command doubled and pulled anew", func(ctx context.Context) {
		d := cloudcontroller.NewDocker("numbered", push("1234:5678"), "/bin/server", "--port", "8080").With("instances", 2)
		controlplane.RunApp(ctx, irene, d)
		spec := common.StatefulSet(ctx, d.GUID()).Spec.Template.Spec
		Expect(spec.SecurityContext.RunAsNonRoot).To(HaveValue(BeTrue()))
		Expect(spec.SecurityContext.RunAsUser).To(HaveValue(BeEquivalentTo(1234)))
		Expect(spec.SecurityContext.RunAsGroup).To(HaveValue(BeEquivalentTo(5678)))
		Expect(spec.Containers[0].Command).To(Equal([]string{"/bin/server", "--port", "8080"}))
		Expect(spec.Containers[0].ImagePullPolicy).To(Equal(corev1.PullAlways))
		names := []string{}
		for _, variable := range spec.Containers[0].Env {
			names = append(names, variable.Name)
		}
		Expect(names).NotTo(ContainElements("PATH", "HOME", "USER"), "the image's own survive")
	}, patience)

	DescribeTable("is refused when it runs as root, with words that say so",
		func(ctx context.Context, user string) {
			d := cloudcontroller.NewDocker("rooted", push(user))
			answer, err := irene.Desire(ctx, d)
			Expect(err).NotTo(HaveOccurred())
			Expect(answer).To(controlplane.Answered(422))
			Expect(answer.Message()).To(SatisfyAll(HavePrefix("lifecycle.docker_lifecycle.image: "), ContainSubstring("root")))
			instances, err := irene.Instances(ctx, d.GUID(), d.Version())
			Expect(err).NotTo(HaveOccurred())
			Expect(instances).To(HaveLen(1))
			Expect(instances[0].State).To(Equal("CRASHED"))
			Expect(instances[0].PlacementError).To(Equal(answer.Message()))
			Expect(common.StatefulSets(ctx, d.GUID())).To(BeEmpty())
		},
		Entry("by number", patience, "0"),
		Entry("by not naming anybody", patience, ""),
		Entry("with a group of its own", patience, "0:1000"),
	)

	It("without a command is refused unless the app has one", func(ctx context.Context) {
		reference := push("1234")
		d := cloudcontroller.NewDocker("commandless", reference)
		answer, err := irene.Desire(ctx, d)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer).To(controlplane.Answered(422))
		Expect(answer.Message()).To(SatisfyAll(HavePrefix("lifecycle.docker_lifecycle.image: "), ContainSubstring("neither ENTRYPOINT nor CMD")))
		instances, err := irene.Instances(ctx, d.GUID(), d.Version())
		Expect(err).NotTo(HaveOccurred())
		Expect(instances).To(HaveExactElements(And(HaveField("State", "CRASHED"), HaveField("PlacementError", answer.Message()))))

		controlplane.RunApp(ctx, irene, cloudcontroller.NewDocker("commanded", reference, "/bin/server"))
		controlplane.RunApp(ctx, irene, cloudcontroller.NewDocker("with-its-own", push("1234", "/bin/server")))
	}, patience)

	It("may run as root where nodes have user namespaces", func(ctx context.Context) {
		place := alone(ctx, direct())
		place.Settings["apps"] = map[string]any{"user_namespaces": "on"}
		irene := place.Start(ctx)
		d := cloudcontroller.NewDocker("rooted", push("root"))
		controlplane.RunApp(ctx, irene, d)
		spec := place.StatefulSet(ctx, d.GUID()).Spec.Template.Spec
		Expect(spec.HostUsers).To(HaveValue(BeFalse()))
		Expect(spec.SecurityContext.RunAsNonRoot).To(BeNil())
	}, patience)

	It("is left to kubelet when its registry can't be asked", func(ctx context.Context) {
		d := cloudcontroller.NewDocker("unknown", "127.0.0.1:1/org/app")
		controlplane.RunApp(ctx, irene, d)
		Expect(common.StatefulSet(ctx, d.GUID()).Spec.Template.Spec.SecurityContext.RunAsNonRoot).To(HaveValue(BeTrue()))
	}, patience)
})
