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

// builds records what reaches it and answers what the test sets.
type builds struct {
	staged   []opi.Build
	canceled []string
	err      error
}

func (b *builds) Stage(_ context.Context, build opi.Build) error {
	b.staged = append(b.staged, build)
	return b.err
}

func (b *builds) CancelStaging(_ context.Context, guid string) error {
	b.canceled = append(b.canceled, guid)
	return b.err
}

func (b *builds) call(method, path, body string) *httptest.ResponseRecorder {
	return callHandler(newHandler(&backEnd{}, b, nil, lager.NewLogger("test")), method, path, body)
}

const stagePath = "/stage/some_staging_guid"

// stageFixture is a recorded request with some fields replaced; nil removes one.
func stageFixture(t testing.TB, name string, changes map[string]any) string {
	t.Helper()
	content, err := fixtures.Requests.ReadFile("requests/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var request map[string]any
	if err := json.Unmarshal(content, &request); err != nil {
		t.Fatal(err)
	}
	for path, value := range changes {
		keys := strings.Split(path, ".")
		at := request
		for _, key := range keys[:len(keys)-1] {
			at = at[key].(map[string]any)
		}
		if at[keys[len(keys)-1]] = value; value == nil {
			delete(at, keys[len(keys)-1])
		}
	}
	content, err = json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

const (
	formerBuildpack = "12-stage-buildpack-r1.json"
	buildpack       = "13-stage-buildpack-r2.json"
	docker          = "14-stage-docker-r2.json"
)

func TestStageInTheFormerForm(t *testing.T) {
	g := NewWithT(t)
	b := &builds{}
	response := b.call(http.MethodPost, stagePath, stageFixture(t, formerBuildpack, nil))
	g.Expect(response.Code).To(Equal(http.StatusAccepted), response.Body.String())
	g.Expect(b.staged).To(Equal([]opi.Build{{
		GUID:         "some_staging_guid",
		App:          opi.Owner{GUID: "thor", Name: "the_thor"},
		Space:        opi.Owner{GUID: "outer-guid", Name: "outer"},
		Organization: opi.Owner{GUID: "some-org-guid", Name: "some-org"},
		Environment: map[string]string{
			"GOPACKAGE": "github.com/some/go/pkg", "VCAP_APPLICATION": `{"wow":"pants"}`, "MEMORY_LIMIT": "256m", "VCAP_SERVICES": "{}",
		},
		Limits:             opi.Limits{MemoryMiB: 200, DiskMiB: 100, CPUWeight: 50},
		CompletionCallback: "https://internal_user:internal_password@api.internal.cf:8182/internal/v3/staging//build_completed?start=",
		Source: &opi.Source{
			AppBitsURL:       "http://download.me",
			DropletUploadURL: "http://cc-uploader.service.cf.internal:9091/v1/droplet/some_staging_guid?cc-droplet-upload-uri=http://upload.me",
			Buildpacks:       []opi.Buildpack{{Name: "ruby", Key: "idk", URL: "www.com"}},
		},
	}}))
}

func TestStageWithCache(t *testing.T) {
	g := NewWithT(t)
	sum := strings.Repeat("ab", 32)
	cache := map[string]any{
		"lifecycle.buildpack_lifecycle.buildpack_cache_download_uri": "https://blobs/cache?sig=1",
		"lifecycle.buildpack_lifecycle.buildpack_cache_checksum":     sum,
		"environment": []any{
			map[string]any{"name": "EMPTY"}, map[string]any{"name": "CF_STACK", "value": "cflinuxfs4"}, map[string]any{"name": "A", "value": "$(B)"},
		},
		"lifecycle.buildpack_lifecycle.buildpacks": []any{
			map[string]any{"name": "a", "key": "k1", "url": "https://blobs/a", "sha256": sum, "skip_detect": true},
			map[string]any{"name": "custom", "key": "https://git/x#main", "url": "https://git/x#main", "skip_detect": true, "sha256": nil},
		},
	}
	b := &builds{}
	response := b.call(http.MethodPost, stagePath, stageFixture(t, buildpack, cache))
	g.Expect(response.Code).To(Equal(http.StatusAccepted), response.Body.String())
	g.Expect(b.staged[0].Environment).To(Equal(map[string]string{"EMPTY": "", "A": "$(B)"}))
	source := b.staged[0].Source
	g.Expect(source.Stack).To(Equal("cflinuxfs4"))
	g.Expect(source.CacheDownloadURL).To(Equal("https://blobs/cache?sig=1"))
	g.Expect(source.CacheChecksum).To(Equal(opi.Checksum{Algorithm: "sha256", Value: sum}))
	g.Expect(source.CacheUploadURL).To(HavePrefix("https://cc-uploader.service.cf.internal:9091/v1/build_artifacts/"))
	g.Expect(source.Buildpacks).To(Equal([]opi.Buildpack{
		{Name: "a", Key: "k1", URL: "https://blobs/a", Checksum: opi.Checksum{Algorithm: "sha256", Value: sum}, SkipDetect: true},
		{Name: "custom", Key: "https://git/x#main", URL: "https://git/x#main", SkipDetect: true},
	}))

	// A cache that can't be one costs no build.
	response = b.call(http.MethodPost, stagePath, stageFixture(t, buildpack, nil))
	g.Expect(response.Code).To(Equal(http.StatusAccepted), response.Body.String())
	g.Expect(b.staged[1].Source.CacheDownloadURL).To(BeEmpty())
	g.Expect(b.staged[1].Source.CacheChecksum).To(BeZero())
	cache["lifecycle.buildpack_lifecycle.buildpack_cache_checksum"] = nil
	b.call(http.MethodPost, stagePath, stageFixture(t, buildpack, cache))
	g.Expect(b.staged[2].Source.CacheDownloadURL).NotTo(BeEmpty(), "the checksum is optional")
}

func TestStageADockerImage(t *testing.T) {
	g := NewWithT(t)
	b := &builds{}
	response := b.call(http.MethodPost, stagePath, stageFixture(t, docker, nil))
	g.Expect(response.Code).To(Equal(http.StatusAccepted), response.Body.String())
	g.Expect(b.staged[0].Source).To(BeNil())
	g.Expect(b.staged[0].Image).To(Equal(&opi.Image{
		Reference: "docker.io/some/image", Credentials: &opi.RegistryCredentials{Username: "theone", Password: "notone"},
	}))

	b.call(http.MethodPost, stagePath, stageFixture(t, docker, map[string]any{
		"lifecycle.docker_lifecycle.registry_username": nil, "lifecycle.docker_lifecycle.registry_password": nil,
	}))
	g.Expect(b.staged[1].Image.Credentials).To(BeNil())
}

func TestStageRefusals(t *testing.T) {
	form, former := "lifecycle.buildpack_lifecycle", "lifecycle_data"
	for _, c := range []struct {
		fixture string
		changes map[string]any
		code    int
		message string
	}{
		{formerBuildpack, map[string]any{"lifecycle_data": nil}, 400, "lifecycle: has neither buildpack_lifecycle nor docker_lifecycle, and there is no lifecycle_data"},
		{buildpack, map[string]any{"lifecycle.docker_lifecycle": map[string]any{"image": "a"}}, 400, "lifecycle: a buildpack lifecycle and docker_lifecycle exclude each other"},
		{formerBuildpack, map[string]any{"staging_guid": "other"}, 400, `staging_guid: the path names "some_staging_guid", the body "other"`},
		{formerBuildpack, map[string]any{"memory_mb": "1G"}, 400, "memory_mb: can't be a JSON string"},
		{formerBuildpack, map[string]any{"environment": map[string]any{}}, 400, "environment: can't be a JSON object"},
		{buildpack, map[string]any{form + ".buildpacks": "x"}, 400, form + ".buildpacks: can't be a JSON string"},
		{formerBuildpack, map[string]any{"memory_mb": 0}, 422, "memory_mb: must be between 1 and 1073741824, is 0"},
		{formerBuildpack, map[string]any{"disk_mb": -1}, 422, "disk_mb: must be between 0 and 1073741824, is -1"},
		{formerBuildpack, map[string]any{"completion_callback": nil}, 422, "completion_callback: is not an http or https URL"},
		{formerBuildpack, map[string]any{"org_name": "a\x00"}, 422, "org_name: must not contain a NUL byte"},
		{formerBuildpack, map[string]any{former + ".buildpacks": nil}, 422, former + ".buildpacks: there is none"},
		{formerBuildpack, map[string]any{former + ".app_bits_download_uri": "ftp://user:hidden@x"}, 422, former + ".app_bits_download_uri: is not an http or https URL"},
		{buildpack, map[string]any{form + ".droplet_upload_uri": nil}, 422, form + ".droplet_upload_uri: is not an http or https URL"},
		{buildpack, map[string]any{form + ".buildpacks": []any{map[string]any{}}}, 422, form + ".buildpacks[0].key: is missing; " + form + ".buildpacks[0].url: is missing or contains a NUL byte"},
		{buildpack, map[string]any{"environment": []any{map[string]any{"name": "A=B", "value": "hidden"}}}, 422, "environment.A=B: a variable name may have printable ASCII characters except '=' only"},
		{docker, map[string]any{"lifecycle.docker_lifecycle.image": "http://x"}, 422, `lifecycle.docker_lifecycle.image: "http://x" must not have a URL scheme`},
		{docker, map[string]any{"lifecycle.docker_lifecycle.registry_username": nil}, 422, "lifecycle.docker_lifecycle.registry_username: a registry password is given without a user name"},
	} {
		t.Run(c.message, func(t *testing.T) {
			g := NewWithT(t)
			b := &builds{}
			response := b.call(http.MethodPost, stagePath, stageFixture(t, c.fixture, c.changes))
			g.Expect(response.Code).To(Equal(c.code))
			g.Expect(stageMessage(response)).To(Equal(c.message))
			g.Expect(b.staged).To(BeEmpty())
		})
	}
	t.Run("no JSON", func(t *testing.T) {
		g := NewWithT(t)
		response := (&builds{}).call(http.MethodPost, stagePath, "name=value")
		g.Expect(response.Code).To(Equal(http.StatusBadRequest))
		g.Expect(stageMessage(response)).To(HavePrefix("body: is not JSON"))
	})
}

// stageMessage is what Cloud Controller reads: the message stands at the top.
func stageMessage(response *httptest.ResponseRecorder) string {
	var body struct{ Message string }
	if err := json.Unmarshal(response.Body.Bytes(), &body); err != nil {
		return "no JSON: " + response.Body.String()
	}
	return body.Message
}

func TestStageBackEndErrors(t *testing.T) {
	g := NewWithT(t)
	for want, err := range map[int]error{
		http.StatusServiceUnavailable:  fmt.Errorf("stage: %w", opi.ErrUnavailable),
		http.StatusUnprocessableEntity: fmt.Errorf("stage: %w", opi.Invalid("source.stack", "there is none")),
		http.StatusInternalServerError: errors.New("boom"),
	} {
		b := &builds{err: err}
		response := b.call(http.MethodPost, stagePath, stageFixture(t, formerBuildpack, nil))
		g.Expect(response.Code).To(Equal(want))
		g.Expect(stageMessage(response)).NotTo(Or(BeEmpty(), HavePrefix("stage: "), Equal("boom")))
		if want == http.StatusUnprocessableEntity {
			g.Expect(stageMessage(response)).To(Equal("environment.CF_STACK: there is none"))
		}
	}
}

func TestCancelStaging(t *testing.T) {
	g := NewWithT(t)
	b := &builds{}
	response := b.call(http.MethodDelete, stagePath, "")
	g.Expect(response.Code).To(Equal(http.StatusNoContent))
	g.Expect(response.Body.Len()).To(BeZero())
	g.Expect(b.canceled).To(Equal([]string{"some_staging_guid"}))

	b.err = fmt.Errorf("cancel: %w", opi.ErrNotFound)
	response = b.call(http.MethodDelete, stagePath, "")
	g.Expect(response.Code).To(Equal(http.StatusNotFound))
	g.Expect(stageMessage(response)).To(Equal(`there is no build "some_staging_guid"`))
}

func TestStagingCompletedIsGone(t *testing.T) {
	g := NewWithT(t)
	response := (&builds{}).call(http.MethodPut, stagePath+"/completed", `{"task_guid":"x","failed":false}`)
	g.Expect(response.Code).To(Equal(http.StatusGone))
	g.Expect(stageMessage(response)).NotTo(BeEmpty())
}

// Whatever a caller sends, the answer is 202 with a valid build behind it, or 400 or
// 422 with a reason.
func FuzzStage(f *testing.F) {
	for _, fixture := range []string{formerBuildpack, buildpack, docker} {
		f.Add(stageFixture(f, fixture, nil))
	}
	f.Add(`{"environment":[{"name":null}],"lifecycle":{"docker_lifecycle":{}}}`)
	f.Fuzz(func(t *testing.T, body string) {
		b := &builds{}
		response := b.call(http.MethodPost, stagePath, body)
		switch response.Code {
		case http.StatusAccepted:
			if err := b.staged[0].Validate(); err != nil || b.staged[0].GUID != "some_staging_guid" {
				t.Fatal(b.staged[0].GUID, err)
			}
		case http.StatusBadRequest, http.StatusUnprocessableEntity:
			if stageMessage(response) == "" || len(b.staged) > 0 {
				t.Fatal(response.Body.String())
			}
		default:
			t.Fatal(response.Code)
		}
	})
}
