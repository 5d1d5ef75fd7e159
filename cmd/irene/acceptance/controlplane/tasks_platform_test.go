//go:build controlplane

package controlplane_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/fixtures"
	"github.com/irene-cf/irene/fixtures/cloudcontroller"
	"github.com/irene-cf/irene/fixtures/cloudcontroller/standin"
	"github.com/irene-cf/irene/fixtures/controlplane"
	"github.com/irene-cf/irene/fixtures/ireneprocess"
)

const (
	outcomeAnswer = "irene.cloudfoundry.org/outcome-answer"
	buildpackTask = "16-task-buildpack-r2.json"
	dockerTask    = "17-task-docker-r2.json"
	// longest is how long something may take while irene is killed again and again.
	longest = 90 * time.Second
)

// tasking is a platform that runs tasks for a Cloud Controller that can be watched. What
// becomes of a task's pod the spec says, unless the task is small enough for the nodes
// whose pods end by themselves.
type tasking struct {
	*controlplane.Platform
	cc    *standin.Server
	node  *controlplane.SilentNode
	irene *ireneprocess.Process
	// away is held while irene is killed and started anew.
	away sync.Mutex
}

func newTasking(ctx context.Context) *tasking {
	GinkgoHelper()
	return newTaskingBehind(ctx, direct(), nil)
}

func newTaskingBehind(ctx context.Context, kubeconfig string, settings map[string]any) *tasking {
	GinkgoHelper()
	cc, err := standin.Start(standin.Options{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(cc.Close)
	all := map[string]any{
		"leader_election": map[string]any{"enabled": false},
		"apps":            map[string]any{"placement": map[string]any{"shared": "any"}, "orphan_min_age": "1s", "image_user_lookup_timeout": "1s"},
		"tasks":           map[string]any{"pull_patience": "1s", "scheduling_patience": "4s"},
	}
	maps.Copy(all, settings)
	p := &tasking{Platform: newPlatform(ctx, kubeconfig, all), cc: cc, node: controlplane.NewHugeNode(ctx, api)}
	DeferCleanup(p.ClearJobs)
	p.irene = p.Start(ctx)
	return p
}

// restart kills irene, when it happens to be, and starts another one.
func (p *tasking) restart(ctx context.Context) (killed time.Time) {
	GinkgoHelper()
	p.away.Lock()
	defer p.away.Unlock()
	p.irene.Kill()
	killed = time.Now()
	p.irene = p.Start(ctx)
	return killed
}

// insists calls irene until it answers as wanted: it may be killed before it has.
func (p *tasking) insists(ctx context.Context, method, path string, body any, status int) {
	GinkgoHelper()
	Eventually(func() (cloudcontroller.Answer, error) {
		p.away.Lock()
		client := p.irene.Client
		p.away.Unlock()
		return client.Call(ctx, method, path, body)
	}).WithTimeout(longest).Should(controlplane.Answered(status))
}

// task is a task that Cloud Controller waits for.
type task struct {
	guid    string
	request map[string]any
	home    *tasking
}

// newTask takes a recorded request for a task of its own.
func (p *tasking) newTask(fixture string) *task {
	GinkgoHelper()
	content, err := fixtures.Requests.ReadFile("requests/" + fixture)
	Expect(err).NotTo(HaveOccurred())
	t := &task{guid: cloudcontroller.NewGUID(), request: map[string]any{}, home: p}
	Expect(json.Unmarshal(content, &t.request)).To(Succeed())
	t.request["completion_callback"] = p.cc.AddTask(t.guid)
	t.request["app_guid"] = cloudcontroller.NewGUID()
	lifecycle := t.request["lifecycle"].(map[string]any)
	if fixture == dockerTask {
		lifecycle["docker_lifecycle"].(map[string]any)["image"] = "127.0.0.1:1/org/image"
	} else {
		lifecycle["buildpack_lifecycle"].(map[string]any)["droplet_guid"] = cloudcontroller.NewGUID()
	}
	return t.variable("VCAP_APPLICATION", fmt.Sprintf(`{"limits":{"fds":16384,"mem":%d,"disk":64}}`, controlplane.HugeMemoryMiB)).
		variable("MEMORY_LIMIT", fmt.Sprintf("%dm", controlplane.HugeMemoryMiB)).variable("TOKEN", "hidden-hunter2")
}

// small is a task that lands on nodes whose pods end by themselves.
func (p *tasking) small() *task {
	GinkgoHelper()
	return p.newTask(buildpackTask).variable("VCAP_APPLICATION", "{}").variable("MEMORY_LIMIT", "16m")
}

// variable adds one to the environment; the last one of a name counts.
func (t *task) variable(name, value string) *task {
	t.request["environment"] = append(t.request["environment"].([]any), map[string]any{"name": name, "value": value})
	return t
}

func (t *task) path() string { return "/tasks/" + t.guid }

func (t *task) jobName() string { return "task-" + t.guid }

// asked wants the request to be accepted.
func (t *task) asked(ctx context.Context, irene *ireneprocess.Process) {
	GinkgoHelper()
	Expect(irene.Call(ctx, http.MethodPost, t.path(), t.request)).To(controlplane.Answered(http.StatusAccepted))
}

// runs asks for the task and waits until its pod is on the node.
func (p *tasking) runs(ctx context.Context) *task {
	GinkgoHelper()
	t := p.newTask(buildpackTask)
	t.asked(ctx, p.irene)
	t.placed(ctx)
	return t
}

func (t *task) placed(ctx context.Context) corev1.Pod {
	GinkgoHelper()
	var found corev1.Pod
	Eventually(func(g Gomega) {
		pods := t.home.Pods(ctx, t.guid)
		g.Expect(pods).To(HaveLen(1))
		g.Expect(pods[0].Spec.NodeName).To(Equal(t.home.node.Name))
		found = pods[0]
	}).Should(Succeed())
	return found
}

func (t *task) jobs(ctx context.Context) []batchv1.Job {
	GinkgoHelper()
	list, err := api.BatchV1().Jobs(t.home.Namespace).List(ctx, controlplane.SelectGUID(t.guid))
	Expect(err).NotTo(HaveOccurred())
	return list.Items
}

// job is the task's only one.
func (t *task) job(ctx context.Context) batchv1.Job {
	GinkgoHelper()
	jobs := t.jobs(ctx)
	Expect(jobs).To(HaveLen(1))
	Expect(jobs[0].Name).To(Equal(t.jobName()))
	return jobs[0]
}

// report writes the status of the task's pod as a kubelet would.
func (t *task) report(ctx context.Context, change func(*corev1.PodStatus)) {
	GinkgoHelper()
	pods := api.CoreV1().Pods(t.home.Namespace)
	Expect(retry.RetryOnConflict(retry.DefaultRetry, func() error {
		list, err := pods.List(ctx, controlplane.SelectGUID(t.guid))
		if err != nil || len(list.Items) == 0 {
			return err // it was canceled
		}
		change(&list.Items[0].Status)
		_, err = pods.UpdateStatus(ctx, &list.Items[0], metav1.UpdateOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})).To(Succeed())
}

// exits ends the task's container.
func (t *task) exits(ctx context.Context, status int32, reason string) {
	GinkgoHelper()
	t.report(ctx, func(s *corev1.PodStatus) {
		s.Phase = corev1.PodSucceeded
		if status != 0 {
			s.Phase = corev1.PodFailed
		}
		s.ContainerStatuses = []corev1.ContainerStatus{{Name: "opi-task", Image: "image", State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: status, Reason: reason, FinishedAt: metav1.Now()},
		}}}
	})
}

// fails ends the pod as a whole.
func (t *task) fails(ctx context.Context, reason, message string) {
	GinkgoHelper()
	t.report(ctx, func(s *corev1.PodStatus) { s.Phase, s.Reason, s.Message = corev1.PodFailed, reason, message })
}

// waits keeps the container from starting.
func (t *task) waits(ctx context.Context, reason, message string) {
	GinkgoHelper()
	t.report(ctx, func(s *corev1.PodStatus) {
		s.Phase, s.StartTime = corev1.PodPending, ptr.To(metav1.NewTime(time.Now().Add(-time.Minute)))
		s.ContainerStatuses = []corev1.ContainerStatus{{Name: "opi-task", Image: "image", State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message},
		}}}
	})
}

