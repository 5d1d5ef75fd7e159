package steps

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// MaxResultBytes bounds a result.json.
const MaxResultBytes = 1 << 20

// Result is what a build found out, in the form that Cloud Controller takes as the
// result of a staging.
type Result struct {
	// LifecycleType is "buildpack".
	LifecycleType     string            `json:"lifecycle_type"`
	LifecycleMetadata LifecycleMetadata `json:"lifecycle_metadata"`
	// ProcessTypes are start commands by process type.
	ProcessTypes map[string]string `json:"process_types"`
	// Processes are the same once more, as a list in the order of the types.
	Processes []ResultProcess `json:"processes,omitempty"`
	Sidecars  []ResultSidecar `json:"sidecars,omitempty"`
	// ExecutionMetadata is always empty for buildpacks, and must be there.
	ExecutionMetadata string `json:"execution_metadata"`
}

// LifecycleMetadata says which buildpacks made the droplet.
type LifecycleMetadata struct {
	// BuildpackKey is the key of the last buildpack.
	BuildpackKey string `json:"buildpack_key,omitempty"`
	// DetectedBuildpack is the last buildpack's name for itself or, where it has
	// none, what its bin/detect printed.
	DetectedBuildpack string            `json:"detected_buildpack"`
	Buildpacks        []ResultBuildpack `json:"buildpacks"`
}

// ResultBuildpack is a buildpack that was used.
type ResultBuildpack struct {
	Key     string `json:"key"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

// ResultProcess is a process type and its start command.
type ResultProcess struct {
	Type    string `json:"type"`
	Command string `json:"command"`
}

// ResultSidecar is a process that runs beside others.
type ResultSidecar struct {
	Name         string   `json:"name"`
	ProcessTypes []string `json:"process_types"`
	Command      string   `json:"command"`
	// Memory is in MiB; 0 when the buildpack asked for none.
	Memory int64 `json:"memory,omitempty"`
}

// ParseResult reads a result.json that user code may have written. It takes what
// Cloud Controller takes, drops members that it doesn't know, and refuses
// everything else with an error that says what is wrong.
func ParseResult(text []byte) (Result, error) {
	var result Result
	if len(text) > MaxResultBytes {
		return result, fmt.Errorf("it has more than %d bytes", MaxResultBytes)
	}
	if err := json.Unmarshal(text, &result); err != nil {
		var mistyped *json.UnmarshalTypeError
		if errors.As(err, &mistyped) {
			return Result{}, fmt.Errorf("%s is of the wrong type", mistyped.Field)
		}
		return Result{}, errors.New("it is not JSON")
	}
	if result.LifecycleType != "buildpack" {
		return Result{}, errors.New(`lifecycle_type is not "buildpack"`)
	}
	if result.ProcessTypes == nil {
		return Result{}, errors.New("process_types is missing")
	}
	for _, process := range result.Processes {
		if process.Type == "" {
			return Result{}, errors.New("a process has no type")
		}
	}
	for _, sidecar := range result.Sidecars {
		if sidecar.Name == "" || sidecar.Command == "" || len(sidecar.ProcessTypes) == 0 || sidecar.Memory < 0 {
			return Result{}, errors.New("a sidecar lacks name, command or process types, or has less than no memory")
		}
	}
	for _, buildpack := range result.LifecycleMetadata.Buildpacks {
		if buildpack.Key == "" {
			return Result{}, errors.New("a buildpack has no key")
		}
	}
	if bytes.Contains(text, []byte(`\u0000`)) && result.containsNUL() {
		return Result{}, errors.New("it contains a NUL character")
	}
	return result, nil
}

// containsNUL tells whether a value has a character that no database takes.
func (r Result) containsNUL() bool {
	values := []string{r.LifecycleMetadata.BuildpackKey, r.LifecycleMetadata.DetectedBuildpack, r.ExecutionMetadata}
	for kind, command := range r.ProcessTypes {
		values = append(values, kind, command)
	}
	for _, process := range r.Processes {
		values = append(values, process.Type, process.Command)
	}
	for _, sidecar := range r.Sidecars {
		values = append(append(values, sidecar.Name, sidecar.Command), sidecar.ProcessTypes...)
	}
	for _, buildpack := range r.LifecycleMetadata.Buildpacks {
		values = append(values, buildpack.Key, buildpack.Name, buildpack.Version)
	}
	for _, value := range values {
		if strings.ContainsRune(value, 0) {
			return true
		}
	}
	return false
}

// Text is the result as it is written and stored: JSON, the same bytes for the same
// result, at most MaxResultBytes.
func (r Result) Text() ([]byte, error) {
	if r.LifecycleMetadata.Buildpacks == nil {
		r.LifecycleMetadata.Buildpacks = []ResultBuildpack{}
	}
	if r.ProcessTypes == nil {
		r.ProcessTypes = map[string]string{}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	// Start commands are full of & and >, and people read this.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return nil, fmt.Errorf("write the result: %w", err)
	}
	if text.Len() > MaxResultBytes {
		// Characters that are not UTF-8 are written as longer ones.
		return nil, fmt.Errorf("write the result: it has more than %d bytes", MaxResultBytes)
	}
	return text.Bytes(), nil
}
