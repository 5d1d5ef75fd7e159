package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	samples "github.com/irene-cf/irene/fixtures/buildpack"
	"github.com/irene-cf/irene/stager/steps"
)

// limitedGroup makes a control group of 256 MiB and returns it, and the shell command
// with which a mount namespace sees it as a container does.
func limitedGroup(t *testing.T) (group, mount string) {
	t.Helper()
	needsRoot(t)
	g := NewWithT(t)
	for root, limit := range map[string]string{"/sys/fs/cgroup": "memory.max", "/sys/fs/cgroup/memory": "memory.limit_in_bytes"} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
			continue
		}
		group = filepath.Join(root, fmt.Sprintf("irene-stage-test-%d", os.Getpid()))
		g.Expect(os.Mkdir(group, 0o755)).To(Succeed())
		t.Cleanup(func() { g.Eventually(func() error { return os.Remove(group) }).Should(Succeed()) })
		if os.WriteFile(filepath.Join(group, limit), []byte("268435456"), 0o644) != nil {
			t.Skip("the memory controller is not to be had")
		}
		return group, fmt.Sprintf("mount --bind %s %s", group, root)
	}
	t.Skip("there are no control groups")
	return "", ""
}

func TestOutOfMemory(t *testing.T) {
	// tail keeps a line of 600 MB in memory.
	const killed = "head -c 600000000 /dev/zero | tail -n 1 >/dev/null"
	const line = "a process was killed because there was not enough memory (its limit is 256 MB), while buildpack classic ran bin/compile"
	for name, c := range map[string]struct {
		script, message string
		status          int
	}{
		"the script fails with it": {killed, "staging ran out of memory (its limit is 256 MB) while buildpack classic ran bin/compile", 71},
		"the script fails later":   {killed + "\nexit 7", "Failed to compile droplet: buildpack classic: bin/compile: exit status 7", 223},
		"the script goes on":       {killed + "\nexit 0", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			group, mount := limitedGroup(t)
			folder, config := volume(t, samples.Classic, true)
			config.MemoryMiB = 256
			compile := filepath.Join(folder, steps.BuildpackPath(samples.Classic), "bin/compile")
			g.Expect(os.WriteFile(compile, []byte("#!/bin/sh\n"+c.script+"\n"), 0o755)).To(Succeed())
			p := stage(t, steps.BuildStep, config)
			script := fmt.Sprintf(`echo $$ >%s/cgroup.procs && %s && exec "$@"`, group, mount)
			p.cmd.Args = append([]string{"unshare", "--mount", "sh", "-c", script, "sh"}, p.cmd.Args...)
			p.cmd.Path = "/usr/bin/unshare"
			g.Expect(p.run(t)).To(Equal(c.status), p.stderr.String())
			g.Expect(p.stderr.String()).To(ContainSubstring(line))
			if failure := p.outcome(t, steps.BuildStep).Failure; c.status == 0 {
				g.Expect(failure).To(BeNil())
			} else {
				g.Expect(failure.Message).To(Equal(c.message))
			}
		})
	}
}
