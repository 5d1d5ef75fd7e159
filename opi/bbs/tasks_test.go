package bbs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"code.cloudfoundry.org/bbs/models"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/bbs"
)

const (
	desireTaskPath = "/v1/tasks/desire.r2"
	taskGUID       = "a7000000-0000-4000-8000-000000000020"
)

func (d *door) sendAs(requestID, path string, body []byte) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	request.Header.Set("X-Vcap-Request-Id", requestID)
	answer := httptest.NewRecorder()
	d.ServeHTTP(answer, request)
	return answer
}

func taskRequest(g Gomega, name string) *models.DesireTaskRequest {
	var request models.DesireTaskRequest
	g.ExpectWithOffset(1, request.Unmarshal(example(g, name))).To(Succeed())
	return &request
}

func TestTasksAsInTheExamples(t *testing.T) {
	for _, name := range []string{"30-desire-task-run-buildpack", "31-desire-task-run-buildpack-plain", "32-desire-task-run-docker"} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			d := newDoor(newPlatform())
			g.Expect(d.send(desireTaskPath, example(g, name)).Body.Bytes()).To(Equal(example(g, "48-lifecycle-response-ok")))
			g.Expect(d.work.builds).To(BeEmpty())
			g.Expect(d.work.tasks).To(HaveLen(1))
			task := d.work.tasks[0]
			g.Expect(task.GUID).To(Equal(taskGUID))
			g.Expect(task.Domain).To(Equal("cf-tasks"))
			g.Expect(task.Door).To(Equal(opi.DoorBBS))
			g.Expect(task.Request).To(MatchRegexp("^[0-9a-f]{64}$"))
		})
	}
}

func TestStagingAsInTheExamples(t *testing.T) {
	for _, name := range []string{"20-desire-task-staging-buildpack", "21-desire-task-staging-buildpack-plain", "22-desire-task-staging-docker"} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			d := newDoor(newPlatform())
			g.Expect(d.send(desireTaskPath, example(g, name)).Body.Bytes()).To(Equal(example(g, "48-lifecycle-response-ok")))
			g.Expect(d.work.tasks).To(BeEmpty())
			g.Expect(d.work.builds).To(HaveLen(1))
			build := d.work.builds[0]
			g.Expect(build.GUID).To(Equal(taskRequest(g, name).TaskGuid))
			g.Expect(build.Door).To(Equal(opi.DoorBBS))
			g.Expect(build.Request).To(MatchRegexp("^[0-9a-f]{64}$"))
		})
	}
}

func TestTasksThatAreRefused(t *testing.T) {
	change := func(name string, change func(*models.DesireTaskRequest)) func(Gomega) *models.DesireTaskRequest {
		return func(g Gomega) *models.DesireTaskRequest {
			request := taskRequest(g, name)
			change(request)
			return request
		}
	}
	const task, staging = "31-desire-task-run-buildpack-plain", "21-desire-task-staging-buildpack-plain"
	for name, each := range map[string]struct {
		request func(Gomega) *models.DesireTaskRequest
		text    string
	}{
		"cnb task":     {change("33-desire-task-run-cnb", func(*models.DesireTaskRequest) {}), "Cloud Native Buildpacks"},
		"cnb staging":  {change("23-desire-task-staging-cnb", func(*models.DesireTaskRequest) {}), "Cloud Native Buildpacks"},
		"privileged":   {change(task, func(r *models.DesireTaskRequest) { r.TaskDefinition.Privileged = true }), "privileged"},
		"memory":       {change(task, func(r *models.DesireTaskRequest) { r.TaskDefinition.MemoryMb = 0 }), "memory_mb: "},
		"long guid":    {change(task, func(r *models.DesireTaskRequest) { r.TaskGuid = strings.Repeat("a", 200) }), "task_guid: "},
		"staging guid": {change(staging, func(r *models.DesireTaskRequest) { r.TaskGuid = strings.Repeat("a", 200) }), "task_guid: "},
		"callback":     {change(task, func(r *models.DesireTaskRequest) { r.TaskDefinition.CompletionCallbackUrl = "ftp://a" }), "completion_callback_url: "},
		"no builder": {change(staging, func(r *models.DesireTaskRequest) {
			r.Domain = "cf-app-staging"
			r.TaskDefinition.Action = models.WrapAction(&models.RunAction{Path: "/bin/x", User: "vcap"})
		}), "builder"},
		"Diego's rules":  {change(task, func(r *models.DesireTaskRequest) { r.TaskGuid = "a b" }), "Invalid field: task_guid"},
		"domain's rules": {change(task, func(r *models.DesireTaskRequest) { r.Domain = "no domain" }), "domain: "},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			d := newDoor(newPlatform())
			fault := errorOf(g, d.sendMessage(g, desireTaskPath, each.request(g)))
			g.Expect(fault.GetType()).To(Equal(models.Error_InvalidRequest))
			g.Expect(fault.GetMessage()).To(ContainSubstring(each.text))
			g.Expect(fault.GetMessage()).NotTo(ContainSubstring("process_guid"))
			g.Expect(d.work.requests).To(BeEmpty())
		})
	}
}

