//go:build controlplane

package controlplane_test

import (
	"context"

	"code.cloudfoundry.org/bbs/models"
	"github.com/gogo/protobuf/proto"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
)

// expectKept expects what Irene does not act on of a task or build to be on its Job.
func expectKept(ctx context.Context, namespace string, request *models.DesireTaskRequest) {
	GinkgoHelper()
	wire := request.TaskDefinition
	list, err := api.BatchV1().Jobs(namespace).List(ctx, controlplane.SelectGUID(request.TaskGuid))
	Expect(err).NotTo(HaveOccurred())
	Expect(list.Items).To(HaveLen(1))
	job := list.Items[0]
	Expect(job.Annotations).To(HaveKey(keys.WorkRecord))
	record, err := render.DecodeWorkRecord(job.Annotations, nil)
	Expect(err).NotTo(HaveOccurred())
	Expect(record.Limits.PIDs).To(BeEquivalentTo(wire.MaxPids))
	Expect(record.Limits.LogBytesPerSecond).To(HaveValue(Equal(wire.LogRateLimit.BytesPerSecond)))
	Expect(record.EgressRules).To(HaveLen(len(wire.EgressRules)))
	Expect(record.OrganizationalUnits).To(Equal(wire.CertificateProperties.OrganizationalUnit))
	Expect(record.MetricTags).To(HaveLen(len(wire.MetricTags)))
	Expect(job.Spec.Template.Annotations).To(HaveKeyWithValue(keys.MetricTags, job.Annotations[keys.MetricTags]))
}

var _ = Describe("A task of the BBS door", func() {
	It("runs once, is listed until its end was answered, and can be canceled", func(ctx context.Context) {
		place := newTaskingBehind(ctx, direct(), map[string]any{
			"bbs": bbsDoor(),
		})
		cc := diego{place.irene.BBSURL}
		content, err := fixtures.BBS.ReadFile("bbs/bbs-32-desire-task-run-docker.pb")
		Expect(err).NotTo(HaveOccurred())
		newTask := func() (*task, *models.DesireTaskRequest) {
			GinkgoHelper()
			t := place.newTask(dockerTask)
			request := &models.DesireTaskRequest{}
			Expect(proto.Unmarshal(content, request)).To(Succeed())
			request.TaskGuid = t.guid
			request.TaskDefinition.CompletionCallbackUrl = t.request["completion_callback"].(string)
			request.TaskDefinition.RootFs = "docker://127.0.0.1:1/org/image"
			request.TaskDefinition.MemoryMb = controlplane.HugeMemoryMiB
			request.TaskDefinition.VolumeMounts = nil
			// A user's name would have to be looked up in the image.
			request.TaskDefinition.Action.RunAction.User = "1000"
			return t, request
		}
		desire := func(request *models.DesireTaskRequest) *models.Error {
			GinkgoHelper()
			var answer models.TaskLifecycleResponse
			cc.call(ctx, "/v1/tasks/desire.r2", request, &answer)
			return answer.Error
		}
		listed := func() []string {
			GinkgoHelper()
			var answer models.TasksResponse
			cc.call(ctx, "/v1/tasks/list.r2", &models.TasksRequest{Domain: "cf-tasks"}, &answer)
			Expect(answer.Error).To(BeNil())
			guids := []string{}
			for _, t := range answer.Tasks {
				guids = append(guids, t.TaskGuid)
			}
			return guids
		}

		t, request := newTask()
		Expect(desire(request)).To(BeNil())
		Expect(listed()).To(ConsistOf(t.guid))
		expectKept(ctx, place.Namespace, request)
		var shown models.TaskResponse
		cc.call(ctx, "/v1/tasks/get_by_task_guid.r2", &models.TaskByGuidRequest{TaskGuid: t.guid}, &shown)
		Expect(shown.Task.TaskDefinition.MaxPids).To(Equal(request.TaskDefinition.MaxPids))
		Expect(shown.Task.TaskDefinition.LogRateLimit).To(Equal(request.TaskDefinition.LogRateLimit))
		Expect(shown.Task.TaskDefinition.MetricTags).To(Equal(request.TaskDefinition.MetricTags))
		Expect(desire(request).Type).To(Equal(models.Error_ResourceExists), "it is another request")
		t.placed(ctx)
		t.exits(ctx, 3, "Error")
		Eventually(t.received).Should(HaveLen(1))
		Expect(string(t.received()[0].Body)).To(MatchJSON(`{"task_guid":"` + t.guid + `","failed":true,"failure_reason":"Exited with status 3"}`))
		Eventually(listed).Should(BeEmpty())

		canceled, request := newTask()
		Expect(desire(request)).To(BeNil())
		var answer models.TaskLifecycleResponse
		cc.call(ctx, "/v1/tasks/cancel", &models.TaskGuidRequest{TaskGuid: canceled.guid}, &answer)
		Expect(answer.Error).To(BeNil())
		Eventually(canceled.received).Should(HaveLen(1))
		Expect(string(canceled.received()[0].Body)).To(ContainSubstring("task was cancelled"))
		answer = models.TaskLifecycleResponse{}
		cc.call(ctx, "/v1/tasks/cancel", &models.TaskGuidRequest{TaskGuid: "unknown"}, &answer)
		Expect(answer.Error.Type).To(Equal(models.Error_ResourceNotFound))
	}, patience)
})
