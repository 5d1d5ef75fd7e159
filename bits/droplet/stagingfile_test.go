package droplet_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/bits/droplet"
	"github.com/irene-cf/irene/bits/droplet/staginginfo"
)

func TestStagingInfo(t *testing.T) {
	for what, example := range map[string]struct {
		droplet []entry
		want    staginginfo.Info
		err     string
	}{
		"as JSON":          {[]entry{file("./staging_info.yml", `{"detected_buildpack":"go","start_command":"./x"}`)}, staginginfo.Info{DetectedBuildpack: "go", StartCommand: "./x"}, ""},
		"as YAML, not ./":  {[]entry{file("staging_info.yml", "start_command: ./x\n"), file("app/a", "start_command: ./y")}, staginginfo.Info{StartCommand: "./x"}, ""},
		"none":             {[]entry{file("app/staging_info.yml", "start_command: ./x\n")}, staginginfo.Info{}, ""},
		"empty":            {[]entry{file("staging_info.yml", "")}, staginginfo.Info{}, ""},
		"as large as can":  {[]entry{file("staging_info.yml", "start_command: ./x\n#"+strings.Repeat("x", staginginfo.MaxBytes-20))}, staginginfo.Info{StartCommand: "./x"}, ""},
		"too large":        {[]entry{file("staging_info.yml", strings.Repeat(" ", staginginfo.MaxBytes+1))}, staginginfo.Info{}, "it has 1048577 bytes, more than 1048576"},
		"not to be parsed": {[]entry{file("staging_info.yml", "start_command: [")}, staginginfo.Info{}, "read the droplet's staging_info.yml: yaml"},
		"a link":           {[]entry{file("x", "start_command: ./x"), symlink("staging_info.yml", "x")}, staginginfo.Info{}, "it is no regular file"},
		"a hard link":      {[]entry{file("x", "start_command: ./x"), hardlink("staging_info.yml", "x")}, staginginfo.Info{}, "it is no regular file"},
		"added twice":      {[]entry{file("staging_info.yml", "start_command: ./x\n"), file("./staging_info.yml", "start_command: ./y\n")}, staginginfo.Info{StartCommand: "./y"}, ""},
		"replaced":         {[]entry{symlink("staging_info.yml", "x"), file("staging_info.yml", "start_command: ./y\n")}, staginginfo.Info{StartCommand: "./y"}, ""},
		"a folder":         {[]entry{folder("staging_info.yml")}, staginginfo.Info{}, "it is no regular file"},
	} {
		t.Run(what, func(t *testing.T) {
			g := NewWithT(t)
			layer, _, err := convert(t, archive(t, example.droplet...), droplet.Options{})
			g.Expect(err).NotTo(HaveOccurred(), "a droplet is none the worse for it")
			g.Expect(layer.StagingInfo).To(Equal(example.want))
			if example.err == "" {
				g.Expect(layer.StagingInfoError).NotTo(HaveOccurred())
			} else {
				g.Expect(layer.StagingInfoError).To(MatchError(ContainSubstring(example.err)))
			}
		})
	}
}