// Cloud Controller takes ResourceExists for the end of a task that it sent twice.
func TestRepeatsOfTasksAndBuilds(t *testing.T) {
	for _, name := range []string{"30-desire-task-run-buildpack", "20-desire-task-staging-buildpack"} {
		g := NewWithT(t)
		other := taskRequest(g, name)
		other.TaskDefinition.MemoryMb++
		otherBody, err := other.Marshal()
		g.Expect(err).NotTo(HaveOccurred())
		body := example(g, name)
		for _, each := range []struct {
			name, firstID, nextID string
			nextBody              []byte
			exists                bool
		}{
			{"the same request", "one", "one", body, false},
			{"another request id", "one", "two", body, true},
			{"another body", "one", "one", otherBody, true},
			{"no request id", "", "", body, true},
			{"an id after none", "", "one", body, true},
		} {
			t.Run(name+" "+each.name, func(t *testing.T) {
				g := NewWithT(t)
				d := newDoor(newPlatform())
				g.Expect(d.sendAs(each.firstID, desireTaskPath, body).Body.Len()).To(BeZero())
				next := d.sendAs(each.nextID, desireTaskPath, each.nextBody)
				if each.exists {
					g.Expect(next.Body.Bytes()).To(Equal(example(g, "45-error-exists")))
				} else {
					g.Expect(next.Body.Bytes()).To(Equal(example(g, "48-lifecycle-response-ok")))
				}
			})
		}
	}
}

func TestATwinInFlightIsJoinedWithoutARequestID(t *testing.T) {
	g := NewWithT(t)
	d := newDoor(newPlatform())
	begun, release := make(chan struct{}, 2), make(chan struct{})
	d.work.hold = func(context.Context) error {
		begun <- struct{}{}
		<-release
		return nil
	}
	body := example(g, "30-desire-task-run-buildpack")
	first := d.sendLater(t.Context(), desireTaskPath, "", body)
	g.Eventually(begun).Should(Receive())
	second := d.sendLater(t.Context(), desireTaskPath, "", body)
	g.Consistently(begun, 50*time.Millisecond).ShouldNot(Receive())
	close(release)
	for _, answers := range []<-chan *httptest.ResponseRecorder{first, second} {
		var answer *httptest.ResponseRecorder
		g.Eventually(answers).Should(Receive(&answer))
		g.Expect(answer.Code).To(Equal(http.StatusOK))
		g.Expect(answer.Body.Len()).To(BeZero())
	}
	g.Expect(d.work.tasks).To(HaveLen(1))
}

func TestErrorsOfTheBackEndForTasks(t *testing.T) {
	g := NewWithT(t)
	d := newDoor(newPlatform())
	for _, name := range []string{"30-desire-task-run-buildpack", "20-desire-task-staging-buildpack"} {
		d.work.err = fmt.Errorf("assemble: %w", opi.ErrUnavailable)
		g.Expect(d.send(desireTaskPath, example(g, name)).Code).To(Equal(http.StatusServiceUnavailable))
		d.work.err = opi.WithMessage(fmt.Errorf("render: %w", opi.ErrRefused), "there is no stack %q", "windows")
		g.Expect(errorOf(g, d.send(desireTaskPath, example(g, name)))).To(Equal(models.NewError(models.Error_InvalidRequest, `there is no stack "windows"`)))
		d.work.err = errors.New("dial 10.0.0.1")
		fault := errorOf(g, d.send(desireTaskPath, example(g, name)))
		g.Expect(fault.GetType()).To(Equal(models.Error_UnknownError))
		g.Expect(fault.GetMessage()).NotTo(ContainSubstring("10.0.0.1"))
	}
}

// migrate is the task of the examples, as the platform has it.
func migrate() opi.PresentTask {
	return opi.PresentTask{
		GUID: taskGUID, Door: opi.DoorBBS, Domain: "cf-tasks", AppGUID: appGUID, Stack: "cflinuxfs4",
		Created: time.Unix(0, 1796000000123456789), Cell: "node-1",
	}
}

