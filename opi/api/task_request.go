package api

import (
	"encoding/json"
	"errors"
	"regexp"

	"github.com/irene-cf/irene/opi"
)

// taskRequest is the body of POST /tasks/:task_guid (contract 3). Fields that it does not
// name are ignored.
type taskRequest struct {
	Name               string                `json:"name"`
	AppGUID            string                `json:"app_guid"`
	AppName            string                `json:"app_name"`
	SpaceGUID          string                `json:"space_guid"`
	SpaceName          string                `json:"space_name"`
	OrganizationGUID   string                `json:"org_guid"`
	OrganizationName   string                `json:"org_name"`
	Environment        []environmentVariable `json:"environment"`
	CompletionCallback string                `json:"completion_callback"`
	Lifecycle          lifecycle             `json:"lifecycle"`
}

// The only variables that say how large a task may be.
const (
	memoryVariable      = "MEMORY_LIMIT"
	applicationVariable = "VCAP_APPLICATION"
)

// defaultTaskMemoryMiB is Cloud Controller's own default, for a request that says
// nothing of memory.
const defaultTaskMemoryMiB = 1024

// task converts the request. It refuses what the wire alone can get wrong; the rules of
// the domain are opi.Task.Validate's.
func (r taskRequest) task(guid string) (opi.Task, error) {
	task := opi.Task{
		GUID:               guid,
		Door:               opi.DoorOPI,
		Name:               r.Name,
		App:                opi.Owner{GUID: r.AppGUID, Name: r.AppName},
		Space:              opi.Owner{GUID: r.SpaceGUID, Name: r.SpaceName},
		Organization:       opi.Owner{GUID: r.OrganizationGUID, Name: r.OrganizationName},
		Environment:        variables(r.Environment),
		CompletionCallback: r.CompletionCallback,
	}
	var asApp opi.LRP
	lifecycleErr := r.Lifecycle.apply(&asApp)
	task.RootFS, task.Droplet, task.Process = asApp.RootFS, asApp.Droplet, asApp.MainProcess()
	limits, limitsErr := taskLimits(task.Environment)
	task.Limits = limits
	return task, errors.Join(lifecycleErr, limitsErr)
}

// variables is a list of variables as a map; of two with one name the last one counts.
func variables(list []environmentVariable) map[string]string {
	found := make(map[string]string, len(list))
	for _, variable := range list {
		found[variable.Name] = variable.Value
	}
	return found
}

// taskLimits reads the limits from where a task's own process finds them, since the
// request has no others. MEMORY_LIMIT counts before VCAP_APPLICATION; a disk limit of 0 is
// the platform's default.
func taskLimits(environment map[string]string) (opi.Limits, error) {
	var application struct {
		Limits struct {
			Memory int64 `json:"mem"`
			Disk   int64 `json:"disk"`
		} `json:"limits"`
	}
	if text := environment[applicationVariable]; text != "" {
		if err := json.Unmarshal([]byte(text), &application); err != nil {
			// The value is not shown, nor are its parts.
			return opi.Limits{}, opi.Invalid("environment."+applicationVariable, "is not a JSON object whose limits.mem and limits.disk are whole numbers, if they are there")
		}
	}
	memory := application.Limits.Memory
	if text := environment[memoryVariable]; text != "" {
		var err error
		if memory, err = opi.ParseMemoryLimit(text); err != nil {
			return opi.Limits{}, opi.Invalid("environment."+memoryVariable, "is not a number of mebibytes followed by m, as in 256m")
		}
	}
	if memory == 0 && environment[memoryVariable] == "" {
		memory = defaultTaskMemoryMiB
	}
	return opi.Limits{MemoryMiB: memory, DiskMiB: application.Limits.Disk, CPUWeight: cpuWeight(memory)}, nil
}

// cpuWeight is what Cloud Controller gives apps of that memory (contract 1.2).
func cpuWeight(memoryMiB int64) int64 {
	const least, most = 128, 8192
	return 100 * min(max(least, memoryMiB), most) / most
}

// taskNames are the sender's names of the domain's fields.
var taskNames = opi.FieldNames{
	{regexp.MustCompile(`^guid$`), taskParameter},
	{regexp.MustCompile(`^(app|space)\.(guid|name)$`), "${1}_${2}"},
	{regexp.MustCompile(`^organization\.(guid|name)$`), "org_${1}"},
	{regexp.MustCompile(`^limits\.disk$`), "environment." + applicationVariable},
	{regexp.MustCompile(`^limits\..*$`), "environment." + memoryVariable},
	{regexp.MustCompile(`^completionCallback$`), "completion_callback"},
	{regexp.MustCompile(`^process\.command$`), "lifecycle.buildpack_lifecycle.start_command"},
	{regexp.MustCompile(`^process(es\[0\])?\.command`), "lifecycle.command"},
	{regexp.MustCompile(`^rootFS\.image\.credentials$`), "lifecycle.docker_lifecycle.registry_username"},
	{regexp.MustCompile(`^rootFS\.image(\..*)?$`), "lifecycle.docker_lifecycle.image"},
	{regexp.MustCompile(`^rootFS$`), "lifecycle"},
	{regexp.MustCompile(`^rootFS\.stack$`), "lifecycle.buildpack_lifecycle"},
	{regexp.MustCompile(`^droplet\.guid$`), "lifecycle.buildpack_lifecycle.droplet_guid"},
	{regexp.MustCompile(`^droplet\.checksum`), "lifecycle.buildpack_lifecycle.droplet_hash"},
	{regexp.MustCompile(`^droplet$`), "lifecycle.buildpack_lifecycle"},
}
