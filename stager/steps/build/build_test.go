package build

import (
	"fmt"
	"os"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	samples "github.com/irene-cf/irene/fixtures/buildpack"
	"github.com/irene-cf/irene/stager/steps"
)

func TestClassicBuildpack(t *testing.T) {
	g := NewWithT(t)
	w := newWorkspace(t).sample(t, samples.Static, false, samples.File{Name: "bin/fileserver"}).sample(t, samples.Classic, false)
	w.file(t, "app/start.sh", "echo started").built(t)
	g.Expect(w.stdout).To(HavePrefix("-----> Classic buildpack, build 1 of this app, on cflinuxfs4\n"))
	g.Expect(w.stdout).To(ContainSubstring("Packed droplet ("))
	g.Expect(w.stderr).To(BeEmpty())
	g.Expect(w.result(t)).To(Equal(steps.Result{
		LifecycleType: "buildpack",
		LifecycleMetadata: steps.LifecycleMetadata{BuildpackKey: "classic", DetectedBuildpack: "Shell script",
			Buildpacks: []steps.ResultBuildpack{{Key: "classic", Name: "Shell script"}}},
		ProcessTypes: map[string]string{"web": "./start.sh"},
		Processes:    []steps.ResultProcess{{Type: "web", Command: "./start.sh"}},
	}))
	g.Expect(w.packed(t, steps.DropletFile)).To(Equal(map[string]string{
		"./": "/", "./app/": "/", "./app/.profile.d/": "/", "./app/.profile.d/classic.sh": "export COMPILED=yes\n", "./app/start.sh": "echo started",
		"./deps/": "/", "./logs/": "/", "./profile.d/": "/", "./tmp/": "/",
		"./staging_info.yml": `{"detected_buildpack":"Shell script","start_command":"./start.sh"}`,
	}))
	g.Expect(w.packed(t, steps.CacheFile)).To(Equal(map[string]string{"./": "/", "./final/": "/", "./final/builds": "1\n"}))
	g.Expect(w.phaseNames()).To(Equal([]string{"detect", "compile classic_buildpack", "release classic_buildpack", "droplet", "cache"}))
}

func TestSupplyAndFinalize(t *testing.T) {
	g := NewWithT(t)
	w := newWorkspace(t).sample(t, samples.Static, false, samples.File{Name: "bin/fileserver", Content: []byte("server")})
	w.file(t, "app/index.html", "hello").file(t, "cache/final/builds", "41\n").built(t)
	g.Expect(w.stdout).To(ContainSubstring("build 42 of this app"))
	droplet := w.packed(t, steps.DropletFile)
	g.Expect(droplet["./deps/0/bin/fileserver"]).To(Equal("server"))
	g.Expect(droplet["./profile.d/static.sh"]).To(ContainSubstring("DEPS_DIR"))
	g.Expect(w.packed(t, steps.CacheFile)["./final/builds"]).To(Equal("42\n"))
	g.Expect(w.result(t).LifecycleMetadata).To(Equal(steps.LifecycleMetadata{BuildpackKey: "static", DetectedBuildpack: "static",
		Buildpacks: []steps.ResultBuildpack{{Key: "static", Name: "static", Version: "1.0.0"}}}))
}

func TestSeveralBuildpacks(t *testing.T) {
	g := NewWithT(t)
	w := newWorkspace(t).sample(t, samples.Toolbox, true).sample(t, samples.Static, true, samples.File{Name: "bin/fileserver"})
	w.file(t, "app/Procfile", "web: greet && fileserver .\nworker: greet").built(t)
	g.Expect(w.result(t)).To(Equal(steps.Result{
		LifecycleType: "buildpack",
		LifecycleMetadata: steps.LifecycleMetadata{BuildpackKey: "static", DetectedBuildpack: "static",
			Buildpacks: []steps.ResultBuildpack{{Key: "toolbox", Name: "toolbox", Version: "0.1.0"}, {Key: "static", Name: "static", Version: "1.0.0"}}},
		ProcessTypes: map[string]string{"web": "greet && fileserver .", "worker": "greet"},
		Processes:    []steps.ResultProcess{{Type: "web", Command: "greet && fileserver ."}, {Type: "worker", Command: "greet"}},
		Sidecars:     []steps.ResultSidecar{{Name: "greeter", ProcessTypes: []string{"web"}, Command: "while greet; do sleep 60; done", Memory: 16}},
	}))
	g.Expect(w.packed(t, steps.DropletFile)).To(HaveKey("./deps/0/bin/greet"))
	g.Expect(w.packed(t, steps.DropletFile)).To(HaveKey("./deps/1/bin/fileserver"))
}

