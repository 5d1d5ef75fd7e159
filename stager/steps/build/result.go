package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/irene-cf/irene/stager/steps"
)

// buildpackConfig is what a buildpack says of itself in its config.yml.
type buildpackConfig struct {
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
	Config  struct {
		EntrypointPrefix string `yaml:"entrypoint_prefix"`
	} `yaml:"config"`
}

// stagingInfo is the droplet's staging_info.yml, which is JSON.
type stagingInfo struct {
	DetectedBuildpack string             `json:"detected_buildpack"`
	StartCommand      string             `json:"start_command"`
	Config            *stagingInfoConfig `json:"config,omitempty"`
}

type stagingInfoConfig struct {
	EntrypointPrefix string `json:"entrypoint_prefix"`
}

// result makes what Cloud Controller and the droplet's launcher are told.
func (b *builder) result(processes []process) (result, info []byte, err error) {
	r := steps.Result{LifecycleType: "buildpack", ProcessTypes: map[string]string{}}
	var last buildpackConfig
	for i, p := range b.used {
		last = b.readConfig(i, p)
		r.LifecycleMetadata.Buildpacks = append(r.LifecycleMetadata.Buildpacks, steps.ResultBuildpack{Key: p.Key, Name: last.Name, Version: last.Version})
	}
	r.LifecycleMetadata.BuildpackKey = b.used[len(b.used)-1].Key
	r.LifecycleMetadata.DetectedBuildpack = last.Name
	for _, p := range processes {
		if sidecarFor := p.Platforms.CloudFoundry.SidecarFor; len(sidecarFor) > 0 {
			r.Sidecars = append(r.Sidecars, steps.ResultSidecar{Name: p.Type, ProcessTypes: sidecarFor, Command: p.Command, Memory: p.Limits.Memory})
			continue
		}
		r.ProcessTypes[p.Type] = p.Command
		r.Processes = append(r.Processes, steps.ResultProcess{Type: p.Type, Command: p.Command})
	}

	staging := stagingInfo{DetectedBuildpack: last.Name, StartCommand: r.ProcessTypes["web"]}
	if prefix := last.Config.EntrypointPrefix; prefix != "" {
		staging.Config = &stagingInfoConfig{EntrypointPrefix: prefix}
	}
	if info, err = json.Marshal(staging); err != nil {
		return nil, nil, fmt.Errorf("write staging_info.yml: %w", err)
	}
	if result, err = r.Text(); err != nil {
		return nil, nil, err
	}
	if _, err := steps.ParseResult(result); err != nil {
		return nil, nil, steps.Because(steps.BadProcesses, err, "the buildpacks' result can't be used")
	}
	return result, info, nil
}

// readConfig reads what a used buildpack says of itself. One that says nothing has the
// name that its bin/detect printed, or else that under which it was asked for.
func (b *builder) readConfig(i int, p *buildpack) buildpackConfig {
	var config buildpackConfig
	text, err := readFile(filepath.Join(b.deps(i), "config.yml"), maxTextFile)
	if err == nil {
		if err = b.readYAML(fmt.Sprintf("config.yml of buildpack %s", p), text, &config); err != nil {
			config = buildpackConfig{}
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.errors.Line("Warning: config.yml of buildpack %s is not used: %v", p, err)
	}
	if config.Name == "" {
		config.Name = b.detected
	}
	if config.Name == "" && p.Name != "custom" {
		config.Name = p.Name
	}
	return config
}
