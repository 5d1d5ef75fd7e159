package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	samples "github.com/irene-cf/irene/fixtures/buildpack"
	"github.com/irene-cf/irene/stager/steps"
)

func TestExitStatuses(t *testing.T) {
	for name, c := range map[string]struct {
		pack   string
		at     string
		skip   bool
		status int
		id     string
		text   string
	}{
		"detect":   {samples.Failing, "detect", false, 222, "NoAppDetectedError", "None of the buildpacks detected a compatible application"},
		"supply":   {samples.Failing, "supply", true, 225, "BuildpackCompileFailed", "Failed to run all supply scripts: buildpack failing_buildpack: bin/supply: exit status 7"},
		"finalize": {samples.Failing, "finalize", true, 226, "BuildpackCompileFailed", "Failed to run finalize script: buildpack failing_buildpack: bin/finalize: exit status 7"},
		"release":  {samples.Failing, "release", true, 224, "BuildpackReleaseFailed", "Failed to build droplet release: buildpack failing_buildpack: bin/release: exit status 7"},
		"compile":  {samples.FailingClassic, "compile", true, 223, "BuildpackCompileFailed", "Failed to compile droplet: buildpack failing-classic_buildpack: bin/compile: exit status 7"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			t.Setenv("FAIL_AT", c.at)
			w := newWorkspace(t).sample(t, c.pack, c.skip)
			err := w.run(t)
			g.Expect(err).To(MatchError(c.text))
			g.Expect(reasonOf(t, err).ExitStatus()).To(Equal(c.status))
			g.Expect(reasonOf(t, err).ErrorID()).To(Equal(c.id))
			g.Expect(w.stderr).To(Equal("failing in " + c.at + ", as $FAIL_AT says\n"))
			g.Expect(w.path(steps.OutFolder, steps.ResultFile)).NotTo(BeAnExistingFile())
		})
	}
}