func TestListOfTasksAsInTheExample(t *testing.T) {
	g := NewWithT(t)
	d := newDoor(newPlatform())
	other, foreign := migrate(), migrate()
	other.GUID, other.Domain, other.Cell, other.Stack, other.Image, other.Annotation = "other", "vizzini", "", "", "org/app:1", "note"
	foreign.GUID, foreign.Door = "foreign", opi.DoorOPI
	d.work.present = []opi.PresentTask{migrate(), other, foreign}

	var wanted, got models.TasksResponse
	g.Expect(wanted.Unmarshal(example(g, "49-tasks-response"))).To(Succeed())
	// The callback is secret.
	wanted.Tasks[0].CompletionCallbackUrl, wanted.Tasks[0].LogGuid = "", appGUID
	wanted.Tasks[0].UpdatedAt = wanted.Tasks[0].CreatedAt
	for _, revision := range []string{".r2", ".r3"} {
		got = models.TasksResponse{}
		decode(g, d.send("/v1/tasks/list"+revision, example(g, "35-list-tasks")), &got)
		expectSame(g, got, wanted)
	}

	guids := func(request *models.TasksRequest) []string {
		var got models.TasksResponse
		d.post(g, "/v1/tasks/list.r2", request, &got)
		guids := []string{}
		for _, task := range got.Tasks {
			guids = append(guids, task.TaskGuid)
		}
		return guids
	}
	g.Expect(guids(&models.TasksRequest{})).To(Equal([]string{taskGUID, "other"}))
	g.Expect(guids(&models.TasksRequest{CellId: "node-1"})).To(Equal([]string{taskGUID}))
	g.Expect(guids(&models.TasksRequest{Domain: "none"})).To(BeEmpty())

	var one models.TaskResponse
	d.post(g, "/v1/tasks/get_by_task_guid.r3", &models.TaskByGuidRequest{TaskGuid: "other"}, &one)
	g.Expect(one.Task.State).To(Equal(models.Task_Pending))
	g.Expect(one.Task.RootFs).To(Equal("docker:///org/app#1"))
	g.Expect(one.Task.Annotation).To(Equal("note"))
}

func TestWhatIsKeptOfATaskIsAnswered(t *testing.T) {
	g := NewWithT(t)
	d := newDoor(newPlatform())
	task := migrate()
	task.MetricTags = map[string]opi.MetricTag{"app_name": {Text: "dora"}, "instance_id": {Dynamic: opi.TagIndex}}
	task.Limits = opi.Limits{PIDs: 1024, LogBytesPerSecond: new(int64(0))}
	d.work.present = []opi.PresentTask{task}
	check := func(wire *models.TaskDefinition) {
		t.Helper()
		g.Expect(wire.MaxPids).To(BeEquivalentTo(1024))
		g.Expect(wire.LogRateLimit).To(Equal(&models.LogRateLimit{BytesPerSecond: 0}), "0 is a limit")
		g.Expect(wire.MetricTags).To(Equal(map[string]*models.MetricTagValue{
			"app_name": {Static: "dora"}, "instance_id": {Dynamic: models.MetricTagDynamicValueIndex},
		}))
	}
	var one models.TaskResponse
	d.post(g, "/v1/tasks/get_by_task_guid.r3", &models.TaskByGuidRequest{TaskGuid: taskGUID}, &one)
	check(one.Task.TaskDefinition)
	var all models.TasksResponse
	d.post(g, "/v1/tasks/list.r3", &models.TasksRequest{}, &all)
	check(all.Tasks[0].TaskDefinition)
}

func TestGetTaskAsInTheExamples(t *testing.T) {
	g := NewWithT(t)
	d := newDoor(newPlatform())
	g.Expect(d.send("/v1/tasks/get_by_task_guid.r2", example(g, "36-get-task")).Body.Bytes()).To(Equal(example(g, "50-task-error-not-found")))

	foreign := migrate()
	foreign.Door = opi.DoorOPI
	d.work.present = []opi.PresentTask{foreign}
	g.Expect(d.send("/v1/tasks/get_by_task_guid.r2", example(g, "36-get-task")).Body.Bytes()).To(Equal(example(g, "50-task-error-not-found")))

	d.work.present = []opi.PresentTask{migrate()}
	var got models.TaskResponse
	decode(g, d.send("/v1/tasks/get_by_task_guid.r2", example(g, "36-get-task")), &got)
	g.Expect(got.Error).To(BeNil())
	g.Expect(got.Task.TaskGuid).To(Equal(taskGUID))
	g.Expect(got.Task.State).To(Equal(models.Task_Running))
}

