package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"code.cloudfoundry.org/lager/v3"
	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/opi/api"
)

// backEnd records what reaches it and answers what the test sets.
type backEnd struct {
	desired  []opi.LRP
	requests []string
	updated  []opi.LRPUpdate
	stopped  []string
	err      error
	lrps     []opi.DesiredLRP
	states   []opi.Instance
}

func (b *backEnd) Desire(_ context.Context, lrp opi.LRP) error {
	b.desired, b.requests = append(b.desired, lrp), append(b.requests, lrp.OriginalRequest)
	return b.err
}

func (b *backEnd) Update(_ context.Context, _ opi.LRPIdentifier, update opi.LRPUpdate) error {
	b.updated = append(b.updated, update)
	return b.err
}

func (b *backEnd) Get(context.Context, opi.LRPIdentifier) (opi.DesiredLRP, error) {
	if b.err != nil {
		return opi.DesiredLRP{}, b.err
	}
	return b.lrps[0], nil
}

func (b *backEnd) List(context.Context, opi.Door) ([]opi.DesiredLRP, error) { return b.lrps, b.err }

func (b *backEnd) Instances(context.Context, opi.LRPIdentifier) ([]opi.Instance, error) {
	return b.states, b.err
}

func (b *backEnd) Stop(_ context.Context, id opi.LRPIdentifier) error {
	b.stopped = append(b.stopped, id.ProcessGUID())
	return b.err
}

func (b *backEnd) StopInstance(_ context.Context, id opi.LRPIdentifier, index int) error {
	b.stopped = append(b.stopped, fmt.Sprintf("%s/%d", id.ProcessGUID(), index))
	return b.err
}

func newHandler(lrps api.LRPs, builds api.Builds, tasks api.Tasks, logger lager.Logger) http.Handler {
	return api.NewHandler(api.Options{LRPs: lrps, Builds: builds, Tasks: tasks, Refusals: opi.NewRefusals(), Logger: logger})
}

func (b *backEnd) handler() http.Handler { return newHandler(b, nil, nil, lager.NewLogger("test")) }

func (b *backEnd) call(method, path, body string) *httptest.ResponseRecorder {
	return callHandler(b.handler(), method, path, body)
}

func callHandler(handler http.Handler, method, path, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	return response
}

func message(response *httptest.ResponseRecorder) string {
	var body struct{ Error struct{ Message string } }
	if err := json.Unmarshal(response.Body.Bytes(), &body); err != nil {
		return "no JSON: " + response.Body.String()
	}
	return body.Error.Message
}

const goldenPath = "/apps/1c559be1-5534-4bc2-a11e-357a462edf7b-b06cbcf3-595e-43f2-857a-a2dd6ba6a78d"