// received are the outcomes that Cloud Controller was told.
func (t *task) received() []standin.Request {
	return t.home.cc.Received(standin.TaskCompleted, t.guid)
}

// ended waits until Cloud Controller knows of the end.
func (t *task) ended() standin.Task {
	GinkgoHelper()
	var ended standin.Task
	Eventually(func() bool {
		ended, _ = t.home.cc.Task(t.guid)
		return ended.Ended
	}).WithTimeout(longest).Should(BeTrue())
	return ended
}

// answered waits until it is written down that Cloud Controller has answered.
func (t *task) answered(ctx context.Context) string {
	GinkgoHelper()
	var mark string
	Eventually(func() string {
		mark = t.job(ctx).Annotations[outcomeAnswer]
		return mark
	}).Should(Not(BeEmpty()))
	return mark
}

// listed are the guids of GET /tasks.
func listed(ctx context.Context, irene *ireneprocess.Process) []string {
	GinkgoHelper()
	answer, err := irene.Call(ctx, http.MethodGet, "/tasks", nil)
	Expect(err).NotTo(HaveOccurred())
	Expect(answer).To(controlplane.Answered(http.StatusOK))
	var tasks []struct{ GUID string }
	Expect(json.Unmarshal(answer.Body, &tasks)).To(Succeed())
	guids := []string{}
	for _, t := range tasks {
		guids = append(guids, t.GUID)
	}
	return guids
}
