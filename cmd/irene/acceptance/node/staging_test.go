//go:build node

package node_test

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/buildpack"
	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/recipe"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/fixtures/imageworks"
)

var _ = Describe("an app that is staged from source", Ordered, ContinueOnFailure, func() {
	var (
		place  *stagingInstallation
		source string
	)
	BeforeAll(func(ctx SpecContext) {
		place = newStagingInstallation(ctx, "staging", nil)
		place.addSamples(buildpack.Static, buildpack.Toolbox)
		source = place.addSource(map[string]string{"index.html": "hello from source\n"})
	}, NodeTimeout(time.Minute))

	DescribeTable("becomes a droplet with Cloud Controller and in the registry, and runs, asked for by", func(ctx SpecContext, doorName string) {
		name := "from-source-" + strings.ToLower(doorName)
		door := place.door(doorName)
		b := place.stageBy(ctx, doorName, standin.Build{AppName: name, Package: source, Buildpacks: []string{buildpack.Static}})
		ended := b.staged(ctx)
		AddReportEntry("first build", b.timings(ctx), ReportEntryVisibilityAlways)
		AddReportEntry("its log", b.logs(ctx), ReportEntryVisibilityAlways)
		Expect(ended.ProcessTypes).To(Equal(map[string]string{"web": "fileserver ."}))
		Expect(place.cloudController.Received(standin.DropletUpload, b.GUID)).To(HaveLen(1))
		Expect(place.works.Tags(ctx, "droplets")).To(ContainElements(ended.Droplet.Blob.SHA1, ended.Droplet.Blob.SHA256))
		b.toldOnce()

		By("running, with a route, more instances and a task")
		web := place.webProcess(ended)
		DeferCleanup(func(ctx context.Context) { Expect(door.Stop(ctx, web.ProcessGUID())).To(Succeed()) })
		began := time.Now()
		Expect(door.Desire(ctx, web)).To(Succeed())
		Eventually(states(door, web)).WithContext(ctx).Should(Equal([]string{"RUNNING"}))
		AddReportEntry("desired → RUNNING", time.Since(began).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
		page := func(ctx context.Context) (string, error) { return askByName(ctx, web.Hostnames[0], "/", "") }
		Eventually(page).WithContext(ctx).Should(Equal("hello from source\n"))
		web.Instances, web.UpdatedAt = 2, time.Now()
		Expect(door.Desire(ctx, web)).To(Succeed())
		Eventually(states(door, web)).WithContext(ctx).Should(Equal([]string{"RUNNING", "RUNNING"}))
		Expect(door.List(ctx)).To(HaveKeyWithValue(web.ProcessGUID(), web.Annotation()))
		task := recipe.Task{
			App: web.App, Space: space, Organization: organization, GUID: cloudcontroller.NewGUID(), Name: "count", Command: "exit 3",
			Stack: web.Stack, Droplet: web.Droplet, DropletURL: place.cloudController.Recipes().DropletURL(web), MemoryMB: 32, DiskMB: 32,
		}
		place.cloudController.AddTask(task.GUID)
		Expect(door.RunTask(ctx, task)).To(Succeed())
		Eventually(func() standin.Task {
			ended, _ := place.cloudController.Task(task.GUID)
			return ended
		}).WithContext(ctx).Should(Equal(standin.Task{GUID: task.GUID, Ended: true, Failed: true, FailureReason: "Exited with status 3"}))

		By("being stopped")
		Expect(door.Stop(ctx, web.ProcessGUID())).To(Succeed())
		Expect(door.List(ctx)).NotTo(HaveKey(web.ProcessGUID()))
		Eventually(func(ctx context.Context) error {
			_, err := page(ctx)
			return err
		}).WithContext(ctx).Should(MatchError(ContainSubstring("unknown_route")))
		Expect(place.cloudController.Received(standin.DropletDownload, "")).To(BeEmpty(), "the droplet is in the registry already")
		Expect(place.works.Droplets.Requests("")).To(BeZero(), "the droplet is in the registry already")

		By("being staged again, with what the first build has left in the cache")
		first, there := place.cloudController.Cache(imageworks.StackName, b.AppGUID)
		Expect(there).To(BeTrue())
		again := place.stageBy(ctx, doorName, standin.Build{AppGUID: b.AppGUID, AppName: name, Package: source})
		ended = again.staged(ctx)
		AddReportEntry("second build", again.timings(ctx), ReportEntryVisibilityAlways)
		Expect(again.logs(ctx)).To(ContainSubstring("build 2 of this app"))
		second, there := place.cloudController.Cache(imageworks.StackName, b.AppGUID)
		Expect(there).To(BeTrue())
		Expect(second.SHA256).NotTo(Equal(first.SHA256))
		var result struct {
			Metadata struct {
				Detected   string `json:"detected_buildpack"`
				Buildpacks []struct{ Key, Name, Version string }
			} `json:"lifecycle_metadata"`
		}
		Expect(json.Unmarshal(ended.Result, &result)).To(Succeed())
		Expect(result.Metadata.Buildpacks).To(ConsistOf(HaveField("Key", "static-key")), "it was detected this time")
	},
		Entry("OPI", opiDoor, SpecTimeout(2*time.Minute)),
		Entry("the BBS API", bbsDoor, SpecTimeout(2*time.Minute)),
	)

	It("is staged by several buildpacks", func(ctx SpecContext) {
		b := place.stage(ctx, standin.Build{
			AppName: "multi", Package: source, Buildpacks: []string{buildpack.Toolbox, buildpack.Static}, Passwords: true,
		})
		ended := b.staged(ctx)
		var result struct {
			Sidecars []struct {
				Name, Command string
				ProcessTypes  []string `json:"process_types"`
			}
			Metadata struct {
				Buildpacks []struct{ Key, Name, Version string }
			} `json:"lifecycle_metadata"`
		}
		Expect(json.Unmarshal(ended.Result, &result)).To(Succeed())
		Expect(result.Metadata.Buildpacks).To(HaveExactElements(HaveField("Name", "toolbox"), HaveField("Name", "static")))
		Expect(result.Sidecars).To(ConsistOf(And(HaveField("Name", "greeter"), HaveField("ProcessTypes", ConsistOf("web")))))
		a := place.serves(ctx, ended, "hello from source\n")
		Expect(a.exec(ctx, 0, "sh", "-c", "/home/vcap/deps/0/bin/greet")).To(Equal("Hello from the toolbox\n"))
		b.keptItsSecrets(ctx)
		b.toldOnce()
	}, SpecTimeout(2*time.Minute))

	It("waits for room when there are many, and survives irene's death", func(ctx SpecContext) {
		const count, atATime = 20, 12
		memory := int(node.memoryMiB(ctx)) / atATime
		builds := make([]*stagedBuild, count)
		for i := range count {
			builds[i] = place.stage(ctx, standin.Build{
				AppName: "crowd", Package: source, Buildpacks: []string{buildpack.Static}, MemoryMB: memory, DiskMB: 512,
			})
		}
		By("being killed when the first of them has ended")
		builds[0].staged(ctx)
		place.Kill()
		place.start(ctx)
		var slowest time.Duration
		for _, b := range builds {
			b.staged(ctx)
			slowest = max(slowest, b.told().Sub(b.asked))
		}
		AddReportEntry("20 builds at once, irene killed on the way", "the last was over after "+slowest.Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
	}, SpecTimeout(2*time.Minute))

	It("that is a docker image, needs no pod", func(ctx SpecContext) {
		b := place.stage(ctx, standin.Build{AppName: "docker", Image: images.numbered})
		ended := b.staged(ctx)
		AddReportEntry("docker image: asked → callback", b.told().Sub(b.asked).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
		Expect(ended.Droplet.DockerImage).To(Equal(images.numbered))
		var result struct {
			Execution string `json:"execution_metadata"`
		}
		Expect(json.Unmarshal(ended.Result, &result)).To(Succeed())
		Expect(result.Execution).To(MatchJSON(`{"cmd":[],"entrypoint":["/sampleapp"],"ports":[{"Port":8080,"Protocol":"tcp"}],"user":"1001:1001"}`))
		Expect(b.pods(ctx)).To(BeEmpty())
		b.toldOnce()

		By("unless there is none")
		missing := place.stage(ctx, standin.Build{AppName: "missing", Image: images.registry + "/docker/missing:1", ImageUser: "someone", ImagePassword: "docker-hunter2"})
		missing.failed(ctx, "StagingError", HavePrefix("The image can't be used: "))
		missing.toldOnce()
		missing.keptItsSecrets(ctx)

		By("or it runs as root")
		place.stage(ctx, standin.Build{AppName: "rooted", Image: images.root}).
			failed(ctx, "StagingError", And(HavePrefix("The image can't be used: "), ContainSubstring("runs as root")))
	}, SpecTimeout(time.Minute))
})

// serves desires what was staged, and wants it to answer with a text.
func (s *stagingInstallation) serves(ctx SpecContext, staged standin.Build, text string) *app {
	GinkgoHelper()
	began := time.Now()
	a := s.run(ctx, cloudcontroller.NewBuildpack(staged.AppName).Droplet(staged.Droplet.GUID, staged.Droplet.Blob.SHA256, ""))
	AddReportEntry(staged.AppName+": desired → RUNNING", time.Since(began).Round(time.Millisecond).String(), ReportEntryVisibilityAlways)
	Expect(a.get(ctx, 0, "/")).To(Equal(text))
	Expect(s.works.Droplets.Requests("")).To(BeZero(), "the droplet is in the registry already")
	return a
}
