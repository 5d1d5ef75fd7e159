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

	"github.com/irene-cf/irene/bits/droplet/useryaml"
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
		more, found, err := b.readLaunch(i, p)
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
	more, err := b.readProcfile()
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

// readLaunch reads the launch.yml of a used buildpack, if there is one.
func (b *builder) readLaunch(i int, p *buildpack) ([]process, bool, error) {
	text, err := readFile(filepath.Join(b.deps(i), "launch.yml"), maxTextFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	var launch struct {
		Processes []process `yaml:"processes"`
	}
	if err := b.readYAML(fmt.Sprintf("launch.yml of buildpack %s", p), text, &launch); err != nil {
		return nil, false, err
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
	if err := b.readYAML(fmt.Sprintf("what bin/release of buildpack %s printed", p), output, &release); err != nil {
		return nil, fmt.Errorf("what it printed can't be read: %w", err)
	}
	return fromTypes(release.DefaultProcessTypes), nil
}

// readProcfile reads the app's Procfile, if there is one.
func (b *builder) readProcfile() ([]process, error) {
	text, err := readFile(b.path(steps.AppFolder, "Procfile"), maxTextFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var types map[string]string
	if err := b.readYAML("the Procfile", text, &types); err != nil {
		return nil, err
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

// readYAML reads what users and buildpacks wrote, and warns of keys that don't count.
func (b *builder) readYAML(what string, text []byte, into any) error {
	repeated, err := useryaml.Unmarshal(text, into)
	if err != nil {
		reason := strings.TrimPrefix(err.Error(), "yaml: ")
		return fmt.Errorf("it is not valid YAML: %s", strings.Join(strings.Fields(reason), " "))
	}
	if len(repeated) > 0 {
		b.errors.Line("Warning: of keys that are repeated in %s only the last one counts: ignored %s", what, strings.Join(repeated, ", "))
	}
	return nil
}
