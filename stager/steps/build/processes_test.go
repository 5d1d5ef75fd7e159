package build

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/stager/steps"
)

func TestWhoHasTheLastWordOnProcesses(t *testing.T) {
	g := NewWithT(t)
	launch := func(text string) string { return `cat >"$3/$4/launch.yml" <<END` + "\n" + text + "\nEND\n" }
	w := newWorkspace(t)
	w.use(t, "first", map[string]string{"supply": launch("processes: [{type: web, command: first}, {type: a, command: first}, {type: s, command: sc, platforms: {cloudfoundry: {sidecar_for: [web, a]}}}]")})
	w.use(t, "second", map[string]string{"supply": launch("processes: [{type: a, command: second}, {type: b, command: second}, {type: t, command: tc, limits: {memory: 7}, platforms: {cloudfoundry: {sidecar_for: [b]}, other: x}}]")})
	w.use(t, "third", map[string]string{"finalize": "", "release": `echo 'default_process_types: {b: third, c: third, t: third}'; echo 'config_vars: {X: y}'`})
	w.file(t, "app/Procfile", "c: procfile\nz: 7\n").built(t)
	result := w.result(t)
	g.Expect(result.ProcessTypes).To(Equal(map[string]string{"web": "first", "a": "second", "b": "third", "t": "third", "c": "procfile", "z": "7"}))
	g.Expect(result.Sidecars).To(Equal([]steps.ResultSidecar{{Name: "s", ProcessTypes: []string{"web", "a"}, Command: "sc"}}))
	g.Expect(w.stagingInfo(t)).To(HaveKeyWithValue("start_command", "first"))
}

func TestLaunchOfTheLastReplacesRelease(t *testing.T) {
	g := NewWithT(t)
	w := newWorkspace(t).use(t, "a", map[string]string{
		"supply":   `echo 'processes: [{type: web, command: launched}]' >"$3/$4/launch.yml"`,
		"finalize": "",
		"release":  "exit 1",
	}).built(t)
	g.Expect(w.result(t).ProcessTypes).To(Equal(map[string]string{"web": "launched"}))
}

func TestBuildpackConfiguration(t *testing.T) {
	g := NewWithT(t)
	w := newWorkspace(t).use(t, "a", map[string]string{
		"supply":   `printf 'name: Fancy\nversion: 1.2\nconfig: {entrypoint_prefix: with-env}\n' >"$3/$4/config.yml"`,
		"finalize": "",
		"release":  "echo '{default_process_types: {web: run}}'",
	}).built(t)
	g.Expect(w.result(t).LifecycleMetadata).To(Equal(steps.LifecycleMetadata{BuildpackKey: "a", DetectedBuildpack: "Fancy",
		Buildpacks: []steps.ResultBuildpack{{Key: "a", Name: "Fancy", Version: "1.2"}}}))
	g.Expect(w.stagingInfo(t)).To(Equal(map[string]any{"detected_buildpack": "Fancy", "start_command": "run", "config": map[string]any{"entrypoint_prefix": "with-env"}}))

	w = newWorkspace(t).use(t, "a", map[string]string{"supply": `echo '[' >"$3/$4/config.yml"`, "finalize": "", "release": "echo '{}'"}).built(t)
	g.Expect(w.stderr).To(ContainSubstring("Warning: config.yml of buildpack a_buildpack is not used: it is not valid YAML"))
	g.Expect(w.result(t).LifecycleMetadata.DetectedBuildpack).To(Equal("a_buildpack"))
	g.Expect(w.stderr).To(HavePrefix(noStartCommand1 + "\n" + noStartCommand2 + "\n"))
}

func TestResultsAreWrittenForPeople(t *testing.T) {
	g := NewWithT(t)
	w := newWorkspace(t).use(t, "a", map[string]string{"compile": "", "release": `echo "default_process_types: {web: 'a && b > c'}"`}).built(t)
	text, err := readFile(w.path(steps.OutFolder, steps.ResultFile), steps.MaxResultBytes)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(text)).To(ContainSubstring(`"web":"a && b > c"`))
	g.Expect(string(text)).To(ContainSubstring(`"execution_metadata":""`))
}

// The parsers of other Cloud Foundries accept a key twice, and so people's files have some.
func TestTheLastOfRepeatedKeysCounts(t *testing.T) {
	g := NewWithT(t)
	w := newWorkspace(t).use(t, "a", map[string]string{
		"supply":   `printf 'name: Old\nname: New\n' >"$3/$4/config.yml"; printf 'processes:\n- {type: a, type: launched, command: x}\n' >"$3/$4/launch.yml"`,
		"finalize": "",
	}).file(t, "app/Procfile", "web: ./old\nweb: ./new\n").built(t)
	g.Expect(w.result(t).ProcessTypes).To(Equal(map[string]string{"web": "./new", "launched": "x"}))
	g.Expect(w.result(t).LifecycleMetadata.DetectedBuildpack).To(Equal("New"))
	g.Expect(w.stderr).To(ContainSubstring("Warning: of keys that are repeated in the Procfile only the last one counts: ignored web (line 1)\n"))

	w = newWorkspace(t).use(t, "a", map[string]string{
		"compile": "", "release": `printf 'default_process_types: {}\ndefault_process_types: {web: old, web: new}\n'`,
	}).built(t)
	g.Expect(w.result(t).ProcessTypes).To(Equal(map[string]string{"web": "new"}))
}