// golden is the golden request with some fields replaced; a nil value removes one.
func golden(t testing.TB, changes map[string]any) string {
	t.Helper()
	content, err := fixtures.Golden.ReadFile("golden/test-app-desire.json")
	if err != nil {
		t.Fatal(err)
	}
	var request map[string]any
	if err := json.Unmarshal(content, &request); err != nil {
		t.Fatal(err)
	}
	for key, value := range changes {
		if value == nil {
			delete(request, key)
		} else {
			request[key] = value
		}
	}
	content, err = json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestDesire(t *testing.T) {
	g := NewWithT(t)
	b := &backEnd{}
	response := b.call(http.MethodPut, goldenPath, golden(t, nil))
	g.Expect(response.Code).To(Equal(http.StatusAccepted))
	g.Expect(b.desired).To(HaveLen(1))
	lrp := b.desired[0]
	g.Expect(lrp.Annotation).To(Equal("1584946309.0"))
	g.Expect(lrp.Droplet.Checksum.Value).To(Equal("fe97c9c416f0ead6fa59fe3581bb94d22ab03d24"))
	g.Expect(lrp.Limits).To(Equal(opi.Limits{MemoryMiB: 256, DiskMiB: 1024, CPUWeight: 3}))
	g.Expect(lrp.Checks.Startup).To(Equal(opi.Check{Kind: opi.CheckPort, Port: 8080}))
	g.Expect(lrp.Checks.StartTimeout).To(Equal(time.Minute))
	g.Expect(lrp.EgressRules).To(HaveLen(9))
	g.Expect(lrp.MainProcess().Command).To(Equal([]string{"test-app"}))
	g.Expect(b.requests[0]).NotTo(ContainSubstring("VCAP_APPLICATION"))
	g.Expect(b.requests[0]).To(ContainSubstring(`"egress_rules"`))
}

func TestDesireKeepsNoSecrets(t *testing.T) {
	g := NewWithT(t)
	b := &backEnd{}
	response := b.call(http.MethodPut, goldenPath, golden(t, map[string]any{
		"environment": map[string]string{"KEY": "hidden-value"},
		"surprise":    "hidden-field",
		"lifecycle": map[string]any{"docker_lifecycle": map[string]any{
			"image": "org/image", "command": []string{}, "registry_username": "hidden-user", "registry_password": "hidden-password",
		}},
	}))
	g.Expect(response.Code).To(Equal(http.StatusAccepted))
	g.Expect(b.requests[0]).NotTo(ContainSubstring("hidden"))
	g.Expect(b.desired[0].RootFS.Image.Credentials).To(Equal(&opi.RegistryCredentials{Username: "hidden-user", Password: "hidden-password"}))
}

// Every example of Cloud Controller's own specifications that is a valid desire
// request is taken, and the one that is not is refused by the field's name.
func TestDesireExamples(t *testing.T) {
	for name, want := range map[string]string{
		"01-desire-lrp-buildpack-r1": "",
		"02-desire-lrp-docker-r1":    "lifecycle.docker_lifecycle.image",
		"03-desire-lrp-kpack-r2":     "lifecycle.docker_lifecycle.image",
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			body, err := fs.ReadFile(fixtures.Requests, "requests/"+name+".json")
			g.Expect(err).NotTo(HaveOccurred())
			b := &backEnd{}
			response := b.call(http.MethodPut, "/apps/process-guid-e2fe80f5-fd0c-4699-a4d1-ae06bc48a923", string(body))
			if want == "" {
				g.Expect(response.Code).To(Equal(http.StatusAccepted), response.Body.String())
				return
			}
			g.Expect(response.Code).To(Equal(http.StatusUnprocessableEntity))
			g.Expect(message(response)).To(HavePrefix(want + ": "))
			g.Expect(b.desired).To(BeEmpty())
		})
	}
}

