package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures"
	"github.com/irene-cf/irene/opi"
)

// tasks records what reaches it and answers what the test sets.
type tasks struct {
	desired  []opi.Task
	canceled []string
	listed   []string
	err      error
}

func (b *tasks) Desire(_ context.Context, task opi.Task) error {
	b.desired = append(b.desired, task)
	return b.err
}

func (b *tasks) Get(context.Context, string) error { return b.err }

func (b *tasks) List(context.Context, opi.Door) ([]string, error) { return b.listed, b.err }

func (b *tasks) Cancel(_ context.Context, guid string) error {
	b.canceled = append(b.canceled, guid)
	return b.err
}

func (b *tasks) call(method, path, body string) *httptest.ResponseRecorder {
	return callHandler(newHandler(&backEnd{}, nil, b, lager.NewLogger("test")), method, path, body)
}

const (
	taskPath      = "/tasks/some-task-guid"
	buildpackTask = "16-task-buildpack-r2.json"
	dockerTask    = "17-task-docker-r2.json"
)

// taskFixture is a recorded request whose placeholders are replaced by what Cloud
// Controller really sends, with some fields replaced; nil removes one.
func taskFixture(t testing.TB, name string, changes map[string]any) string {
	t.Helper()
	all := map[string]any{
		"completion_callback": "https://cc.internal:9023/internal/v4/tasks/some-task-guid/completed",
		"environment": []any{
			variable("FOO", "BAR"), variable("MEMORY_LIMIT", "256m"),
			variable("VCAP_APPLICATION", `{"limits":{"fds":16384,"mem":256,"disk":512}}`), map[string]any{"name": "EMPTY"},
		},
	}
	_, replaced := changes["lifecycle"]
	switch {
	case replaced:
	case name == dockerTask:
		all["lifecycle.docker_lifecycle.image"] = "org/image"
	default:
		all["lifecycle.buildpack_lifecycle.droplet_guid"] = "droplet-guid"
	}
	for key, value := range changes {
		all[key] = value
	}
	return stageFixture(t, name, all)
}

func variable(name, value string) map[string]any { return map[string]any{"name": name, "value": value} }

func TestDesireATaskInADroplet(t *testing.T) {
	g := NewWithT(t)
	b := &tasks{}
	response := b.call(http.MethodPost, taskPath, taskFixture(t, buildpackTask, nil))
	g.Expect(response.Code).To(Equal(http.StatusAccepted), response.Body.String())
	g.Expect(b.desired).To(Equal([]opi.Task{{
		GUID: "some-task-guid", Name: "NAME",
		App:          opi.Owner{GUID: "APP_GUID", Name: "APP_NAME"},
		Space:        opi.Owner{GUID: "SPACE_GUID", Name: "SPACE_NAME"},
		Organization: opi.Owner{GUID: "ORG_GUID", Name: "ORG_NAME"},
		Droplet:      &opi.Droplet{GUID: "droplet-guid", Checksum: opi.Checksum{Algorithm: "sha1", Value: "DROPLET_HASH"}},
		Process:      opi.Process{Command: []string{"COMMAND"}},
		Environment: map[string]string{
			"FOO": "BAR", "MEMORY_LIMIT": "256m", "VCAP_APPLICATION": `{"limits":{"fds":16384,"mem":256,"disk":512}}`, "EMPTY": "",
		},
		Limits:             opi.Limits{MemoryMiB: 256, DiskMiB: 512, CPUWeight: 3},
		CompletionCallback: "https://cc.internal:9023/internal/v4/tasks/some-task-guid/completed",
	}}))
}

func TestDesireATaskInAnImage(t *testing.T) {
	g := NewWithT(t)
	b := &tasks{}
	response := b.call(http.MethodPost, taskPath, taskFixture(t, dockerTask, nil))
	g.Expect(response.Code).To(Equal(http.StatusAccepted), response.Body.String())
	g.Expect(b.desired[0].Droplet).To(BeNil())
	g.Expect(b.desired[0].RootFS.Image).To(Equal(&opi.Image{
		Reference: "org/image", Credentials: &opi.RegistryCredentials{Username: "USERNAME", Password: "PASSWORD"},
	}))
	g.Expect(b.desired[0].Process.Command).To(Equal([]string{"/bin/sh", "-c", "COMMAND"}))

	response = b.call(http.MethodPost, taskPath, taskFixture(t, dockerTask, map[string]any{
		"lifecycle.docker_lifecycle.command": nil, "lifecycle.docker_lifecycle.registry_username": nil, "lifecycle.docker_lifecycle.registry_password": nil,
	}))
	g.Expect(response.Code).To(Equal(http.StatusAccepted), "the image's own command, and no credentials")
	g.Expect(b.desired[1].RootFS.Image.Credentials).To(BeNil())
}

