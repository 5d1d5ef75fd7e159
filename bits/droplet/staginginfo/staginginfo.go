// Package staginginfo reads staging_info.yml, the file at a droplet's root in
// which staging tells how to start the app.
//
// It promises no more than values: no files and no goroutines. It imports nothing
// but parsers, so that programs inside containers can use it.
package staginginfo

import (
	"encoding/json"

	"github.com/irene-cf/irene/bits/droplet/useryaml"
)

// MaxBytes bounds a staging_info.yml; real ones have a few hundred bytes. The file
// comes out of user code, so callers check it before they read one into memory.
const MaxBytes = 1 << 20

// Info is what a staging_info.yml says. Whatever else stands in it is ignored.
type Info struct {
	// DetectedBuildpack is what the buildpack calls itself.
	DetectedBuildpack string `json:"detected_buildpack" yaml:"detected_buildpack"`
	// StartCommand starts the app when nothing else is said.
	StartCommand string `json:"start_command" yaml:"start_command"`
	Config       struct {
		// EntrypointPrefix is shell words that a buildpack wants to run the start
		// command with, in place of "bash -c".
		EntrypointPrefix string `json:"entrypoint_prefix" yaml:"entrypoint_prefix"`
	} `json:"config" yaml:"config"`
}

// Parse reads the text of a staging_info.yml. Most are JSON in spite of their name,
// and since YAML parsers refuse some JSON (characters written as surrogate pairs),
// what is JSON is read as JSON.
func Parse(text []byte) (Info, error) {
	parse := func(text []byte, info any) error {
		_, err := useryaml.Unmarshal(text, info)
		return err
	}
	if json.Valid(text) {
		parse = json.Unmarshal
	}
	var info Info
	if err := parse(text, &info); err != nil {
		return Info{}, err
	}
	return info, nil
}