func TestOtherFailures(t *testing.T) {
	ok := map[string]string{"compile": "", "release": "echo '{}'"}
	with := func(name, text string) map[string]string {
		scripts := map[string]string{"compile": "", "release": "echo '{}'"}
		scripts[name] = text
		return scripts
	}
	app := `APP="$BUILDPACKS_DIR/../app"; `
	for name, c := range map[string]struct {
		make func(w *workspace)
		want steps.Reason
		text string
	}{
		"no bin/compile":    {func(w *workspace) { w.use(t, "a", map[string]string{"release": ""}) }, steps.CompileFailed, "bin/compile: there is no such script"},
		"no bin/release":    {func(w *workspace) { w.use(t, "a", map[string]string{"compile": ""}) }, steps.ReleaseFailed, "bin/release: there is no such script"},
		"no bin/supply":     {func(w *workspace) { w.use(t, "a", ok).use(t, "b", ok) }, steps.SupplyFailed, "does not support multi-buildpack apps: buildpack a_buildpack has no bin/supply"},
		"no bin":            {func(w *workspace) { w.use(t, "a", nil).file(t, steps.BuildpackPath("a")+"/README", "") }, steps.SupplyFailed, "buildpack a_buildpack has no bin folder"},
		"backslashes":       {func(w *workspace) { w.use(t, "a", nil).file(t, steps.BuildpackPath("a")+`/bin\compile`, "") }, steps.SupplyFailed, "has no bin folder: the names in its archive have backslashes"},
		"no buildpack":      {func(w *workspace) { w.use(t, "a", nil) }, steps.SupplyFailed, "buildpack a_buildpack is not there"},
		"killed":            {func(w *workspace) { w.use(t, "a", with("compile", "kill -9 $$")) }, steps.CompileFailed, "bin/compile: signal: killed"},
		"release not YAML":  {func(w *workspace) { w.use(t, "a", with("release", "echo 'a: [b'")) }, steps.ReleaseFailed, "what it printed can't be read: it is not valid YAML: line 1"},
		"release endless":   {func(w *workspace) { w.use(t, "a", with("release", "head -c 2000000 /dev/zero")) }, steps.ReleaseFailed, "it printed more than 1048576 bytes"},
		"Procfile not YAML": {func(w *workspace) { w.use(t, "a", ok).file(t, "app/Procfile", "web") }, steps.BadProcesses, "Failed to read command from Procfile: it is not valid YAML"},
		"Procfile a FIFO": {func(w *workspace) { w.use(t, "a", with("compile", app+`mkfifo "$APP/Procfile"`)) }, steps.BadProcesses,
			"Failed to read command from Procfile: it is not a file"},
		"Procfile a folder":  {func(w *workspace) { w.use(t, "a", ok).file(t, "app/Procfile/x", "") }, steps.BadProcesses, "it is not a file"},
		"Procfile huge":      {func(w *workspace) { w.use(t, "a", ok).file(t, "app/Procfile", strings.Repeat("#", 1<<20+1)) }, steps.BadProcesses, "it has more than 1048576 bytes"},
		"process of no type": {func(w *workspace) { w.use(t, "a", ok).file(t, "app/Procfile", `"": x`) }, steps.BadProcesses, "a process has no type"},
		"launch.yml not YAML": {func(w *workspace) {
			w.use(t, "a", map[string]string{"supply": `echo '[' >"$3/$4/launch.yml"`}).use(t, "b", map[string]string{"finalize": ""})
		}, steps.BadProcesses, "Failed to read launch.yml of buildpack a_buildpack: it is not valid YAML"},
		"sidecar without command": {func(w *workspace) {
			w.use(t, "a", map[string]string{"supply": "", "finalize": `echo '{processes: [{type: s, platforms: {cloudfoundry: {sidecar_for: [web]}}}]}' >"$3/$4/launch.yml"`})
		}, steps.BadProcesses, "sidecar s has no command"},
		"no interpreter": {func(w *workspace) {
			w.use(t, "a", ok).file(t, steps.BuildpackPath("a")+"/bin/compile", "#!/usr/bin/ruby-9 -w\n")
		}, steps.CompileFailed, "the interpreter that it names (/usr/bin/ruby-9) is not there"},
		"Windows line ends": {func(w *workspace) {
			w.use(t, "a", ok).file(t, steps.BuildpackPath("a")+"/bin/compile", "#!/bin/bash\r\nexit 0\r\n")
		}, steps.CompileFailed, "bin/compile: its lines end with CRLF"},
		"Windows line ends and env": {func(w *workspace) {
			w.use(t, "a", ok).file(t, steps.BuildpackPath("a")+"/bin/release", "#!/usr/bin/env bash\r\nexit 0\r\n")
		}, steps.ReleaseFailed, "bin/release: exit status 127; its lines end with CRLF"},
		"Windows line ends and an option": {func(w *workspace) {
			w.use(t, "a", map[string]string{"finalize": ""}).file(t, steps.BuildpackPath("a")+"/bin/supply", "#!/bin/bash -e\r\nexit 0\r\n")
		}, steps.SupplyFailed, "; its lines end with CRLF"},
		"Windows line ends in finalize": {func(w *workspace) {
			w.use(t, "a", map[string]string{"supply": ""}).file(t, steps.BuildpackPath("a")+"/bin/finalize", "#!/bin/sh\r\n")
		}, steps.FinalizeFailed, "bin/finalize: its lines end with CRLF"},
		"byte order mark": {func(w *workspace) {
			w.use(t, "a", ok).file(t, steps.BuildpackPath("a")+"/bin/compile", "\uFEFF#!/bin/bash\n")
		}, steps.CompileFailed, "bin/compile: it begins with a byte order mark"},
		"not a program": {func(w *workspace) {
			w.use(t, "a", ok).file(t, steps.BuildpackPath("a")+"/bin/compile", "echo no first line\n")
		}, steps.CompileFailed, "neither a program for this machine nor a script"},
		"app gone":   {func(w *workspace) { w.use(t, "a", with("release", app+`rm -rf "$APP"; echo '{}'`)) }, steps.BadOutput, "the buildpack left no app: "},
		"app a link": {func(w *workspace) { w.use(t, "a", with("compile", app+`mv "$APP" "$APP.old"; ln -s /etc "$APP"`)) }, steps.BadOutput, "is not a folder any more"},
		"deps a file": {func(w *workspace) {
			w.use(t, "a", with("compile", app+`rm -rf "$APP/../contents/deps"; echo >"$APP/../contents/deps"`))
		}, steps.BadProcesses, "not a directory"},
		"cache gone":       {func(w *workspace) { w.use(t, "a", with("compile", app+`rm -rf "$APP/../cache"`)) }, steps.BadOutput, "the buildpack left no cache"},
		"environment file": {func(w *workspace) { w.use(t, "a", ok).config.EnvironmentFile = "/nowhere" }, steps.BadConfiguration, "read the app's environment"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorkspace(t)
			c.make(w)
			err := w.run(t)
			g.Expect(err).To(HaveOccurred())
			g.Expect(err.Error()).To(ContainSubstring(c.text))
			g.Expect(reasonOf(t, err)).To(Equal(c.want))
			g.Expect(w.path(steps.OutFolder, steps.ResultFile)).NotTo(BeAnExistingFile())
		})
	}
}

