package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

const patience = 20 * time.Second

// startShell starts a shell script as irene-dev starts programs, and makes sure
// that it ends with the test.
func startShell(t *testing.T, script string) (p process, log string) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "log", "shell.log")
	p, err := startProcess(log, log, "/bin/sh", "-c", script)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() {
		if p.alive() {
			_ = syscall.Kill(p.PID, syscall.SIGKILL)
		}
		_, _ = syscall.Wait4(p.PID, nil, 0, nil)
	})
	return p, log
}

func TestProcessLivesInItsOwnSessionUntilItIsEnded(t *testing.T) {
	g := NewWithT(t)
	p, log := startShell(t, "echo out; echo err >&2; exec sleep 1000")
	g.Expect(p.alive()).To(BeTrue())
	group, err := syscall.Getpgid(p.PID)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(group).To(Equal(p.PID), "Ctrl-C in the terminal doesn't reach it")
	g.Eventually(func() (string, error) { text, err := os.ReadFile(log); return string(text), err }, patience).Should(Equal("out\nerr\n"))

	g.Expect(p.end(context.Background(), patience)).To(Succeed())
	g.Expect(p.alive()).To(BeFalse())
	g.Expect(p.end(context.Background(), patience)).To(Succeed(), "what is gone is no error")
}

func TestProcessThatDoesNotListenIsKilled(t *testing.T) {
	g := NewWithT(t)
	// What ignores a signal goes on ignoring it after exec.
	p, log := startShell(t, "trap '' TERM; echo deaf; exec sleep 1000")
	g.Eventually(func() (string, error) { text, err := os.ReadFile(log); return string(text), err }, patience).Should(ContainSubstring("deaf"))
	g.Expect(p.end(context.Background(), 50*time.Millisecond)).To(Succeed())
	g.Expect(p.alive()).To(BeFalse())
}

func TestAnotherProcessWithTheSamePidIsLeftAlone(t *testing.T) {
	g := NewWithT(t)
	p, _ := startShell(t, "exec sleep 1000")
	other := process{PID: p.PID, Start: p.Start + 1}
	g.Expect(other.alive()).To(BeFalse())
	g.Expect(other.end(context.Background(), 0)).To(Succeed())
	g.Expect(p.alive()).To(BeTrue())
	g.Expect(process{}.alive()).To(BeFalse())
}

func TestProcessRunsAProgramUntilThatIsBuiltAgain(t *testing.T) {
	g := NewWithT(t)
	sleep, err := exec.LookPath("sleep")
	g.Expect(err).NotTo(HaveOccurred())
	content, err := os.ReadFile(sleep)
	g.Expect(err).NotTo(HaveOccurred())
	program := filepath.Join(t.TempDir(), "program")
	build := func() {
		g.Expect(os.WriteFile(program+".new", content, 0o755)).To(Succeed())
		g.Expect(os.Rename(program+".new", program)).To(Succeed())
	}
	build()
	p, err := startProcess(os.DevNull, os.DevNull, program, "1000")
	g.Expect(err).NotTo(HaveOccurred())
	defer syscall.Wait4(p.PID, nil, 0, nil)
	defer p.end(context.Background(), 0)
	g.Expect(p.runs(program)).To(BeTrue())
	build()
	g.Expect(p.runs(program)).To(BeFalse())
	g.Expect(p.alive()).To(BeTrue())
}

func TestStartTimeOfAnyProcessName(t *testing.T) {
	rest := " 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 1 2"
	for stat, want := range map[string]uint64{
		"7 (sh) S" + rest:                   4242,
		"7 (a name) with (parens) R" + rest: 4242,
		"7 (sh) Z" + rest:                   0,
		"7 (sh) S 1 2":                      0,
		"":                                  0,
	} {
		NewWithT(t).Expect(parseStartTime([]byte(stat), false)).To(Equal(want), stat)
	}
	const ended = "7 (irene) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20"
	NewWithT(t).Expect(parseStartTime([]byte(ended), true)).To(BeEquivalentTo(4711), "other threads go on")
	NewWithT(t).Expect(parseStartTime([]byte(ended), false)).To(BeZero())
}

func TestLogTail(t *testing.T) {
	g := NewWithT(t)
	file := filepath.Join(t.TempDir(), "x.log")
	g.Expect(os.WriteFile(file, []byte("one\ntwo\nthree\n"), 0o600)).To(Succeed())
	g.Expect(logTail(file, 2)).To(Equal("the end of " + file + ":\n  two\n  three"))
	g.Expect(logTail(file+"x", 2)).To(ContainSubstring("no such file"))
}