// record is a script that writes down its name and arguments, relative to the volume.
const record = `echo "$(basename "$0") $*" | sed "s|$BUILDPACKS_DIR/..|/tmp|g; s|$(dirname "$BUILDPACKS_DIR")|/tmp|g"` + "\n"

func TestArgumentsAndOrder(t *testing.T) {
	g := NewWithT(t)
	w := newWorkspace(t)
	for i := range 10 {
		scripts := map[string]string{"detect": "echo never", "supply": record, "finalize": record, "release": "echo '{}'; " + strings.TrimSpace(record) + " >&2"}
		w.use(t, fmt.Sprintf("key-%d", i), scripts)
	}
	w.file(t, "cache/stale/file", "x").file(t, "cache/"+steps.BuildpackFolder("key-1")+"/kept", "x").file(t, "cache/"+steps.BuildpackFolder("key-9")+"/not-the-last-ones", "x")
	w.built(t)
	var want []string
	for i := range 9 {
		key := fmt.Sprintf("key-%d", i)
		want = append(want, fmt.Sprintf("supply /tmp/app /tmp/cache/%s /tmp/contents/deps 0%d", steps.BuildpackFolder(key), i))
	}
	want = append(want, "supply /tmp/app /tmp/cache/final /tmp/contents/deps 09", "finalize /tmp/app /tmp/cache/final /tmp/contents/deps 09 /tmp/contents/profile.d")
	g.Expect(strings.Split(w.stdout, "\n")[:11]).To(Equal(want))
	g.Expect(w.stderr).To(HavePrefix("release /tmp/app\n" + noStartCommand1))
	g.Expect(w.path("cache/stale")).NotTo(BeADirectory())
	g.Expect(w.path("cache", steps.BuildpackFolder("key-9"))).NotTo(BeADirectory())
	g.Expect(w.path("cache", steps.BuildpackFolder("key-1"), "kept")).To(BeAnExistingFile())

	w = newWorkspace(t).use(t, "one", map[string]string{"compile": record + `[ ! -e "$BUILDPACKS_DIR/../contents/deps/0" ]`, "release": "echo '{}'"}).built(t)
	g.Expect(w.stdout).To(HavePrefix("compile /tmp/app /tmp/cache/final\n"))
	w = newWorkspace(t).use(t, "one", map[string]string{"supply": record, "release": "echo '{}'"}).
		use(t, "two", map[string]string{"compile": record + `[ -e "$BUILDPACKS_DIR/../contents/deps/0" ]; [ ! -e "$BUILDPACKS_DIR/../contents/deps/1" ]`, "release": "echo '{}'"}).built(t)
	g.Expect(w.stderr).To(HavePrefix(noFinalize + "\n"))
}

func TestFreshCachesHoldNothingOfAnotherBuild(t *testing.T) {
	g := NewWithT(t)
	w := newWorkspace(t)
	fill := `[ -z "$(ls -A "$2")" ]; touch "$2/state"; ` + record
	for _, key := range []string{"https://host/x", "https://host/x;2", "last"} {
		w.use(t, key, map[string]string{"supply": fill, "finalize": record, "release": "echo '{}'"})
	}
	for i := range w.config.Buildpacks {
		w.config.Buildpacks[i].FreshCache = true
	}
	w.file(t, "cache/"+steps.BuildpackFolder("https://host/x")+"/state", "of another buildpack").file(t, "fresh-cache/0/state", "left")
	w.built(t)
	g.Expect(strings.Split(w.stdout, "\n")[:3]).To(Equal([]string{
		"supply /tmp/app /tmp/fresh-cache/0 /tmp/contents/deps 0",
		"supply /tmp/app /tmp/fresh-cache/1 /tmp/contents/deps 1",
		"supply /tmp/app /tmp/cache/final /tmp/contents/deps 2",
	}))
	g.Expect(w.packed(t, steps.CacheFile)).To(And(HaveKey("./final/state"), HaveLen(3)))
}

