package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"go.yaml.in/yaml/v3"
)

// maxStagingInfo bounds, in bytes, how much of a staging_info.yml is read; real
// ones hold a few hundred. The droplet comes from user code, and launch's memory
// counts against the app.
const maxStagingInfo = 1 << 20

// stagingInfo is what staging tells launch about a droplet. Members that launch
// has no use for (detected_buildpack, ...) are ignored.
type stagingInfo struct {
	StartCommand string `json:"start_command" yaml:"start_command"`
	Config       struct {
		// EntrypointPrefix is shell text put before the quoted start command in
		// place of "bash -c"; a buildpack asks for it.
		EntrypointPrefix string `json:"entrypoint_prefix" yaml:"entrypoint_prefix"`
	} `json:"config" yaml:"config"`
}

// readStagingInfo reads a staging_info.yml. A missing file is an empty one.
func readStagingInfo(file string) (stagingInfo, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return stagingInfo{}, nil
	}
	if err != nil {
		return stagingInfo{}, fmt.Errorf("read the droplet's start command: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxStagingInfo+1))
	if err != nil {
		return stagingInfo{}, fmt.Errorf("read the droplet's start command: %w", err)
	}
	if len(text) > maxStagingInfo {
		return stagingInfo{}, fmt.Errorf("read the droplet's start command: %s is larger than %d bytes", file, maxStagingInfo)
	}
	info, err := parseStagingInfo(text)
	if err != nil {
		return stagingInfo{}, fmt.Errorf("read the droplet's start command from %s: %w", file, err)
	}
	return info, nil
}

// parseStagingInfo reads the text of a staging_info.yml. Despite its name the
// file is mostly JSON, and YAML parsers refuse some JSON (characters written as
// surrogate pairs), so text that is JSON is read as such.
func parseStagingInfo(text []byte) (stagingInfo, error) {
	var info stagingInfo
	var err error
	if json.Valid(text) {
		err = json.Unmarshal(text, &info)
	} else {
		err = yaml.Unmarshal(text, &info)
	}
	if err != nil {
		return stagingInfo{}, err
	}
	return info, nil
}
