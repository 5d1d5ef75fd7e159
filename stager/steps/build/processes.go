package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/irene-cf/irene/stager/steps"
)

// process is a process or a sidecar, as a launch.yml has it.
type process struct {
	Type    string `yaml:"type"`
	Command string `yaml:"command"`
	Limits  struct {
		// Memory is in MiB.
		Memory int64 `yaml:"memory"`
	} `yaml:"limits"`
	Platforms struct {
		CloudFoundry struct {
			SidecarFor []string `yaml:"sidecar_for"`
		} `yaml:"cloudfoundry"`
	} `yaml:"platforms"`
}

// processes gathers process types from all who have a say. A later process replaces
// an earlier one of its type, in its place.
func (b *builder) processes(ctx context.Context) ([]process, error) {
	var all []process
	last := len(b.used) - 1
	launches := false
	for i, p := range b.used {
		more, found, err := readLaunch(filepath.Join(b.deps(i), "launch.yml"))
		if err != nil {
			return nil, steps.Because(steps.BadProcesses, err, "Failed to read launch.yml of buildpack %s", p)
		}
		all = merge(all, more)
		launches = found // the last one's counts
	}
	if !launches {
		more, err := b.release(ctx, b.used[last])
		if err != nil {
			return nil, steps.Because(steps.ReleaseFailed, err, "%s: buildpack %s: bin/release", releaseFailed, b.used[last])
		}
		all = merge(all, more)
	}
	more, err := readProcfile(b.path(steps.AppFolder, "Procfile"))
	if err != nil {
		return nil, steps.Because(steps.BadProcesses, err, procfileFailed)
	}
	all = merge(all, more)

	for _, p := range all {
		if p.Type == "web" && p.Command != "" && len(p.Platforms.CloudFoundry.SidecarFor) == 0 {
			return all, nil
		}
	}
	b.errors.Line(noStartCommand1)
	b.errors.Line(noStartCommand2)
	return all, nil
}

func merge(processes, more []process) []process {
	for _, p := range more {
		at := slices.IndexFunc(processes, func(old process) bool { return old.Type == p.Type })
		if at < 0 {
			processes = append(processes, p)
		} else {
			processes[at] = p
		}
	}
	return processes
}

// readLaunch reads a launch.yml, if there is one.
func readLaunch(path string) ([]process, bool, error) {
	text, err := readFile(path, maxTextFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	var launch struct {
		Processes []process `yaml:"processes"`
	}
	if err := yaml.Unmarshal(text, &launch); err != nil {
		return nil, false, yamlError(err)
	}
	for i, p := range launch.Processes {
		if p.Type == "" {
			return nil, false, fmt.Errorf("process %d has no type", i+1)
		}
		if len(p.Platforms.CloudFoundry.SidecarFor) > 0 && p.Command == "" {
			return nil, false, fmt.Errorf("sidecar %s has no command", p.Type)
		}
		if p.Limits.Memory < 0 {
			return nil, false, fmt.Errorf("process %s is to have less than no memory", p.Type)
		}
	}
	return launch.Processes, true, nil
}

// release asks a buildpack for process types.
func (b *builder) release(ctx context.Context, p *buildpack) ([]process, error) {
	began := time.Now()
	output, err := b.scripts.capture(ctx, p, "release", b.path(steps.AppFolder))
	b.done("release "+p.String(), began, 0)
	if err != nil {
		return nil, err
	}
	var release struct {
		DefaultProcessTypes map[string]string `yaml:"default_process_types"`
	}
	if err := yaml.Unmarshal(output, &release); err != nil {
		return nil, fmt.Errorf("what it printed can't be read: %w", yamlError(err))
	}
	return fromTypes(release.DefaultProcessTypes), nil
}

// readProcfile reads the app's Procfile, if there is one.
func readProcfile(path string) ([]process, error) {
	text, err := readFile(path, maxTextFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var types map[string]string
	if err := yaml.Unmarshal(text, &types); err != nil {
		return nil, yamlError(err)
	}
	return fromTypes(types), nil
}

func fromTypes(types map[string]string) []process {
	var processes []process
	for _, kind := range slices.Sorted(maps.Keys(types)) {
		processes = append(processes, process{Type: kind, Command: types[kind]})
	}
	return processes
}

// yamlError puts a parser's error into one line.
func yamlError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	return fmt.Errorf("it is not valid YAML: %s", strings.Join(strings.Fields(text), " "))
}
