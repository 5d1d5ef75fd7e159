package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func TestUnreadableStagingInfo(t *testing.T) {
	g := NewWithT(t)
	file := filepath.Join(t.TempDir(), "staging_info.yml")
	g.Expect(os.Mkdir(file, 0o755)).To(Succeed())
	_, err := readStagingInfo(file)
	g.Expect(err).To(MatchError(ContainSubstring("read the droplet's start command: ")))
}

// Whatever a droplet's staging_info.yml holds, it is read or refused, and what
// JSON says is what is read.
func FuzzParseStagingInfo(f *testing.F) {
	for _, seed := range []string{`{"detected_buildpack":"ruby","start_command":"bundle exec rackup"}`, "start_command: a\n",
		"---\nstart_command: |\n  a\n  b\nconfig:\n  entrypoint_prefix: x\n", `{"start_command":null}`, `{"start_command":["a"]}`,
		"a: &a [*a]", "start_command: &x {a: *x}", "<<: [1]", "}{", "\x00", "%YAML 1.1", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		info, err := parseStagingInfo(text)
		var want struct {
			StartCommand *string `json:"start_command"`
		}
		if err == nil && json.Unmarshal(text, &want) == nil && want.StartCommand != nil && *want.StartCommand != info.StartCommand {
			t.Fatalf("read %q, JSON says %q", info.StartCommand, *want.StartCommand)
		}
	})
}