// The request has no limits of its own (contract 3).
func TestTaskLimits(t *testing.T) {
	for name, c := range map[string]struct {
		environment []any
		want        opi.Limits
	}{
		"both":              {[]any{variable("MEMORY_LIMIT", "2048m"), variable("VCAP_APPLICATION", `{"limits":{"mem":1,"disk":100}}`)}, opi.Limits{MemoryMiB: 2048, DiskMiB: 100, CPUWeight: 25}},
		"without memory":    {[]any{variable("VCAP_APPLICATION", `{"limits":{"mem":64,"disk":100}}`)}, opi.Limits{MemoryMiB: 64, DiskMiB: 100, CPUWeight: 1}},
		"without disk":      {[]any{variable("MEMORY_LIMIT", "1024m"), variable("VCAP_APPLICATION", `{}`)}, opi.Limits{MemoryMiB: 1024, CPUWeight: 12}},
		"large":             {[]any{variable("MEMORY_LIMIT", "16384M")}, opi.Limits{MemoryMiB: 16384, CPUWeight: 100}},
		"neither":           {[]any{variable("A", "B")}, opi.Limits{MemoryMiB: 1024, CPUWeight: 12}},
		"no variables":      {nil, opi.Limits{MemoryMiB: 1024, CPUWeight: 12}},
		"the last one wins": {[]any{variable("MEMORY_LIMIT", "1m"), variable("MEMORY_LIMIT", "128m")}, opi.Limits{MemoryMiB: 128, CPUWeight: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			b := &tasks{}
			response := b.call(http.MethodPost, taskPath, taskFixture(t, buildpackTask, map[string]any{"environment": c.environment}))
			g.Expect(response.Code).To(Equal(http.StatusAccepted), response.Body.String())
			g.Expect(b.desired[0].Limits).To(Equal(c.want))
		})
	}
}

func TestTaskRefusals(t *testing.T) {
	environment := func(name, value string) map[string]any {
		return map[string]any{"environment": []any{variable(name, value)}}
	}
	const notMemory = "environment.MEMORY_LIMIT: is not a number of mebibytes followed by m, as in 256m"
	const notApplication = "environment.VCAP_APPLICATION: is not a JSON object whose limits.mem and limits.disk are whole numbers, if they are there"
	for _, c := range []struct {
		fixture string
		changes map[string]any
		code    int
		message string
	}{
		{buildpackTask, map[string]any{"lifecycle": nil}, 400, "lifecycle: has neither buildpack_lifecycle nor docker_lifecycle"},
		{buildpackTask, map[string]any{"lifecycle.docker_lifecycle": map[string]any{"image": "a"}}, 400, "lifecycle: buildpack_lifecycle and docker_lifecycle exclude each other"},
		{buildpackTask, map[string]any{"name": 7}, 400, "name: can't be a JSON number"},
		{buildpackTask, map[string]any{"environment": map[string]any{}}, 400, "environment: can't be a JSON object"},
		{buildpackTask, environment("MEMORY_LIMIT", "hidden"), 400, notMemory},
		{buildpackTask, environment("MEMORY_LIMIT", "-1m"), 400, notMemory},
		{buildpackTask, environment("MEMORY_LIMIT", "99999999999999999999m"), 400, notMemory},
		{buildpackTask, environment("VCAP_APPLICATION", "hidden"), 400, notApplication},
		{buildpackTask, environment("VCAP_APPLICATION", `{"limits":{"mem":"hidden"}}`), 400, notApplication},
		{buildpackTask, environment("MEMORY_LIMIT", "0m"), 422, "environment.MEMORY_LIMIT: must be between 1 and 1073741824, is 0"},
		{buildpackTask, environment("VCAP_APPLICATION", `{"limits":{"disk":-1}}`), 422, "environment.VCAP_APPLICATION: must be between 0 and 1073741824, is -1"},
		{buildpackTask, environment("A=B", "hidden"), 422, "environment.A=B: a variable name may have printable ASCII characters except '=' only"},
		{buildpackTask, map[string]any{"completion_callback": "hidden"}, 422, "completion_callback: is not an http or https URL"},
		{buildpackTask, map[string]any{"org_name": "a\x00"}, 422, "org_name: must not contain a NUL byte"},
		{buildpackTask, map[string]any{"lifecycle.buildpack_lifecycle.start_command": nil}, 422, "lifecycle.buildpack_lifecycle.start_command: is missing: a droplet's own command starts the app, not a task"},
		{buildpackTask, map[string]any{"lifecycle.buildpack_lifecycle.droplet_guid": "/"}, 422, `lifecycle.buildpack_lifecycle.droplet_guid: "/" can't be part of an image name (lower-case letters, digits, and single '.', '_' or '-' between them)`},
		{buildpackTask, map[string]any{"lifecycle.buildpack_lifecycle.droplet_hash": nil}, 422, `lifecycle.buildpack_lifecycle.droplet_hash: "" can't be part of an image tag (up to 100 letters, digits, '_', '.' or '-')`},
		{dockerTask, map[string]any{"lifecycle.docker_lifecycle.image": "http://x"}, 422, `lifecycle.docker_lifecycle.image: "http://x" must not have a URL scheme`},
		{dockerTask, map[string]any{"lifecycle.docker_lifecycle.registry_username": nil}, 422, "lifecycle.docker_lifecycle.registry_username: a registry password is given without a user name"},
	} {
		t.Run(c.message, func(t *testing.T) {
			g := NewWithT(t)
			b := &tasks{}
			response := b.call(http.MethodPost, taskPath, taskFixture(t, c.fixture, c.changes))
			g.Expect(response.Code).To(Equal(c.code))
			g.Expect(stageMessage(response)).To(Equal(c.message))
			g.Expect(b.desired).To(BeEmpty())
		})
	}
	t.Run("a guid that no object can have", func(t *testing.T) {
		g := NewWithT(t)
		response := (&tasks{}).call(http.MethodPost, "/tasks/"+strings.Repeat("x", 64), taskFixture(t, buildpackTask, nil))
		g.Expect(response.Code).To(Equal(http.StatusUnprocessableEntity))
		g.Expect(stageMessage(response)).To(HavePrefix("task_guid: "))
	})
}

