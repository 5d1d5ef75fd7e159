package staginginfo_test

import (
	"encoding/json"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/bits/droplet/staginginfo"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]staginginfo.Info{
		`{"detected_buildpack":"ruby","start_command":"bundle exec rackup"}`: {DetectedBuildpack: "ruby", StartCommand: "bundle exec rackup"},
		"detected_buildpack: ruby\nstart_command: bundle exec rackup\n":      {DetectedBuildpack: "ruby", StartCommand: "bundle exec rackup"},
		`{"start_command":"echo \ud83d\ude00"}`:                              {StartCommand: "echo 😀"},
		`{"lifecycle_type":"buildpack","start_command":""}`:                  {},
		`{"start_command":null}`:                                             {},
		"start_command: a\nstart_command: b\n":                               {StartCommand: "b"},
		"start_command: |\n  a\n  b\n":                                       {StartCommand: "a\nb\n"},
		"":                                                                   {},
		"# nothing\n":                                                        {},
	} {
		got, err := staginginfo.Parse([]byte(text))
		g := NewWithT(t)
		g.Expect(err).NotTo(HaveOccurred(), text)
		g.Expect(got).To(Equal(want), text)
	}
	got, err := staginginfo.Parse([]byte(`{"config":{"entrypoint_prefix":"sh -c"}}`))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(got.Config.EntrypointPrefix).To(Equal("sh -c"))

	for _, text := range []string{"start_command: [", `{"start_command":["a"]}`, "start_command: [a]", "- a", "\x00"} {
		got, err := staginginfo.Parse([]byte(text))
		NewWithT(t).Expect(err).To(HaveOccurred(), text)
		NewWithT(t).Expect(got).To(BeZero(), text)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{`{"start_command":"x"}`, "start_command: x", "a: &a [*a]", "a: &a b\nstart_command: *a", "\"\\ud83d\"", "? ?", "!!binary x", "<<: *x"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		info, err := staginginfo.Parse(text)
		if err != nil && info != (staginginfo.Info{}) {
			t.Fatalf("%+v beside the error %v", info, err)
		}
		var want struct {
			StartCommand *string `json:"start_command"`
		}
		if err == nil && json.Unmarshal(text, &want) == nil && want.StartCommand != nil && *want.StartCommand != info.StartCommand {
			t.Fatalf("read %q, JSON says %q", info.StartCommand, *want.StartCommand)
		}
	})
}