func TestDesireRefusals(t *testing.T) {
	docker := func(changes map[string]any) map[string]any {
		docker := map[string]any{"image": "org/image", "command": []string{}}
		for key, value := range changes {
			docker[key] = value
		}
		return map[string]any{"lifecycle": map[string]any{"docker_lifecycle": docker}}
	}
	buildpack := func(guid, hash string) map[string]any {
		return map[string]any{"lifecycle": map[string]any{"buildpack_lifecycle": map[string]any{
			"droplet_guid": guid, "droplet_hash": hash, "start_command": "",
		}}}
	}
	route := func(hostname string, port any) map[string]any {
		return map[string]any{"routes": map[string]any{"cf-router": []any{map[string]any{"hostname": hostname, "port": port}}}}
	}
	for name, test := range map[string]struct {
		changes map[string]any
		code    int
		message string
	}{
		"no guid":                {map[string]any{"guid": nil}, 400, "guid: is missing"},
		"no version":             {map[string]any{"version": nil}, 400, "version: is missing"},
		"other guid in path":     {map[string]any{"guid": "other"}, 400, "process_guid: the path names"},
		"other process_guid":     {map[string]any{"process_guid": "other"}, 400, "process_guid: is"},
		"no lifecycle":           {map[string]any{"lifecycle": nil}, 400, "lifecycle: has neither"},
		"empty lifecycle":        {map[string]any{"lifecycle": map[string]any{}}, 400, "lifecycle: has neither"},
		"instances a string":     {map[string]any{"instances": "one"}, 400, "instances: can't be a JSON string"},
		"instances a float":      {map[string]any{"instances": 1.5}, 400, "instances: can't be a JSON number 1.5"},
		"ports an object":        {map[string]any{"ports": map[string]any{}}, 400, "ports: can't be a JSON object"},
		"environment number":     {map[string]any{"environment": map[string]any{"A": 1}}, 400, "environment"},
		"health check type":      {map[string]any{"health_check_type": "psychic"}, 400, "health_check_type: \"psychic\" is not one of"},
		"negative instances":     {map[string]any{"instances": -1}, 422, "instances: must not be negative"},
		"negative memory":        {map[string]any{"memory_mb": -1}, 422, "memory_mb: must be between"},
		"no memory":              {map[string]any{"memory_mb": 0}, 422, "memory_mb: must be between"},
		"negative disk":          {map[string]any{"disk_mb": -1}, 422, "disk_mb: must be between"},
		"negative cpu weight":    {map[string]any{"cpu_weight": -1}, 422, "cpu_weight: must be between"},
		"port zero":              {map[string]any{"ports": []int{0}}, 422, "ports[0]: must be between"},
		"port too large":         {map[string]any{"ports": []int{70000}}, 422, "ports[0]: must be between"},
		"image with scheme":      {docker(map[string]any{"image": "http://example.org/image"}), 422, "lifecycle.docker_lifecycle.image:"},
		"image of capitals":      {docker(map[string]any{"image": "ORG/Image"}), 422, "lifecycle.docker_lifecycle.image:"},
		"image with empty part":  {docker(map[string]any{"image": "repo/app/"}), 422, "lifecycle.docker_lifecycle.image: \"repo/app/\" is not an image reference"},
		"image with empty parts": {docker(map[string]any{"image": "repo//app:1"}), 422, "lifecycle.docker_lifecycle.image:"},
		"image with odd tag":     {docker(map[string]any{"image": "app:-x"}), 422, "lifecycle.docker_lifecycle.image:"},
		"image missing":          {docker(map[string]any{"image": ""}), 422, "lifecycle.docker_lifecycle.image: is missing"},
		"password without user":  {docker(map[string]any{"registry_password": "p"}), 422, "lifecycle.docker_lifecycle.registry_username:"},
		"no droplet hash":        {buildpack("guid", ""), 422, "lifecycle.buildpack_lifecycle.droplet_hash:"},
		"no droplet guid":        {buildpack("", "hash"), 422, "lifecycle.buildpack_lifecycle.droplet_guid:"},
		"large variable":         {map[string]any{"environment": map[string]any{"BIG": strings.Repeat("x", 130<<10)}}, 422, "environment.BIG: "},
		"variable name":          {map[string]any{"environment": map[string]any{"A=B": "x"}}, 422, "environment.A=B: "},
		"NUL in variable":        {map[string]any{"environment": map[string]any{"A": "x\x00y"}}, 422, "environment.A: "},
		"route without host":     {route("", 8080), 400, "routes.cf-router[0].hostname:"},
		"route with scheme":      {route("http://host", 8080), 400, "routes.cf-router[0].hostname:"},
		"route port":             {route("host.example.com", 0), 400, "routes.cf-router[0].port:"},
		"route port a string":    {route("host.example.com", "8080"), 400, "routes.cf-router[0].port: can't be a JSON string"},
		"volume without claim":   {map[string]any{"volume_mounts": []any{map[string]any{"volume_id": "", "mount_dir": "/data"}}}, 422, "volume_mounts[0].volume_id:"},
		"volume at relative":     {map[string]any{"volume_mounts": []any{map[string]any{"volume_id": "v", "mount_dir": "data"}}}, 422, "volume_mounts[0].mount_dir:"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			b := &backEnd{err: opi.ErrNotFound}
			handler := b.handler()
			response := callHandler(handler, http.MethodPut, goldenPath, golden(t, test.changes))
			g.Expect(response.Code).To(Equal(test.code), response.Body.String())
			g.Expect(message(response)).To(HavePrefix(test.message))
			g.Expect(response.Header().Get("Content-Type")).To(Equal("application/json"))
			g.Expect(b.desired).To(BeEmpty())

			shown := callHandler(handler, http.MethodGet, "/apps/1c559be1-5534-4bc2-a11e-357a462edf7b/b06cbcf3-595e-43f2-857a-a2dd6ba6a78d/instances", "")
			g.Expect(shown.Code).To(Equal(http.StatusOK))
			var body struct {
				Error     string
				Instances []struct {
					Index          int
					Since          int64
					State          string
					PlacementError string `json:"placement_error"`
				}
			}
			g.Expect(json.Unmarshal(shown.Body.Bytes(), &body)).To(Succeed())
			g.Expect(body.Error).To(BeEmpty())
			g.Expect(body.Instances).To(HaveLen(1))
			g.Expect(body.Instances[0].State).To(Equal("CRASHED"))
			g.Expect(body.Instances[0].PlacementError).To(HavePrefix(test.message))
			g.Expect(body.Instances[0].Since).To(BeNumerically(">", 0))
		})
	}
}