func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a small disk")
	}
	for name, compile := range map[string]string{
		"in a script": "head -c 2000000 /dev/zero >\"$1/large\"",
		"at the end":  "head -c 700000 /dev/urandom >\"$1/large\"",
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorkspace(t)
			g.Expect(syscall.Mount("tmpfs", w.folder, "tmpfs", 0, "size=1m")).To(Succeed())
			defer func() { g.Expect(syscall.Unmount(w.folder, syscall.MNT_DETACH)).To(Succeed()) }()
			g.Expect(os.MkdirAll(w.path(steps.AppFolder), 0o755)).To(Succeed())
			g.Expect(os.MkdirAll(w.path(steps.CacheFolder), 0o755)).To(Succeed())
			w.use(t, "large", map[string]string{"compile": compile, "release": "echo '{}'"})
			w.config.DiskMiB = 1
			err := w.run(t)
			g.Expect(reasonOf(t, err)).To(Equal(steps.OutOfDisk))
			g.Expect(err).To(MatchError(HavePrefix("staging ran out of disk space (its limit is 1 MB) while ")))
		})
	}
}

func TestMemoryEventsAreCounted(t *testing.T) {
	g := NewWithT(t)
	g.Expect(parseMemoryKills("low 0\nhigh 0\nmax 3\noom 2\noom_kill 2\noom_group_kill 1\n")).To(Equal(2))
	g.Expect(parseMemoryKills("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n")).To(Equal(7))
	for _, text := range []string{"", "oom 5\n", "oom_kill x\n", "oom_kill\n"} {
		g.Expect(parseMemoryKills(text)).To(BeZero())
	}
}

// alive tells whether a process that wrote its number into a file still runs.
func alive(t *testing.T, file string) bool {
	t.Helper()
	text, err := os.ReadFile(file)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	_, err = os.Stat(filepath.Join("/proc", strings.TrimSpace(string(text))))
	return err == nil
}

