//go:build controlplane

package controlplane_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"code.cloudfoundry.org/bbs/models"
	"github.com/gogo/protobuf/proto"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/fixtures"
	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/droplet"
	"github.com/irene-cf/irene/fixtures/imageworks"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
	"github.com/irene-cf/irene/fixtures/loopback"
	"github.com/irene-cf/irene/k8s/keys"
)

// exampleTask returns a request that Cloud Controller's own code made.
func exampleTask(file string) *models.DesireTaskRequest {
	GinkgoHelper()
	content, err := fixtures.BBS.ReadFile("bbs/" + file)
	Expect(err).NotTo(HaveOccurred())
	request := &models.DesireTaskRequest{}
	Expect(proto.Unmarshal(content, request)).To(Succeed())
	return request
}

// desireTask sends the body of a request for a task or a build under a request id.
func desireTask(ctx context.Context, url, id string, body []byte) (*models.Error, error) {
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/tasks/desire.r2", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	post.Header.Set("Content-Type", "application/x-protobuf")
	post.Header.Set("X-Vcap-Request-Id", id)
	response, err := http.DefaultClient.Do(post)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if err := response.Body.Close(); err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d: %s", response.StatusCode, content)
	}
	var answer models.TaskLifecycleResponse
	return answer.Error, proto.Unmarshal(content, &answer)
}