func TestDesireUnreadable(t *testing.T) {
	for name, body := range map[string]string{
		"nothing": "", "half": golden(t, nil)[:100], "a list": "[]", "null": "null", "two values": "{} {}",
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			b := &backEnd{}
			response := b.call(http.MethodPut, goldenPath, body)
			g.Expect(response.Code).To(Equal(http.StatusBadRequest))
			g.Expect(message(response)).NotTo(HavePrefix("no JSON"))
			g.Expect(b.desired).To(BeEmpty())
		})
	}
}

func TestDesireBodyTooLarge(t *testing.T) {
	g := NewWithT(t)
	b := &backEnd{}
	limited := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 1000)
		b.handler().ServeHTTP(w, r)
	})
	response := callHandler(limited, http.MethodPut, goldenPath, golden(t, nil))
	g.Expect(response.Code).To(Equal(http.StatusRequestEntityTooLarge))
	g.Expect(message(response)).To(Equal("body: has more than 1000 bytes"))
}

func TestBackEndErrors(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		code int
	}{
		"refused":     {fmt.Errorf("desire: %w: no room", opi.ErrRefused), 422},
		"field":       {fmt.Errorf("desire: %w", opi.Invalid("rootFS.image", "runs as root")), 422},
		"unavailable": {fmt.Errorf("desire: %w", opi.ErrUnavailable), 503},
		"other":       {errors.New("boom"), 500},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			b := &backEnd{err: test.err}
			response := b.call(http.MethodPut, goldenPath, golden(t, nil))
			g.Expect(response.Code).To(Equal(test.code))
			if name == "field" {
				g.Expect(message(response)).To(Equal("lifecycle.docker_lifecycle.image: runs as root"))
			}
		})
	}
}

// A refusal that lasts ends cf push at once; what may pass by itself does not. Neither tells
// app developers of hosts, Kubernetes objects or guids.
func TestInstancesAfterAFailedDesire(t *testing.T) {
	internal := fmt.Errorf("desire LRP g-v: assemble the image of droplet d: POST https://10.0.0.1/v2/")
	for name, test := range map[string]struct {
		err            error
		state, message string
	}{
		"refused":               {fmt.Errorf("%w: %w", internal, opi.ErrRefused), "CRASHED", "the platform can't start the app; its operators find the reason in the log"},
		"refused with message":  {opi.WithMessage(fmt.Errorf("%w: %w", internal, opi.ErrRefused), "stage the app again"), "CRASHED", "stage the app again"},
		"a field":               {fmt.Errorf("%w: %w", opi.ErrRefused, opi.Invalid("rootFS.image", opi.ImageRunsAsRoot)), "CRASHED", "lifecycle.docker_lifecycle.image: " + opi.ImageRunsAsRoot},
		"too large":             {&http.MaxBytesError{Limit: 5}, "CRASHED", "body: has more than 5 bytes"},
		"unavailable":           {fmt.Errorf("%w: %w", internal, opi.ErrUnavailable), "UNCLAIMED", "the platform can't start the app at present; it may be able to later"},
		"unavailable, with why": {fmt.Errorf("%w: %w", internal, opi.WithMessage(opi.ErrUnavailable, "the image is not ready yet")), "UNCLAIMED", "the image is not ready yet"},
		"anything else":         {internal, "UNCLAIMED", "the platform can't start the app; its operators find the reason in the log"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			b := &backEnd{err: test.err}
			handler := b.handler()
			response := callHandler(handler, http.MethodPut, goldenPath, golden(t, map[string]any{"instances": 2}))
			g.Expect(message(response)).To(Equal(test.message))

			b.err = opi.ErrNotFound
			shown := callHandler(handler, http.MethodGet, "/apps/1c559be1-5534-4bc2-a11e-357a462edf7b/b06cbcf3-595e-43f2-857a-a2dd6ba6a78d/instances", "")
			var body struct {
				Instances []struct {
					State          string
					PlacementError string `json:"placement_error"`
				}
			}
			g.Expect(json.Unmarshal(shown.Body.Bytes(), &body)).To(Succeed())
			g.Expect(body.Instances).To(HaveLen(2))
			g.Expect(body.Instances).To(HaveEach(And(HaveField("State", test.state), HaveField("PlacementError", test.message))))
		})
	}
}

