//go:build node

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/irene-cf/irene/fixtures/devcluster"
)

// TestUpTwiceAndDown brings the real thing up, as "make run" does, and needs the node
// of this machine for itself. IRENE_DEV_ROOTFS may name a root file system, which
// else is made first.
func TestUpTwiceAndDown(t *testing.T) {
	g := NewWithT(t)
	bin, err := devcluster.FindBin("")
	g.Expect(err).NotTo(HaveOccurred())
	parent, err := os.MkdirTemp("", "dev") // short: sockets' paths are bounded
	g.Expect(err).NotTo(HaveOccurred())
	dir := filepath.Join(parent, "irene")
	run := func(arguments ...string) (int, string) {
		var out bytes.Buffer
		status := command(context.Background(), append(arguments, "--dir", dir, "--bin", bin), &out, &out)
		t.Log(out.String())
		return status, out.String()
	}
	up := []string{"up"}
	if rootfs := os.Getenv("IRENE_DEV_ROOTFS"); rootfs != "" {
		up = append(up, "--rootfs", rootfs)
	}
	t.Cleanup(func() {
		if status, _ := run("down"); status != 0 {
			t.Errorf("down failed; left in %s", dir)
			return
		}
		g.Expect(os.RemoveAll(parent)).To(Succeed())
	})

	status, first := run(up...)
	g.Expect(status).To(Equal(0))
	ran := stateOf(g, dir)
	app := (&cloud{state: ran}).appURL()
	answers := func() { g.Expect(shell("curl -sf " + app)).To(HavePrefix("Hello from " + sampleAppName)) }
	pasted := paste(t, guideOf(first))
	for _, index := range []string{"0", "1", "2"} {
		hello := "Hello from " + sampleAppName + ", instance " + index + " "
		g.Expect(strings.Count(pasted, hello)).To(BeNumerically(">=", 3), "once asked for, and twice in six turns")
	}
	g.Expect(pasted).To(ContainSubstring(`"` + sampleRoute + `": [`))
	g.Expect(pasted).To(ContainSubstring("exiting with status 7"))
	g.Eventually(func() (string, error) { return shell("curl -si " + app) }).WithTimeout(patience).
		Should(And(HavePrefix("HTTP/1.1 404"), ContainSubstring("X-Cf-Routererror: unknown_route")), "it was stopped")

	status, second := run(up...)
	g.Expect(status).To(Equal(0))
	g.Expect(stateOf(g, dir)).To(Equal(ran), "what runs is used")
	g.Expect(guideOf(second)).To(Equal(guideOf(first)))
	answers()

	g.Expect(syscall.Kill(ran.Irene.PID, syscall.SIGKILL)).To(Succeed())
	status, _ = run(up...)
	g.Expect(status).To(Equal(0))
	again := stateOf(g, dir)
	g.Expect(again.Cluster).To(Equal(ran.Cluster))
	g.Expect(again.Edge).To(Equal(ran.Edge))
	g.Expect(again.Irene).NotTo(Equal(ran.Irene))

	g.Expect(syscall.Kill(ran.Edge.PID, syscall.SIGKILL)).To(Succeed())
	status, _ = run(up...)
	g.Expect(status).To(Equal(0))
	routed := stateOf(g, dir)
	g.Expect(routed.Irene).To(Equal(again.Irene))
	g.Expect(routed.Edge).NotTo(Equal(ran.Edge))
	answers()

	g.Expect(syscall.Kill(again.Cluster.PID, syscall.SIGKILL)).To(Succeed())
	status, _ = run(up...)
	g.Expect(status).To(Equal(0))
	last := stateOf(g, dir)
	g.Expect(last.Cluster).NotTo(Equal(again.Cluster))
	g.Expect(last.API).To(Equal(ran.API))
	answers()

	g.Expect(syscall.Kill(last.Irene.PID, syscall.SIGKILL)).To(Succeed())
	g.Expect(syscall.Kill(last.Cluster.PID, syscall.SIGKILL)).To(Succeed())
	status, _ = run("down")
	g.Expect(status).To(Equal(0))
	g.Expect(last.Edge.alive()).To(BeFalse())
	for _, address := range []string{last.API, last.Observe, last.NATS, last.Router, last.Status} {
		g.Expect(freeAddress(address)).To(Equal(address), "nobody listens any more")
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	g.Expect(err).NotTo(HaveOccurred())
	if os.Getenv("IRENE_DEV_ROOTFS") != "" {
		g.Expect(left).To(BeEmpty())
	} else {
		g.Expect(left).To(Equal([]string{filepath.Join(dir, cacheName)}))
	}
	status, out := run("down")
	g.Expect(status).To(Equal(0))
	g.Expect(out).To(ContainSubstring("Nothing to stop"))
}

// paste runs all lines of a guide that are commands, in one shell, and returns what
// they say. Each of them must succeed.
func paste(t *testing.T, guide string) string {
	t.Helper()
	var commands []string
	for line := range strings.Lines(guide) {
		if strings.HasPrefix(line, "  ") {
			commands = append(commands, line)
		}
	}
	said, err := shell(strings.Join(commands, ""))
	t.Log(said)
	if err != nil {
		t.Fatalf("the guide's lines: %v", err)
	}
	return said
}

// shell runs commands, of which the first that fails is the last, and returns what
// they write to standard output.
func shell(commands string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-euxo", "pipefail", "-c", commands)
	command.WaitDelay = time.Second
	var complaints bytes.Buffer
	command.Stderr = &complaints
	said, err := command.Output()
	if err != nil {
		return string(said), fmt.Errorf("%w\n%s", err, complaints.String())
	}
	return string(said), nil
}

func stateOf(g *WithT, dir string) state {
	s, err := (&folder{path: dir}).loadState()
	g.Expect(err).NotTo(HaveOccurred())
	return s
}

// guideOf is what "up" prints after its steps.
func guideOf(output string) string {
	return output[strings.Index(output, "\n\n"):]
}