var _ = Describe("Tasks and staging of the BBS door", Ordered, ContinueOnFailure, func() {
	var place *reporting
	BeforeAll(func(ctx context.Context) {
		works, err := imageworks.Start(GinkgoT().TempDir(), GinkgoWriter)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(works.Stop)
		cc, err := standin.Start(standin.Options{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(cc.Close)
		_, err = cc.AddPackage(samplePackage, strings.NewReader("package"))
		Expect(err).NotTo(HaveOccurred())
		_, err = cc.AddBuildpack(sampleBuildpack, sampleBuildpack, "", strings.NewReader("buildpack"))
		Expect(err).NotTo(HaveOccurred())
		settings := works.Settings()
		settings["leader_election"] = map[string]any{"enabled": false}
		settings["apps"] = map[string]any{"placement": map[string]any{"shared": "any"}, "orphan_min_age": "1s", "image_user_lookup_timeout": "1s"}
		settings["stager"] = map[string]any{"docker_patience": "1s"}
		// Droplets come from the URLs of requests alone.
		address, _, _ := strings.Cut(works.Droplets.URL(), "/{")
		settings["cloud_controller"] = map[string]any{"url": address}
		settings["droplets"] = map[string]any{"source": map[string]any{"url": ""}}
		settings["bbs"] = map[string]any{"listen": map[string]any{"address": loopback.Address(), "plaintext": true}}
		place = &reporting{cc: cc, staging: &staging{
			assembling: &assembling{Platform: newPlatform(ctx, direct(), settings), Works: works}, node: controlplane.NewHugeNode(ctx, api),
		}}
		DeferCleanup(place.ClearJobs)
		place.importStack(ctx)
		place.storeResult(ctx)
	}, NodeTimeout(3*time.Minute))
	// A process that is started in a spec ends with it.
	BeforeEach(func(ctx context.Context) { place.irene = place.Start(ctx) })

	door := func() diego { return diego{place.irene.BBSURL} }
	desire := func(ctx context.Context, request *models.DesireTaskRequest) *models.Error {
		GinkgoHelper()
		var answer models.TaskLifecycleResponse
		door().call(ctx, "/v1/tasks/desire.r2", request, &answer)
		return answer.Error
	}
	cancel := func(ctx context.Context, guid string) {
		GinkgoHelper()
		var answer models.TaskLifecycleResponse
		door().call(ctx, "/v1/tasks/cancel", &models.TaskGuidRequest{TaskGuid: guid}, &answer)
		Expect(answer.Error).To(BeNil())
	}
	listed := func(ctx context.Context) []string {
		GinkgoHelper()
		var answer models.TasksResponse
		door().call(ctx, "/v1/tasks/list.r2", &models.TasksRequest{Domain: "cf-tasks"}, &answer)
		Expect(answer.Error).To(BeNil())
		guids := []string{}
		for _, t := range answer.Tasks {
			guids = append(guids, t.TaskGuid)
		}
		return guids
	}
	jobs := func(ctx context.Context, guid string) []batchv1.Job {
		GinkgoHelper()
		list, err := api.BatchV1().Jobs(place.Namespace).List(ctx, controlplane.SelectGUID(guid))
		Expect(err).NotTo(HaveOccurred())
		return list.Items
	}

	Describe("A task", func() {
		// newTask runs a droplet that its URL leads to, on nodes where pods end by themselves.
		newTask := func(from droplet.Droplet) *models.DesireTaskRequest {
			GinkgoHelper()
			request := exampleTask("bbs-31-desire-task-run-buildpack-plain.pb")
			request.TaskGuid = cloudcontroller.NewGUID()
			wire := request.TaskDefinition
			wire.CompletionCallbackUrl = place.cc.AddTask(request.TaskGuid)
			wire.RootFs, wire.VolumeMounts, wire.MemoryMb = "preloaded:"+imageworks.StackName, nil, 16
			download := wire.Action.SerialAction.Actions[0].DownloadAction
			download.From = strings.NewReplacer("{partition}", from.GUID[:2]+"/"+from.GUID[2:4], "{droplet_guid}", from.GUID, "{hash}", from.Hash).Replace(place.Droplets.URL())
			download.ChecksumAlgorithm, download.ChecksumValue = "sha1", from.Hash
			return request
		}
		ended := func(guid string) func() standin.Task {
			return func() standin.Task {
				reported, _ := place.cc.Task(guid)
				return reported
			}
		}
		const within = 90 * time.Second

		It("is accepted before its image is there, and runs once when it is", func(ctx context.Context) {
			from := place.newDroplet()
			place.Droplets.Fail(from.GUID, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
			request := newTask(from)
			Expect(desire(ctx, request)).To(BeNil())
			Expect(listed(ctx)).To(ContainElement(request.TaskGuid))
			Expect(jobs(ctx, request.TaskGuid)).To(ConsistOf(And(
				HaveField("Spec.Suspend", HaveValue(BeTrue())), HaveField("Annotations", HaveKey(keys.AwaitedImage)))))
			Expect(place.Pods(ctx, request.TaskGuid)).To(BeEmpty())

			By("killing irene while it tries")
			Eventually(func() int { return place.Droplets.Requests(from.GUID) }).Should(BeNumerically(">", 0))
			place.restart(ctx)
			Expect(listed(ctx)).To(ContainElement(request.TaskGuid))
			place.Droplets.Fail(from.GUID, nil)
			Eventually(ended(request.TaskGuid)).WithTimeout(within).Should(Equal(standin.Task{GUID: request.TaskGuid, Ended: true}))
			found := jobs(ctx, request.TaskGuid)
			Expect(found).To(HaveLen(1))
			Expect(found[0].Annotations).NotTo(HaveKey(keys.AwaitedImage))
			Expect(found[0].Labels).NotTo(HaveKey(keys.AwaitedImage))
			Expect(place.Pods(ctx, request.TaskGuid)).To(HaveLen(1))
			_, tag, _ := strings.Cut(found[0].Spec.Template.Spec.Containers[0].Image, ":"+from.Hash)
			Expect(tag).To(Equal("-" + found[0].Name))
			Eventually(func() []string { return listed(ctx) }).ShouldNot(ContainElement(request.TaskGuid))

			By("running another one with an image that is there")
			again := newTask(from)
			Expect(desire(ctx, again)).To(BeNil())
			Expect(jobs(ctx, again.TaskGuid)).To(HaveEach(HaveField("Spec.Suspend", Not(HaveValue(BeTrue())))))
			Eventually(ended(again.TaskGuid)).WithTimeout(within).Should(Equal(standin.Task{GUID: again.TaskGuid, Ended: true}))
		}, patience)

		It("fails with the reason if its image can't be made, and can be canceled until then", func(ctx context.Context) {
			from := place.newDroplet()
			place.Droplets.Fail(from.GUID, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			canceled := newTask(from)
			Expect(desire(ctx, canceled)).To(BeNil())
			cancel(ctx, canceled.TaskGuid)
			Eventually(ended(canceled.TaskGuid)).WithTimeout(within).Should(Equal(standin.Task{
				GUID: canceled.TaskGuid, Ended: true, Failed: true, FailureReason: "task was cancelled",
			}))

			gone := place.newDroplet()
			place.Droplets.Fail(gone.GUID, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
			failed := newTask(gone)
			Expect(desire(ctx, failed)).To(BeNil())
			Eventually(ended(failed.TaskGuid)).WithTimeout(within).Should(Equal(standin.Task{
				GUID: failed.TaskGuid, Ended: true, Failed: true,
				FailureReason: "The task could not be started: this platform does not have the app's droplet any more; stage the app again",
			}))
			Expect(place.Pods(ctx, failed.TaskGuid)).To(BeEmpty())
		}, patience)

		It("and a build are one, however often and to whichever replica one request is sent", func(ctx context.Context) {
			other := place.Start(ctx)
			staged, build := place.stagingRequest("bbs-20-desire-task-staging-buildpack.pb", standin.Build{})
			for _, request := range []*models.DesireTaskRequest{newTask(place.newDroplet()), staged} {
				id := cloudcontroller.NewGUID()
				body, err := proto.Marshal(request)
				Expect(err).NotTo(HaveOccurred())
				var sent sync.WaitGroup
				answers, errs := make([]*models.Error, 6), make([]error, 6)
				for i, replica := range []*ireneprocess.Process{place.irene, other, place.irene, other, place.irene, other} {
					sent.Go(func() { answers[i], errs[i] = desireTask(ctx, replica.BBSURL, id, body) })
				}
				sent.Wait()
				Expect(errs).To(HaveEach(BeNil()))
				Expect(answers).To(HaveEach(BeNil()))
				Expect(jobs(ctx, request.TaskGuid)).To(HaveLen(1))
				for _, replica := range []*ireneprocess.Process{place.irene, other} {
					answer, err := desireTask(ctx, replica.BBSURL, cloudcontroller.NewGUID(), body)
					Expect(err).NotTo(HaveOccurred())
					Expect(answer.Type).To(Equal(models.Error_ResourceExists))
				}
			}
			cancel(ctx, build.GUID)
			Eventually(build.received).ShouldNot(BeEmpty())
		}, patience)
	})

	Describe("Staging", func() {
		for name, file := range map[string]string{
			"layers":  "bbs-20-desire-task-staging-buildpack.pb",
			"actions": "bbs-21-desire-task-staging-buildpack-plain.pb",
		} {
			It("with buildpacks ends in Cloud Controller's form ("+name+")", func(ctx context.Context) {
				request, b := place.stagingRequest(file, standin.Build{})
				Expect(desire(ctx, request)).To(BeNil())
				pod := place.placed(ctx, b.build)
				expectKept(ctx, place.Namespace, request)
				Expect(pod.Annotations).To(HaveKey(keys.MetricTags))
				Expect(pod.Spec.ActiveDeadlineSeconds).To(HaveValue(BeEquivalentTo(900)))
				Expect(listed(ctx)).NotTo(ContainElement(b.GUID), "builds are in no sync")
				b.succeeds(ctx)
				Expect(b.ended(ctx).State).To(Equal(standin.Staged))
				Expect(b.received()).To(HaveLen(1))
				Expect(string(b.received()[0].Body)).To(MatchJSON(`{"result":{"lifecycle_type":"buildpack","lifecycle_metadata":{"detected_buildpack":"","buildpacks":[]},
					"process_types":{"web":"./server"},"execution_metadata":""}}`))
			}, patience)
		}

		It("of a docker image reads the image without a pod", func(ctx context.Context) {
			request, b := place.stagingRequest("bbs-22-desire-task-staging-docker.pb", standin.Build{Image: "127.0.0.1:1/team/web:1.2"})
			run := request.TaskDefinition.Action.TimeoutAction.Action.EmitProgressAction.Action.RunAction
			for i, argument := range run.Args {
				if strings.HasPrefix(argument, "-dockerRef=") {
					run.Args[i] = "-dockerRef=127.0.0.1:1/team/web:1.2"
				}
			}
			Expect(desire(ctx, request)).To(BeNil())
			Expect(jobs(ctx, b.GUID)).To(ConsistOf(HaveField("Annotations", HaveKeyWithValue(keys.DockerImage, "127.0.0.1:1/team/web:1.2"))))
			ended := b.ended(ctx)
			Expect(ended.State).To(Equal(standin.Failed))
			Expect(ended.ErrorMessage).To(ContainSubstring("The image can't be used"))
			Expect(place.Pods(ctx, b.GUID)).To(BeEmpty())
		}, patience)

		It("refuses Cloud Native Buildpacks in words for users", func(ctx context.Context) {
			request, b := place.stagingRequest("bbs-23-desire-task-staging-cnb.pb", standin.Build{})
			answer := desire(ctx, request)
			Expect(answer).NotTo(BeNil())
			Expect(answer.Type).To(Equal(models.Error_InvalidRequest))
			Expect(answer.Message).To(Equal("lifecycle: Cloud Native Buildpacks (cnb) are not supported on this platform; push the app with the lifecycle buildpack or docker"))
			Expect(jobs(ctx, b.GUID)).To(BeEmpty())
		}, patience)

		It("is canceled by its guid, and ends with its own timeout", func(ctx context.Context) {
			request, canceled := place.stagingRequest("bbs-20-desire-task-staging-buildpack.pb", standin.Build{})
			Expect(desire(ctx, request)).To(BeNil())
			cancel(ctx, canceled.GUID)
			Expect(canceled.ended(ctx).ErrorMessage).To(ContainSubstring("Staging was canceled"))

			request, late := place.stagingRequest("bbs-20-desire-task-staging-buildpack.pb", standin.Build{})
			Expect(desire(ctx, request)).To(BeNil())
			place.placed(ctx, late.build)
			late.report(ctx, func(s *corev1.PodStatus) {
				s.Phase, s.Reason, s.Message = corev1.PodFailed, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"
			})
			ended := late.ended(ctx)
			Expect(ended.ErrorID).To(Equal("StagingTimeExpired"))
			Expect(ended.ErrorMessage).To(ContainSubstring("exceeded 15m0s timeout"))
		}, patience)
	})
})

// stagingRequest makes one of Cloud Controller's own requests that of a build which the stand-in
// waits for.
func (r *reporting) stagingRequest(file string, wanted standin.Build) (*models.DesireTaskRequest, *reported) {
	GinkgoHelper()
	b := r.newBuild(wanted)
	request := exampleTask(file)
	request.TaskGuid = b.GUID
	wire := request.TaskDefinition
	wire.RootFs, wire.MemoryMb, wire.PlacementTags = "preloaded:"+imageworks.StackName, controlplane.HugeMemoryMiB, nil
	wire.CompletionCallbackUrl = b.build["completion_callback"].(string)
	return request, b
}