func TestDetectionStopsAtTheFirst(t *testing.T) {
	g := NewWithT(t)
	w := newWorkspace(t)
	w.use(t, "no", map[string]string{"detect": "echo no; echo looking >&2; exit 1"})
	w.use(t, "gone", nil)
	w.use(t, "broken", map[string]string{"detect": "exit 127"})
	w.use(t, "windows", nil).file(t, steps.BuildpackPath("windows")+"/bin/detect", "#!/usr/bin/env sh\r\nexit 1\r\n")
	w.use(t, "undetecting", map[string]string{"compile": ""})
	w.use(t, "yes", map[string]string{"detect": record + "echo '  Two lines'; echo 'and one'; echo", "finalize": "", "release": "echo '{}'"})
	w.use(t, "late", map[string]string{"detect": "exit 99"})
	for i := range w.config.Buildpacks {
		w.config.Buildpacks[i].SkipDetect = false
	}
	w.built(t)
	g.Expect(w.result(t).LifecycleMetadata.DetectedBuildpack).To(Equal("detect /tmp/app\n  Two lines\nand one"))
	g.Expect(w.result(t).LifecycleMetadata.BuildpackKey).To(Equal("yes"))
	g.Expect(w.stderr).To(HavePrefix("looking\nbuildpack gone_buildpack is not there\n"))
	g.Expect(w.stderr).To(ContainSubstring("buildpack windows_buildpack: bin/detect: exit status 127; its lines end with CRLF"))
	g.Expect(w.stderr).To(ContainSubstring("buildpack undetecting_buildpack: bin/detect: there is no such script\n"))
}

func TestBuildpacksBelowOneFolder(t *testing.T) {
	g := NewWithT(t)
	w := newWorkspace(t).use(t, "hosted", nil)
	below := steps.BuildpackPath("hosted") + "/ruby-buildpack-main/"
	w.file(t, below+"bin/compile", "#!/bin/sh\necho compiling in $(dirname $0)\n").file(t, below+"bin/release", "#!/bin/sh\necho '{}'\n")
	w.file(t, steps.BuildpackPath("hosted")+"/__MACOSX/junk", "x").built(t)
	g.Expect(w.stdout).To(ContainSubstring("ruby-buildpack-main/bin\n"))

	w = newWorkspace(t).use(t, "two", nil)
	w.file(t, steps.BuildpackPath("two")+"/a/bin/compile", "").file(t, steps.BuildpackPath("two")+"/b/bin/compile", "")
	err := w.run(t)
	g.Expect(reasonOf(t, err)).To(Equal(steps.SupplyFailed))
	g.Expect(err).To(MatchError(ContainSubstring("has more than one folder with a bin folder")))
}

func TestModesThatWereLostAreMended(t *testing.T) {
	g := NewWithT(t)
	w := newWorkspace(t).use(t, "windows", map[string]string{"compile": "echo compiled", "release": "echo '{}'"})
	for _, script := range []string{"compile", "release"} {
		g.Expect(os.Chmod(w.path(steps.BuildpackPath("windows"), "bin", script), 0o644)).To(Succeed())
	}
	g.Expect(w.built(t).stdout).To(HavePrefix("compiled\n"))
}

func TestUserCodeIsNotRunTwice(t *testing.T) {
	g := NewWithT(t)
	w := newWorkspace(t).use(t, "once", map[string]string{"compile": "echo run", "release": "echo '{}'"}).built(t)
	err := w.run(t)
	g.Expect(reasonOf(t, err)).To(Equal(steps.Interrupted))
	g.Expect(w.stdout).To(BeEmpty())
}

func TestTheListOfBuildpacks(t *testing.T) {
	g := NewWithT(t)
	w := newWorkspace(t).use(t, "a", map[string]string{"compile": `cat "$BUILDPACKS_DIR/config.json"`, "release": "echo '{}'"}).built(t)
	g.Expect(w.stdout).To(HavePrefix(`[{"name":"a_buildpack","key":"a","skip_detect":true}]`))
}