// A connection that breaks says nothing about the request.
func TestDesireWhoseBodyBreaksOff(t *testing.T) {
	g := NewWithT(t)
	handler := (&backEnd{err: opi.ErrNotFound}).handler()
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, httptest.NewRequest(http.MethodPut, goldenPath, io.MultiReader(strings.NewReader("{"), iotest.ErrReader(io.ErrUnexpectedEOF))))
	g.Expect(response.Code).To(Equal(http.StatusServiceUnavailable))
	shown := callHandler(handler, http.MethodGet, "/apps/1c559be1-5534-4bc2-a11e-357a462edf7b/b06cbcf3-595e-43f2-857a-a2dd6ba6a78d/instances", "")
	g.Expect(shown.Body.String()).To(ContainSubstring(`"state":"UNCLAIMED"`))
}

func TestUpdate(t *testing.T) {
	g := NewWithT(t)
	body, err := fs.ReadFile(fixtures.Requests, "requests/05-update-lrp.json")
	g.Expect(err).NotTo(HaveOccurred())
	b := &backEnd{}
	response := b.call(http.MethodPost, "/apps/guid-1234-version-1234", string(body))
	g.Expect(response.Code).To(Equal(http.StatusOK), response.Body.String())
	g.Expect(*b.updated[0].Instances).To(Equal(5))
	g.Expect(*b.updated[0].Annotation).To(Equal("1529064800.9"))
	g.Expect(*b.updated[0].Routes.HTTP).To(HaveLen(2))
}

func TestUpdateParts(t *testing.T) {
	for name, test := range map[string]struct {
		update string
		code   int
		check  func(*WithT, opi.LRPUpdate)
	}{
		"no update":        {`null`, 400, nil},
		"no instances":     {`{"annotation":"1"}`, 400, nil},
		"instances null":   {`{"instances":null}`, 400, nil},
		"instances text":   {`{"instances":"3"}`, 400, nil},
		"negative":         {`{"instances":-1}`, 422, nil},
		"too many":         {`{"instances":1000000}`, 422, nil},
		"zero":             {`{"instances":0}`, 200, func(g *WithT, u opi.LRPUpdate) { g.Expect(*u.Instances).To(BeZero()) }},
		"absent stay":      {`{"instances":1}`, 200, func(g *WithT, u opi.LRPUpdate) { g.Expect(u.Routes).To(BeZero()); g.Expect(u.Annotation).To(BeNil()) }},
		"empty annotation": {`{"instances":1,"annotation":""}`, 200, func(g *WithT, u opi.LRPUpdate) { g.Expect(*u.Annotation).To(BeEmpty()) }},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			b := &backEnd{}
			response := b.call(http.MethodPost, "/apps/g-v", `{"guid":"g","version":"v","update":`+test.update+`}`)
			g.Expect(response.Code).To(Equal(test.code), response.Body.String())
			if test.code != 200 {
				g.Expect(b.updated).To(BeEmpty())
				g.Expect(message(response)).NotTo(BeEmpty())
				return
			}
			test.check(g, b.updated[0])
		})
	}
}