func TestTaskBackEndErrors(t *testing.T) {
	for want, err := range map[int]error{
		http.StatusServiceUnavailable:  fmt.Errorf("desire: %w", opi.ErrUnavailable),
		http.StatusUnprocessableEntity: fmt.Errorf("desire: %w", opi.Invalid("rootFS.image.reference", "it runs as root")),
		http.StatusInternalServerError: errors.New("boom"),
	} {
		g := NewWithT(t)
		b := &tasks{err: err}
		response := b.call(http.MethodPost, taskPath, taskFixture(t, dockerTask, nil))
		g.Expect(response.Code).To(Equal(want))
		g.Expect(stageMessage(response)).NotTo(BeEmpty())
		if want == http.StatusUnprocessableEntity {
			g.Expect(stageMessage(response)).To(Equal("lifecycle.docker_lifecycle.image: it runs as root"))
		}
	}
}

func TestListTasks(t *testing.T) {
	g := NewWithT(t)
	answers := map[string]json.RawMessage{}
	content, err := fixtures.Requests.ReadFile("requests/18-tasks-list-and-get-response-r2.json")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(json.Unmarshal(content, &answers)).To(Succeed())

	b := &tasks{listed: []string{"foo", "bar"}}
	response := b.call(http.MethodGet, "/tasks", "")
	g.Expect(response.Code).To(Equal(http.StatusOK))
	g.Expect(response.Body.String()).To(MatchJSON(answers["GET /tasks"]))
	g.Expect(b.call(http.MethodGet, "/tasks/foo", "").Body.String()).To(MatchJSON(answers["GET /tasks/some-task-guid"]))
	g.Expect((&tasks{}).call(http.MethodGet, "/tasks", "").Body.String()).To(MatchJSON(`[]`))

	b.err = fmt.Errorf("list: %w", opi.ErrUnavailable)
	for _, path := range []string{"/tasks", taskPath} {
		response = b.call(http.MethodGet, path, "")
		g.Expect(response.Code).To(Equal(http.StatusServiceUnavailable))
		g.Expect(stageMessage(response)).To(ContainSubstring("at present"))
	}
}

func TestUnknownTasks(t *testing.T) {
	g := NewWithT(t)
	b := &tasks{err: fmt.Errorf("find: %w", opi.ErrNotFound)}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		response := b.call(method, taskPath, "")
		g.Expect(response.Code).To(Equal(http.StatusNotFound))
		g.Expect(stageMessage(response)).To(Equal(`there is no task "some-task-guid"`))
	}
}

func TestCancelTask(t *testing.T) {
	g := NewWithT(t)
	b := &tasks{}
	response := b.call(http.MethodDelete, taskPath, "")
	g.Expect(response.Code).To(Equal(http.StatusNoContent))
	g.Expect(response.Body.Len()).To(BeZero())
	g.Expect(b.canceled).To(Equal([]string{"some-task-guid"}))
}

// Whatever a caller sends, the answer is 202 with a valid task behind it, or 400 or 422
// with a reason.
func FuzzTask(f *testing.F) {
	for _, fixture := range []string{buildpackTask, dockerTask} {
		f.Add(taskFixture(f, fixture, nil))
	}
	f.Add(`{"environment":[{"name":"MEMORY_LIMIT","value":"9223372036854775807m"}],"lifecycle":{"docker_lifecycle":{}}}`)
	f.Add(`{"environment":[{"name":"VCAP_APPLICATION","value":"{\"limits\":{\"mem\":1e3}}"}],"lifecycle":{"buildpack_lifecycle":{}}}`)
	f.Fuzz(func(t *testing.T, body string) {
		b := &tasks{}
		response := b.call(http.MethodPost, taskPath, body)
		switch response.Code {
		case http.StatusAccepted:
			if err := b.desired[0].Validate(); err != nil || b.desired[0].GUID != "some-task-guid" {
				t.Fatal(b.desired[0].GUID, err)
			}
		case http.StatusBadRequest, http.StatusUnprocessableEntity:
			if stageMessage(response) == "" || len(b.desired) > 0 {
				t.Fatal(response.Body.String())
			}
		default:
			t.Fatal(response.Code)
		}
	})
}
