package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	samples "github.com/irene-cf/irene/fixtures/buildpack"
	"github.com/irene-cf/irene/stager/steps"
	"github.com/irene-cf/irene/stager/steps/archive"
)

func TestCommandLines(t *testing.T) {
	for want, args := range map[string][]string{
		"no step is given":                        {},
		`there is no step "destroy"`:              {"destroy"},
		`what is "twice"?`:                        {"build", "twice"},
		"flag provided but not defined: -unknown": {"build", "--unknown"},
	} {
		t.Run(want, func(t *testing.T) {
			g := NewWithT(t)
			p := stageWith(t, args...)
			p.cmd.Args = p.cmd.Args[:len(args)+1]
			g.Expect(p.run(t)).To(Equal(64))
			g.Expect(p.stderr.String()).To(ContainSubstring(want))
			g.Expect(p.stderr.String()).To(HaveSuffix(usage + "\n"))
			g.Expect(p.stdout.String()).To(BeEmpty())
		})
	}
}

func TestWrongConfigurationsAreTold(t *testing.T) {
	for _, step := range []string{steps.FetchStep, steps.BuildStep, steps.PushStep} {
		g := NewWithT(t)
		p := stage(t, step, `{"workspace":"here","secret":"hunter2"}`)
		g.Expect(p.run(t)).To(Equal(64))
		g.Expect(p.stderr.String()).To(HavePrefix("staging is not set up well: read the configuration: "))
		g.Expect(p.stderr.String()).NotTo(ContainSubstring("hunter2"))
		outcome := p.outcome(t, step)
		g.Expect(outcome.Failure.Reason).To(Equal(steps.BadConfiguration))
		g.Expect(outcome.Failure.ID).To(Equal("StagerError"))

		p = stageWith(t, step)
		g.Expect(p.run(t)).To(Equal(64))
		g.Expect(p.stderr.String()).To(ContainSubstring("there is neither --config nor " + steps.ConfigVariable))
	}
	g := NewWithT(t)
	p := stage(t, steps.PushStep, steps.PushConfig{Workspace: "/nowhere", Stack: "s", DropletURL: "http://x", Registry: steps.RegistryConfig{Address: "http://not a host"}})
	g.Expect(p.run(t)).To(Equal(64))
}

// volume is a shared volume with a sample buildpack.
func volume(t *testing.T, sample string, skipDetect bool) (string, steps.BuildConfig) {
	t.Helper()
	g := NewWithT(t)
	folder := t.TempDir()
	zip, err := samples.Zip(sample)
	g.Expect(err).NotTo(HaveOccurred())
	for _, name := range []string{steps.AppFolder, steps.CacheFolder, steps.BuildpackPath(sample)} {
		g.Expect(os.MkdirAll(filepath.Join(folder, name), 0o755)).To(Succeed())
	}
	_, err = archive.Unpack(context.Background(), bytes.NewReader(zip), int64(len(zip)), filepath.Join(folder, steps.BuildpackPath(sample)), archive.Rules{Bytes: 1 << 20, Entries: 100})
	g.Expect(err).NotTo(HaveOccurred())
	return folder, steps.BuildConfig{Workspace: folder, Buildpacks: []steps.BuildBuildpack{{Name: sample, Key: sample, SkipDetect: skipDetect}}}
}

func TestExitStatuses(t *testing.T) {
	for at, c := range map[string]struct {
		sample string
		status int
		reason steps.Reason
	}{
		"detect":   {samples.Failing, 222, steps.NoAppDetected},
		"compile":  {samples.FailingClassic, 223, steps.CompileFailed},
		"release":  {samples.Failing, 224, steps.ReleaseFailed},
		"supply":   {samples.Failing, 225, steps.SupplyFailed},
		"finalize": {samples.Failing, 226, steps.FinalizeFailed},
		"never":    {samples.Failing, 0, ""},
	} {
		t.Run(at, func(t *testing.T) {
			g := NewWithT(t)
			_, config := volume(t, c.sample, at != "detect")
			p := stage(t, steps.BuildStep, config)
			p.cmd.Env = append(p.cmd.Env, "FAIL_AT="+at)
			g.Expect(p.run(t)).To(Equal(c.status), p.stderr.String())
			outcome := p.outcome(t, steps.BuildStep)
			if c.reason == "" {
				g.Expect(outcome.Failure).To(BeNil())
				return
			}
			g.Expect(outcome.Failure.Reason).To(Equal(c.reason))
			g.Expect(p.stderr.String()).To(Equal("failing in " + at + ", as $FAIL_AT says\n" + outcome.Failure.Message + "\n"))
		})
	}
}

func TestConfigurationFromTheEnvironment(t *testing.T) {
	g := NewWithT(t)
	folder, config := volume(t, samples.Classic, true)
	g.Expect(os.WriteFile(filepath.Join(folder, "app/start.sh"), nil, 0o644)).To(Succeed())
	text := `{"workspace":"` + config.Workspace + `","buildpacks":[{"name":"classic","key":"classic","skipDetect":true}],"stack":"from-the-environment"}`
	p := stageWith(t, steps.BuildStep)
	p.cmd.Env = append(p.cmd.Env, steps.ConfigVariable+"="+text)
	g.Expect(p.run(t)).To(BeZero(), p.stderr.String())
	g.Expect(p.stdout.String()).To(ContainSubstring("on from-the-environment"))
}

func TestModesDoNotDependOnWhoStartsThis(t *testing.T) {
	g := NewWithT(t)
	folder, config := volume(t, samples.Classic, true)
	g.Expect(os.WriteFile(filepath.Join(folder, "app/start.sh"), nil, 0o644)).To(Succeed())
	was := syscall.Umask(0o077)
	p := stage(t, steps.BuildStep, config)
	status := p.run(t)
	syscall.Umask(was)
	g.Expect(status).To(BeZero(), p.stderr.String())
	info, err := os.Stat(filepath.Join(folder, "app/.profile.d/classic.sh"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o644)))
}

func TestSignalsEndTheBuild(t *testing.T) {
	g := NewWithT(t)
	folder, config := volume(t, samples.Classic, true)
	compile := filepath.Join(folder, steps.BuildpackPath(samples.Classic), "bin/compile")
	g.Expect(os.WriteFile(compile, []byte("#!/bin/sh\nsleep 1000 &\necho $! >$1/child\necho $$ >$1/script\nwait\n"), 0o755)).To(Succeed())
	p := stage(t, steps.BuildStep, config)
	g.Expect(p.cmd.Start()).To(Succeed())
	g.Eventually(filepath.Join(folder, "app/script"), 20*time.Second).Should(BeAnExistingFile())
	g.Expect(p.cmd.Process.Signal(syscall.SIGTERM)).To(Succeed())
	_ = p.cmd.Wait()
	g.Expect(p.cmd.ProcessState.ExitCode()).To(Equal(143))
	g.Expect(*p.outcome(t, steps.BuildStep).Failure).To(Equal(steps.OutcomeFailure{Reason: steps.Canceled, ID: "StagingError", Message: "staging was canceled"}))
	for _, name := range []string{"child", "script"} {
		pid, err := os.ReadFile(filepath.Join(folder, "app", name))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(filepath.Join("/proc", strings.TrimSpace(string(pid)))).NotTo(BeADirectory(), name)
	}
}