func TestUpdateFailures(t *testing.T) {
	g := NewWithT(t)
	body := `{"guid":"g","version":"v","update":{"instances":1}}`
	g.Expect((&backEnd{}).call(http.MethodPost, "/apps/other-v", body).Code).To(Equal(http.StatusBadRequest))
	missing := (&backEnd{err: fmt.Errorf("update: %w", opi.ErrNotFound)}).call(http.MethodPost, "/apps/g-v", body)
	g.Expect(missing.Code).To(Equal(http.StatusNotFound))
	g.Expect(message(missing)).To(ContainSubstring("not found"))
}

func TestList(t *testing.T) {
	g := NewWithT(t)
	want, err := fs.ReadFile(fixtures.Requests, "requests/09-list-apps-response-needed.json")
	g.Expect(err).NotTo(HaveOccurred())
	b := &backEnd{lrps: []opi.DesiredLRP{{
		LRPIdentifier: opi.LRPIdentifier{GUID: "d082417c-c5aa-488c-aaf8-845a580eb11f", Version: "e2fe80f5-fd0c-4699-a4d1-ae06bc48a923"},
		Annotation:    "1529064800.9",
	}}}
	response := b.call(http.MethodGet, "/apps", "")
	g.Expect(response.Code).To(Equal(http.StatusOK))
	var got, expected map[string][]map[string]any
	g.Expect(json.Unmarshal(response.Body.Bytes(), &got)).To(Succeed())
	g.Expect(json.Unmarshal(want, &expected)).To(Succeed())
	for key, value := range expected["desired_lrp_scheduling_infos"][0] {
		g.Expect(got["desired_lrp_scheduling_infos"][0]).To(HaveKeyWithValue(key, value))
	}
	g.Expect((&backEnd{}).call(http.MethodGet, "/apps", "").Body.String()).To(Equal(`{"desired_lrp_scheduling_infos":[]}` + "\n"))
}

// Cloud Controller looks at the body alone: anything that parses would be taken for
// the truth.
func TestListFailureIsNoList(t *testing.T) {
	g := NewWithT(t)
	response := (&backEnd{err: fmt.Errorf("list: %w", opi.ErrUnavailable)}).call(http.MethodGet, "/apps", "")
	g.Expect(response.Code).To(Equal(http.StatusServiceUnavailable))
	g.Expect(json.Valid(response.Body.Bytes())).To(BeFalse())
}

func TestGet(t *testing.T) {
	g := NewWithT(t)
	b := &backEnd{lrps: []opi.DesiredLRP{{
		LRPIdentifier: opi.LRPIdentifier{GUID: "g", Version: "v"}, Instances: 5, Annotation: "1.5",
		Routes: opi.Routes{HTTP: []opi.HTTPRoute{{Hostname: "a.example.com", Port: 8080}}},
	}}}
	response := b.call(http.MethodGet, "/apps/g/v", "")
	g.Expect(response.Code).To(Equal(http.StatusOK))
	g.Expect(response.Body.String()).To(MatchJSON(`{"desired_lrp":{"process_guid":"g-v","instances":5,"annotation":"1.5",
		"routes":{"cf-router":[{"hostname":"a.example.com","port":8080}]}}}`))
	missing := (&backEnd{err: fmt.Errorf("get: %w", opi.ErrNotFound)}).call(http.MethodGet, "/apps/g/v", "")
	g.Expect(missing.Code).To(Equal(http.StatusNotFound))
}