func TestCancelAsInTheExample(t *testing.T) {
	g := NewWithT(t)
	d := newDoor(newPlatform())
	cancel := example(g, "34-cancel-task")
	g.Expect(errorOf(g, d.send("/v1/tasks/cancel", cancel))).To(Equal(models.ErrResourceNotFound))

	d.work.present = []opi.PresentTask{migrate()}
	g.Expect(d.send("/v1/tasks/cancel", cancel).Body.Bytes()).To(Equal(example(g, "48-lifecycle-response-ok")))
	d.work.requests["some-build"] = ""
	g.Expect(d.sendMessage(g, "/v1/tasks/cancel", &models.TaskGuidRequest{TaskGuid: "some-build"}).Body.Len()).To(BeZero())
	g.Expect(d.work.canceled).To(Equal([]string{"task " + taskGUID, "build some-build"}))
}

// The sync fails a task that is neither listed nor found, and cancels one that is not in its database.
func TestTasksOfTheOPIDoor(t *testing.T) {
	g := NewWithT(t)
	adopted := migrate()
	adopted.Door, adopted.Domain, adopted.Stack = opi.DoorOPI, "", ""
	other := migrate()
	other.GUID, other.Door = "other", "other"
	cancel := &models.TaskGuidRequest{TaskGuid: taskGUID}

	d := newDoor(newPlatform())
	d.work.present = []opi.PresentTask{adopted, other}
	d.work.requests["some-build"], d.work.buildDoor = "", opi.DoorOPI
	for _, guid := range []string{taskGUID, "some-build"} {
		g.Expect(errorOf(g, d.sendMessage(g, "/v1/tasks/cancel", &models.TaskGuidRequest{TaskGuid: guid}))).To(Equal(models.ErrResourceNotFound))
	}
	g.Expect(d.work.canceled).To(BeEmpty())

	before := d.work
	d = newDoor(newPlatform(), func(o *bbs.Options) { o.AdoptOPI, o.Tasks, o.Builds = true, before, builds{before} })
	var list models.TasksResponse
	d.post(g, "/v1/tasks/list.r2", &models.TasksRequest{Domain: "cf-tasks"}, &list)
	g.Expect(list.Tasks).To(HaveLen(1))
	g.Expect(list.Tasks[0].TaskGuid).To(Equal(taskGUID))
	var one models.TaskResponse
	d.post(g, "/v1/tasks/get_by_task_guid.r2", &models.TaskByGuidRequest{TaskGuid: taskGUID}, &one)
	g.Expect(one.Task.Domain).To(Equal("cf-tasks"))
	g.Expect(errorOf(g, d.sendMessage(g, "/v1/tasks/get_by_task_guid.r2", &models.TaskByGuidRequest{TaskGuid: "other"}))).To(Equal(models.ErrResourceNotFound))

	g.Expect(d.sendMessage(g, "/v1/tasks/cancel", cancel).Body.Len()).To(BeZero())
	g.Expect(d.sendMessage(g, "/v1/tasks/cancel", &models.TaskGuidRequest{TaskGuid: "some-build"}).Body.Len()).To(BeZero())
	g.Expect(errorOf(g, d.sendMessage(g, "/v1/tasks/cancel", &models.TaskGuidRequest{TaskGuid: "other"}))).To(Equal(models.ErrResourceNotFound))
	g.Expect(before.canceled).To(Equal([]string{"task " + taskGUID, "build some-build"}))
}

func FuzzDesireTask(f *testing.F) {
	fuzz(f, desireTaskPath,
		"20-desire-task-staging-buildpack", "21-desire-task-staging-buildpack-plain", "22-desire-task-staging-docker", "23-desire-task-staging-cnb",
		"30-desire-task-run-buildpack", "31-desire-task-run-buildpack-plain", "32-desire-task-run-docker", "33-desire-task-run-cnb")
}

func FuzzCancelTask(f *testing.F) { fuzz(f, "/v1/tasks/cancel", "34-cancel-task") }

func FuzzListTasks(f *testing.F) { fuzz(f, "/v1/tasks/list.r2", "35-list-tasks") }

func FuzzGetTask(f *testing.F) { fuzz(f, "/v1/tasks/get_by_task_guid.r2", "36-get-task") }
