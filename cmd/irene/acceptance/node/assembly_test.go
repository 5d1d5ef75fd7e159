//go:build node

package node_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/irene-cf/irene/bits"
	converter "github.com/irene-cf/irene/bits/droplet"
	"github.com/irene-cf/irene/fixtures/droplet"
	"github.com/irene-cf/irene/fixtures/imageworks"
	"github.com/irene-cf/irene/fixtures/registryserver"
)

var _ = Describe("an image that irene makes of a droplet", Ordered, func() {
	var (
		place    *assembling
		first    *app
		original droplet.Droplet
	)
	BeforeAll(func(ctx SpecContext) {
		place = newAssembling(ctx, "assembled")
		original = place.newDroplet()
	}, NodeTimeout(time.Minute))
	BeforeEach(func() {
		place.works.Irene.Forget()
		place.works.Nodes.Forget()
	})
	// report shows what passed, and returns what irene did about apps and all of the
	// nodes'.
	report := func(what string) (irene, nodes registryserver.Traffic) {
		GinkgoHelper()
		irene, nodes = ofApps(place.works.Irene.Traffic()), place.works.Nodes.Traffic()
		AddReportEntry(what, "irene: "+irene.String()+"\nnode:  "+nodes.String(), ReportEntryVisibilityAlways)
		return irene, nodes
	}

	It("runs the droplet as vcap on the stack, with the command that staging found", func(ctx SpecContext) {
		began := time.Now()
		first = place.run(ctx, newApp("fetched", original))
		AddReportEntry("droplet fetched, converted and pushed, image assembled and pulled: desired → RUNNING",
			time.Since(began).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
		report("the first app")
		Expect(first.arguments(ctx)).To(Equal(strings.Fields(stagedCommand)))
		Expect(userOf(ctx, first)).To(Equal("2000 2000"))
		Expect(first.exec(ctx, 0, "stat", "-c", "%u:%g %a %n", "/home/vcap", "/home/vcap/app", "/home/vcap/app/sampleapp", "/home/vcap/tmp")).To(Equal(
			"2000:2000 755 /home/vcap\n2000:2000 755 /home/vcap/app\n2000:2000 755 /home/vcap/app/sampleapp\n2000:2000 755 /home/vcap/tmp\n"))
		Expect(first.exec(ctx, 0, "readlink", "/proc/1/exe")).To(Equal("/lifecycle/launch\n"))
		Expect(first.onStack(ctx, 0)).To(Equal("first"))
		Expect(first.exec(ctx, 0, "readlink", "/app")).To(Equal("/home/vcap/app\n"))
		Expect(first.exec(ctx, 0, "ls", "/app/")).To(ContainSubstring("sampleapp\n"), "for who looks for the app's files in a shell")
	}, SpecTimeout(time.Minute))

	It("has the layers of the stack, irene's own and the droplet's, which is the same whoever makes it", func(ctx SpecContext) {
		manifest := place.manifest(ctx, original.GUID, first.imageTag(ctx))
		indented, err := json.MarshalIndent(manifest, "", "  ")
		Expect(err).NotTo(HaveOccurred())
		AddReportEntry("manifest of "+imageworks.Prefix+"/"+original.GUID+":"+first.imageTag(ctx), string(indented), ReportEntryVisibilityAlways)

		lifecycle, err := bits.LoadLifecycle(filepath.Join(binaries, "launch"))
		Expect(err).NotTo(HaveOccurred())
		again, err := converter.Convert(ctx, bytes.NewReader(original.Content), io.Discard, converter.Options{})
		Expect(err).NotTo(HaveOccurred())
		wanted := digests(place.manifest(ctx, "stacks/"+imageworks.StackName, "latest").Layers)
		wanted = append(wanted, lifecycle.Digest(), again.Digest)
		Expect(digests(manifest.Layers)).To(Equal(wanted))
		Expect(digests(place.manifest(ctx, "droplets", original.Hash).Layers)).To(Equal([]v1.Hash{again.Digest}))
	}, SpecTimeout(time.Minute))

	It("moves no byte for another version of the app", func(ctx SpecContext) {
		place.run(ctx, anotherVersion(first))
		irene, nodes := report("another version of the app")
		Expect(irene.Exchanges).To(BeEmpty(), "irene has seen it a moment ago")
		Expect(nodes.Exchanges).To(BeEmpty(), "the node has it")

		By("asking only, when irene itself is another")
		place.Kill()
		place.start(ctx)
		place.works.Irene.Forget()
		place.run(ctx, anotherVersion(first))
		irene, nodes = report("another version of the app, after irene was started anew")
		Expect(irene.Exchanges).To(HaveEach(HaveField("Method", BeElementOf(http.MethodGet, http.MethodHead))))
		Expect(irene.Paths()).NotTo(ContainElement(ContainSubstring("/blobs/")))
		Expect(nodes.Exchanges).To(BeEmpty())
		Expect(place.works.Droplets.Requests(original.GUID)).To(Equal(1))
	}, SpecTimeout(time.Minute))

	It("moves no layer for the same droplet under another guid", func(ctx SpecContext) {
		same := original.Copy()
		place.works.Droplets.Put(same)
		place.run(ctx, newApp("copied", same))
		irene, nodes := report("the same droplet under another guid")
		Expect(place.works.Droplets.Requests(same.GUID)).To(BeZero())
		Expect(irene.Kinds()).To(HaveKeyWithValue("POST mount", 3))
		Expect(irene.Sent).To(BeNumerically("<", 32<<10))
		Expect(nodes.Received).To(BeNumerically("<", 32<<10))
	}, SpecTimeout(time.Minute))

	It("moves only what is new to a node that has the stack", func(ctx SpecContext) {
		d := place.newDroplet()
		other := place.run(ctx, newApp("other", d))
		_, nodes := report("another droplet on a node that has the stack")
		manifest := place.manifest(ctx, d.GUID, other.imageTag(ctx))
		layer := manifest.Layers[len(manifest.Layers)-1]
		pulled := nodes.About(func(e registryserver.Exchange) bool {
			return e.What() == "GET blobs" && e.Status == http.StatusOK
		})
		Expect(pulled.Paths()).To(ConsistOf(HaveSuffix(layer.Digest.String()), HaveSuffix(manifest.Config.Digest.String())))
		Expect(nodes.Received).To(BeNumerically("~", layer.Size, 32<<10))
		Expect(nodes.Received).To(BeNumerically("<", stackBytes/2))
	}, SpecTimeout(time.Minute))
})

// manifest is that of an image in irene's registry.
func (a *assembling) manifest(ctx context.Context, repository, tag string) *v1.Manifest {
	GinkgoHelper()
	image, err := a.works.Image(ctx, repository, tag)
	Expect(err).NotTo(HaveOccurred())
	manifest, err := image.Manifest()
	Expect(err).NotTo(HaveOccurred())
	return manifest
}

func digests(descriptors []v1.Descriptor) []v1.Hash {
	hashes := make([]v1.Hash, 0, len(descriptors))
	for _, descriptor := range descriptors {
		hashes = append(hashes, descriptor.Digest)
	}
	return hashes
}