func TestInstances(t *testing.T) {
	g := NewWithT(t)
	b := &backEnd{states: []opi.Instance{
		{Index: 0, State: opi.InstanceRunning, Since: time.Unix(0, 1581674400000000000)},
		{Index: 1, State: opi.InstanceUnclaimed, Since: time.Unix(0, 5), PlacementError: "no room"},
	}}
	response := b.call(http.MethodGet, "/apps/g/v/instances", "")
	g.Expect(response.Code).To(Equal(http.StatusOK))
	g.Expect(response.Body.String()).To(MatchJSON(`{"process_guid":"g-v","instances":[
		{"index":0,"since":1581674400000000000,"state":"RUNNING","placement_error":""},
		{"index":1,"since":5,"state":"UNCLAIMED","placement_error":"no room"}]}`))

	unknown := (&backEnd{err: fmt.Errorf("instances: %w", opi.ErrNotFound)}).call(http.MethodGet, "/apps/g/v/instances", "")
	g.Expect(unknown.Code).To(Equal(http.StatusOK))
	g.Expect(unknown.Body.String()).To(MatchJSON(`{"process_guid":"g-v","instances":[]}`))

	failed := (&backEnd{err: fmt.Errorf("instances: %w", opi.ErrUnavailable)}).call(http.MethodGet, "/apps/g/v/instances", "")
	g.Expect(failed.Code).To(Equal(http.StatusServiceUnavailable))
	g.Expect(failed.Body.String()).To(ContainSubstring(`"error":"`))
}

func TestStop(t *testing.T) {
	g := NewWithT(t)
	b := &backEnd{}
	g.Expect(b.call(http.MethodPut, "/apps/g/v/stop", "").Code).To(Equal(http.StatusOK))
	g.Expect(b.call(http.MethodPut, "/apps/g/v/stop/2", "").Code).To(Equal(http.StatusOK))
	g.Expect(b.stopped).To(Equal([]string{"g-v", "g-v/2"}))
}

// The predecessor answered 400 to a bad index and then stopped instance 0.
func TestStopInstanceBadIndex(t *testing.T) {
	for _, index := range []string{"-1", "one", "1.5", "99999999999", "0x1", "%20"} {
		t.Run(index, func(t *testing.T) {
			g := NewWithT(t)
			b := &backEnd{}
			response := b.call(http.MethodPut, "/apps/g/v/stop/"+index, "")
			g.Expect(response.Code).To(Equal(http.StatusBadRequest))
			g.Expect(message(response)).To(HavePrefix("index: "))
			g.Expect(b.stopped).To(BeEmpty())
		})
	}
	t.Run("not desired", func(t *testing.T) {
		g := NewWithT(t)
		b := &backEnd{err: fmt.Errorf("stop: %w", opi.Invalid("index", "is 7"))}
		g.Expect(b.call(http.MethodPut, "/apps/g/v/stop/7", "").Code).To(Equal(http.StatusBadRequest))
	})
}

func TestUnknownPaths(t *testing.T) {
	g := NewWithT(t)
	response := (&backEnd{}).call(http.MethodGet, "/nothing", "")
	g.Expect(response.Code).To(Equal(http.StatusNotFound))
	g.Expect(message(response)).To(ContainSubstring("/nothing"))
	response = (&backEnd{}).call(http.MethodDelete, "/apps", "")
	g.Expect(response.Code).To(Equal(http.StatusMethodNotAllowed))
	g.Expect(response.Header().Get("Allow")).To(ContainSubstring("GET"))
}

// Whatever comes in, the answer is JSON with a status that fits, and the back end
// sees only valid LRPs.
func FuzzDesire(f *testing.F) {
	f.Add(golden(f, nil))
	f.Add(golden(f, map[string]any{"routes": nil, "ports": []int{}}))
	f.Add(`{"guid":"1c559be1-5534-4bc2-a11e-357a462edf7b"}`)
	f.Fuzz(func(t *testing.T, body string) {
		b := &backEnd{}
		response := b.call(http.MethodPut, goldenPath, body)
		switch response.Code {
		case http.StatusAccepted:
			if err := b.desired[0].Validate(); err != nil {
				t.Fatal(err)
			}
		case http.StatusBadRequest, http.StatusUnprocessableEntity:
			if text := message(response); text == "" || strings.HasPrefix(text, "no JSON") || len(b.desired) > 0 {
				t.Fatal(response.Body.String(), b.desired)
			}
		default:
			t.Fatal(response.Code)
		}
	})
}
