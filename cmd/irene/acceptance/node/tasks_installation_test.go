//go:build node

package node_test

import (
	"context"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
)

// taskInstallation runs tasks for a Cloud Controller that can be watched.
type taskInstallation struct {
	*installation
	cloudController *standin.Server
}

// newTaskInstallation has settings laid over "tasks".
func newTaskInstallation(ctx context.Context, namespace string, tasks map[string]any) *taskInstallation {
	GinkgoHelper()
	cloudController, err := standin.Start(standin.Options{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(cloudController.Close)
	return &taskInstallation{
		installation:    newInstallation(ctx, namespace, nil, map[string]any{"tasks": tasks}),
		cloudController: cloudController,
	}
}

// taskRequest is a request for a task, as Cloud Controller sends it.
type taskRequest map[string]any

func newTaskRequest(lifecycle map[string]any) taskRequest {
	return taskRequest{
		"name": "a task", "app_guid": cloudcontroller.NewGUID(), "app_name": "app", "space_guid": "space", "space_name": "space",
		"org_guid": "org", "org_name": "org", "lifecycle": lifecycle,
		"environment": []any{map[string]any{"name": "MEMORY_LIMIT", "value": "64m"}},
	}
}

// buildpackTask runs in the pushed droplet.
func buildpackTask(command string) taskRequest {
	return newTaskRequest(map[string]any{"buildpack_lifecycle": map[string]any{
		"droplet_guid": images.droplet, "droplet_hash": dropletHash, "start_command": command,
	}})
}

func dockerTask(image string, command ...string) taskRequest {
	return newTaskRequest(map[string]any{"docker_lifecycle": map[string]any{"image": image, "command": command}})
}

// variable adds one; the last one of a name counts.
func (r taskRequest) variable(name, value string) taskRequest {
	r["environment"] = append(r["environment"].([]any), map[string]any{"name": name, "value": value})
	return r
}

// startedTask is a task that Cloud Controller waits for.
type startedTask struct {
	guid    string
	request taskRequest
	home    *taskInstallation
	asked   time.Time
}

// prepare makes Cloud Controller wait for it.
func (i *taskInstallation) prepare(request taskRequest) *startedTask {
	t := &startedTask{guid: cloudcontroller.NewGUID(), request: request, home: i}
	request["completion_callback"] = i.cloudController.AddTask(t.guid)
	return t
}

// begin asks for a task and wants it accepted.
func (i *taskInstallation) begin(ctx context.Context, request taskRequest) *startedTask {
	GinkgoHelper()
	t := i.prepare(request)
	t.asked = time.Now()
	answer, err := i.Call(ctx, http.MethodPost, "/tasks/"+t.guid, request)
	Expect(err).NotTo(HaveOccurred())
	Expect(answer.Status).To(Equal(http.StatusAccepted), "%s", answer.Body)
	return t
}

// ended waits until Cloud Controller knows of the end.
func (t *startedTask) ended(ctx context.Context) standin.Task {
	GinkgoHelper()
	var ended standin.Task
	Eventually(func() bool {
		ended, _ = t.home.cloudController.Task(t.guid)
		return ended.Ended
	}).WithContext(ctx).WithTimeout(2 * time.Minute).Should(BeTrue())
	return ended
}

func (t *startedTask) received() []standin.Request {
	return t.home.cloudController.Received(standin.TaskCompleted, t.guid)
}

// told is when Cloud Controller heard of the end.
func (t *startedTask) told() time.Time { return t.received()[0].At }

func (t *startedTask) toldOnce() {
	GinkgoHelper()
	Expect(t.received()).To(HaveLen(1))
}

func (t *startedTask) pods(ctx context.Context) []corev1.Pod {
	GinkgoHelper()
	list, err := node.client.CoreV1().Pods(t.home.namespace).List(ctx, metav1.ListOptions{LabelSelector: "cloudfoundry.org/guid=" + t.guid})
	Expect(err).NotTo(HaveOccurred())
	return list.Items
}

// pod is the task's only one.
func (t *startedTask) pod(ctx context.Context) corev1.Pod {
	GinkgoHelper()
	pods := t.pods(ctx)
	Expect(pods).To(HaveLen(1))
	return pods[0]
}

// runningPods are those that kubelet hasn't said to have ended.
func (t *startedTask) runningPods(ctx context.Context) int {
	running := 0
	for _, pod := range t.pods(ctx) {
		if pod.Status.Phase == corev1.PodPending || pod.Status.Phase == corev1.PodRunning {
			running++
		}
	}
	return running
}

// log is what the task has written so far.
func (t *startedTask) log(ctx context.Context) string {
	GinkgoHelper()
	content, err := node.client.CoreV1().Pods(t.home.namespace).GetLogs(t.pod(ctx).Name, &corev1.PodLogOptions{}).DoRaw(ctx)
	Expect(err).NotTo(HaveOccurred())
	return string(content)
}

// says waits until the task has written text.
func (t *startedTask) says(ctx context.Context, text string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		pods := t.pods(ctx)
		g.Expect(pods).To(HaveLen(1))
		content, err := node.client.CoreV1().Pods(t.home.namespace).GetLogs(pods[0].Name, &corev1.PodLogOptions{}).DoRaw(ctx)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(content)).To(ContainSubstring(text))
	}).WithContext(ctx).Should(Succeed())
}