func TestCancellationEndsEverything(t *testing.T) {
	for name, script := range map[string]string{
		"a script that hears":     `trap 'echo stopping; exit 1' TERM; echo $$ >"$1/pids/script"; touch "$1/ready"; while :; do sleep 0.05; done`,
		"a script that is deaf":   `trap '' TERM; echo $$ >"$1/pids/script"; touch "$1/ready"; while :; do sleep 0.05; done`,
		"what it started":         `sh -c 'echo $$ >"$0/pids/child"; touch "$0/ready"; sleep 1000' "$1" & wait`,
		"what left its group":     `setsid sh -c 'trap "" TERM; echo $$ >"$0/pids/child"; touch "$0/ready"; while :; do sleep 0.05; done' "$1" & wait`,
		"what left it and forgot": `(setsid sh -c 'echo $$ >"$0/pids/child"; touch "$0/ready"; sleep 1000' "$1" &) ; sleep 1000`,
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := newWorkspace(t).use(t, "long", map[string]string{"compile": `mkdir -p "$1/pids"; ` + script, "release": "echo '{}'"})
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- w.runWith(ctx, t) }()
			g.Eventually(w.path("app/ready"), 20*time.Second).Should(BeAnExistingFile())
			cancel()
			var err error
			g.Eventually(ended, 2*stopGrace+10*time.Second).Should(Receive(&err))
			g.Expect(err).To(HaveOccurred())
			pids, globErr := filepath.Glob(w.path("app/pids/*"))
			g.Expect(globErr).NotTo(HaveOccurred())
			g.Expect(pids).NotTo(BeEmpty())
			for _, file := range pids {
				g.Expect(alive(t, file)).To(BeFalse(), "%s still runs", file)
			}
			g.Expect(w.path(steps.OutFolder, steps.DropletFile)).NotTo(BeAnExistingFile())
		})
	}
}

func TestLeftoversAreKilledBeforePacking(t *testing.T) {
	g := NewWithT(t)
	daemon := `(setsid sh -c 'echo $$ >"$0/pid"; while :; do date >>"$0/log"; sleep 0.01; done' "$1" >/dev/null 2>&1 &); while [ ! -s "$1/pid" ]; do sleep 0.01; done`
	w := newWorkspace(t).use(t, "daemon", map[string]string{
		"compile": daemon,
		// What holds on to standard output keeps nobody waiting for long.
		"release": "sleep 1000 & echo 'default_process_types: {web: x}'",
	})
	began := time.Now()
	w.built(t)
	g.Expect(time.Since(began)).To(BeNumerically("<", 4*stopGrace))
	g.Expect(alive(t, w.path("app/pid"))).To(BeFalse())
	g.Expect(w.result(t).ProcessTypes).To(HaveKeyWithValue("web", "x"))
	log, err := os.ReadFile(w.path("app/log"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(w.packed(t, steps.DropletFile)["./app/log"]).To(Equal(string(log)))
}

func TestSpecialFilesAreLeftOut(t *testing.T) {
	g := NewWithT(t)
	w := newWorkspace(t).use(t, "odd", map[string]string{"compile": `mkfifo "$1/pipe"; ln -s /etc/shadow "$1/link"`, "release": "echo '{}'"}).built(t)
	g.Expect(w.packed(t, steps.DropletFile)).To(HaveKeyWithValue("./app/link", "-> /etc/shadow"))
	g.Expect(w.packed(t, steps.DropletFile)).NotTo(HaveKey("./app/pipe"))
	g.Expect(w.stderr).To(ContainSubstring("Warning: ./app/pipe is neither a file, a folder nor a link, and is left out of the droplet"))
}

func TestWhatUserCodePutsInTheWayOfResults(t *testing.T) {
	g := NewWithT(t)
	outside := t.TempDir()
	target := filepath.Join(outside, "target")
	g.Expect(os.WriteFile(target, []byte("untouched"), 0o644)).To(Succeed())
	w := newWorkspace(t).use(t, "hostile", map[string]string{
		"compile": fmt.Sprintf(`out="$1/../out"; rm -rf "$out"; ln -s %s "$out"`, outside),
		"release": "echo '{}'",
	}).built(t)
	left, err := os.ReadDir(outside)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left).To(HaveLen(1))
	g.Expect(os.ReadFile(target)).To(BeEquivalentTo("untouched"))
	g.Expect(w.packed(t, steps.DropletFile)).To(HaveKey("./staging_info.yml"))
}
