//go:build node

package node_test

import (
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/buildpack"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/fixtures/imageworks"
	"github.com/irene-cf/irene/fixtures/registryserver"
	"github.com/irene-cf/irene/stager/steps"
)

// downloads counts how often Cloud Controller was asked for a buildpack.
func (s *stagingInstallation) downloads(key string) int {
	count := 0
	for _, request := range s.cloudController.Received("", "") {
		if strings.Contains(request.URI, "buildpacks/"+key) {
			count++
		}
	}
	return count
}

// pulls are what nodes asked the registry for to get buildpacks.
func (s *stagingInstallation) pulls() []registryserver.Exchange {
	return s.works.Nodes.Traffic().About(func(e registryserver.Exchange) bool { return e.Repository() == imageworks.Prefix+"/buildpacks" }).Exchanges
}

// imagesOfBuildpacks waits until so many buildpacks have one.
func (s *stagingInstallation) imagesOfBuildpacks(ctx SpecContext, count int) {
	GinkgoHelper()
	Eventually(func() ([]string, error) { return s.works.Tags(ctx, "buildpacks") }).WithContext(ctx).Should(HaveLen(count))
}

var _ = Describe("buildpacks as image volumes", Ordered, func() {
	var (
		place  *stagingInstallation
		source string
	)
	BeforeAll(func(ctx SpecContext) {
		place = newStagingInstallation(ctx, "image-volumes", map[string]any{"image_volumes": "on"})
		place.addSamples(buildpack.Static, buildpack.Toolbox)
		source = place.addSource(map[string]string{"index.html": "hello from a volume\n"})
	}, NodeTimeout(time.Minute))

	It("are downloaded by no build on a node that has them", func(ctx SpecContext) {
		wanted := standin.Build{AppName: "mounted", Package: source, Buildpacks: []string{buildpack.Static}}
		first := place.stage(ctx, wanted)
		first.staged(ctx)
		Expect(first.log(ctx, steps.FetchStep)).To(ContainSubstring("Downloaded static"))
		place.imagesOfBuildpacks(ctx, 1)
		asked := place.downloads("static-key")
		Expect(asked).To(Equal(2), "by the build, and to make the image")

		second := place.stage(ctx, wanted)
		ended := second.staged(ctx)
		AddReportEntry("the image is pulled", second.timings(ctx), ReportEntryVisibilityAlways)
		Expect(second.log(ctx, steps.FetchStep)).NotTo(ContainSubstring("static"))
		Expect(second.log(ctx, steps.BuildStep)).To(ContainSubstring("Supplying the web server"))
		Expect(place.pulls()).NotTo(BeEmpty(), "with the pull secret")
		place.serves(ctx, ended, "hello from a volume\n")

		place.works.Nodes.Forget()
		third := place.stage(ctx, wanted)
		third.staged(ctx)
		AddReportEntry("the node has the image", third.timings(ctx), ReportEntryVisibilityAlways)
		Expect(place.downloads("static-key")).To(Equal(asked))
		Expect(place.pulls()).To(BeEmpty(), "kubelet keeps images")
		third.keptItsSecrets(ctx)
		third.toldOnce()
	}, SpecTimeout(2*time.Minute))

	It("go together with others that are fetched, and can't be changed", func(ctx SpecContext) {
		place.addBuildpack("curious", scripts(`
			if echo spoilt >"$(dirname "$0")/spoilt"; then echo "it was spoilt"; else echo "it is as it was"; fi
			ls -ln "$(dirname "$0")"`, ""))
		own, err := place.cloudController.AddBuildpack("own", "own.zip", "another-stack", strings.NewReader(string(scripts("mkdir -p $3/$4; echo own supply", ""))))
		Expect(err).NotTo(HaveOccurred())
		wanted := standin.Build{AppName: "both", Package: source, Buildpacks: []string{
			"curious", place.cloudController.BuildpackURL(own.Key), buildpack.Toolbox, buildpack.Static,
		}}
		first := place.stage(ctx, wanted)
		first.staged(ctx)
		Expect(first.log(ctx, steps.BuildStep)).To(ContainSubstring("it was spoilt"), "a copy of its own")
		place.imagesOfBuildpacks(ctx, 3)

		b := place.stage(ctx, wanted)
		ended := b.staged(ctx)
		Expect(b.log(ctx, steps.FetchStep)).To(And(ContainSubstring("own.zip"), Not(ContainSubstring("toolbox")), Not(ContainSubstring("curious"))))
		Expect(b.log(ctx, steps.BuildStep)).To(And(ContainSubstring("it is as it was"), ContainSubstring("own supply"), ContainSubstring("Supplying the web server")))
		a := place.serves(ctx, ended, "hello from a volume\n")
		Expect(a.exec(ctx, 0, "sh", "-c", "/home/vcap/deps/2/bin/greet")).To(Equal("Hello from the toolbox\n"))
		b.keptItsSecrets(ctx)
	}, SpecTimeout(2*time.Minute))
})
