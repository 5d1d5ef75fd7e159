package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// everywhere runs a test for launch as an ordinary process and as process 1 of a
// namespace, where only those who may make one can.
func everywhere(t *testing.T, test func(t *testing.T, d *droplet)) {
	t.Run("as an ordinary process", func(t *testing.T) { test(t, newDroplet(t)) })
	t.Run("as process 1", func(t *testing.T) {
		d := newDroplet(t)
		d.sys = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
		test(t, d)
	})
}

func TestExitStatus(t *testing.T) {
	everywhere(t, func(t *testing.T, d *droplet) {
		for command, want := range map[string]int{
			"true":                0,
			"exit 3":              3,
			"kill -TERM $$":       128 + 15,
			"kill -KILL $$":       128 + 9,
			"no-such-program":     127,
			"./app-without-x-bit": 127,
			"exit 255":            255,
		} {
			g := NewWithT(t)
			one := *d
			r := one.with("START_COMMAND", command).run(t)
			g.Expect(r.status).To(Equal(want), command)
		}
	})
}

func TestStopReachesTheAppOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, d *droplet) {
		g := NewWithT(t)
		d.file(t, "app/server", `#!/bin/bash
			trap 'echo got TERM; sleep 0.2; echo bye; exit 7' TERM
			echo ready
			while :; do read -t 0.1 line; [ $? -gt 128 ] || exit; done`) // read fails otherwise when the test has ended
		r := d.with("START_COMMAND", "./server").start(t)
		r.awaitOutput(t, "ready")
		r.signal(t, syscall.SIGTERM)
		r.awaitEnd(t)
		g.Expect(r.stdout.String()).To(Equal("ready\ngot TERM\nbye\n"))
		g.Expect(r.status).To(Equal(7))
	})
}

// A shell that doesn't exec its command dies of the first SIGTERM, and the
// server below it would die with the container if launch didn't wait.
func TestStopOfAServerBelowAShellIsGraceful(t *testing.T) {
	everywhere(t, func(t *testing.T, d *droplet) {
		g := NewWithT(t)
		d.file(t, "app/server", `#!/bin/bash
			trap 'echo got TERM; sleep 0.5; echo bye; exit 7' TERM
			echo ready
			while :; do read -t 0.1 line; [ $? -gt 128 ] || exit; done`) // read fails otherwise when the test has ended
		r := d.with("START_COMMAND", "./server; echo never").start(t)
		r.awaitOutput(t, "ready")
		r.signal(t, syscall.SIGTERM)
		r.awaitEnd(t)
		g.Expect(r.stdout.String()).To(Equal("ready\ngot TERM\nbye\n"))
		g.Expect(r.status).To(Equal(128 + 15))
	})
}

func TestOtherSignalsReachTheApp(t *testing.T) {
	everywhere(t, func(t *testing.T, d *droplet) {
		d.file(t, "app/server", `#!/bin/bash
			for s in HUP INT QUIT ABRT USR1 USR2 ALRM CONT WINCH RTMIN+3; do trap "echo got $s." $s; done
			echo ready
			while :; do read -t 0.1 line; [ $? -gt 128 ] || exit; done`) // read fails otherwise when the test has ended
		r := d.with("START_COMMAND", "./server").start(t)
		r.awaitOutput(t, "ready")
		for name, number := range map[string]syscall.Signal{
			"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "ABRT": syscall.SIGABRT, "USR1": syscall.SIGUSR1,
			"USR2": syscall.SIGUSR2, "ALRM": syscall.SIGALRM, "CONT": syscall.SIGCONT, "WINCH": syscall.SIGWINCH, "RTMIN+3": 34 + 3,
		} {
			r.signal(t, number)
			r.awaitOutput(t, "got "+name+".")
		}
	})
}

func TestAppThatSignalsItsWholeGroupDoesNotReachLaunch(t *testing.T) {
	everywhere(t, func(t *testing.T, d *droplet) {
		g := NewWithT(t)
		r := d.with("START_COMMAND", `trap 'echo got TERM' TERM; kill -TERM 0; echo on; exit 4`).run(t)
		g.Expect(r.stdout.String()).To(Equal("got TERM\non\n"))
		g.Expect(r.status).To(Equal(4))
	})
}

func TestOrphansAreReaped(t *testing.T) {
	everywhere(t, func(t *testing.T, d *droplet) {
		g := NewWithT(t)
		d.file(t, "app/server", `#!/bin/bash
			for i in $(seq 50); do ( sleep 0.1 & ); done
			echo ready
			read line`)
		r := d.with("START_COMMAND", "./server").start(t)
		r.awaitOutput(t, "ready")
		g.Eventually(func() string { return states(t, r.cmd.Process.Pid) }, patience).Should(Equal("S"), "only the app is left")
		g.Expect(r.stdin.Close()).To(Succeed())
		r.awaitEnd(t)
	})
}

func TestLeftoversAreEndedWithTheApp(t *testing.T) {
	everywhere(t, func(t *testing.T, d *droplet) {
		g := NewWithT(t)
		alive := filepath.Join(d.home, "alive")
		g.Expect(syscall.Mkfifo(alive, 0o600)).To(Succeed())
		// The daemons leave the app's session; one hears SIGTERM, one is deaf.
		d.file(t, "app/server", `#!/bin/bash
			setsid bash -c 'trap "echo cleaned up; exit" TERM; echo up1; while :; do read -t 0.1 line; done' 3>"$ALIVE" &
			setsid bash -c 'trap "" TERM; echo up2; while :; do sleep 0.1; done' 3>"$ALIVE" &
			read line; exit 5`)
		r := d.with("ALIVE", alive).with("START_COMMAND", "./server").start(t)
		// Reads end-of-file once no process holds the other end any more.
		held, err := os.Open(alive)
		g.Expect(err).NotTo(HaveOccurred())
		defer held.Close()
		r.awaitOutput(t, "up1")
		r.awaitOutput(t, "up2")
		g.Expect(r.stdin.Close()).To(Succeed())
		r.awaitEnd(t)
		g.Expect(r.status).To(Equal(5))
		g.Expect(strings.Count(r.stdout.String(), "cleaned up")).To(Equal(1))
		gone := make(chan error, 1)
		go func() { _, err := held.Read(make([]byte, 1)); gone <- err }()
		g.Eventually(gone, patience).Should(Receive(HaveOccurred()))
	})
}

func TestWaitingCostsNothing(t *testing.T) {
	everywhere(t, func(t *testing.T, d *droplet) {
		g := NewWithT(t)
		r := d.with("START_COMMAND", "echo ready; read line; echo waited").start(t)
		r.awaitOutput(t, "ready")
		before := processorTicks(t, r.cmd.Process.Pid)
		g.Consistently(r.ended, time.Second, 100*time.Millisecond).ShouldNot(BeClosed())
		// The clock ticks a hundred times a second; a loop would use them all.
		g.Expect(processorTicks(t, r.cmd.Process.Pid) - before).To(BeNumerically("<=", 5))
		g.Expect(r.stdin.Close()).To(Succeed())
		r.awaitEnd(t)
	})
}

func TestDescendants(t *testing.T) {
	g := NewWithT(t)
	cmd := exec.Command("/bin/bash", "-c", `exec -a 'odd) R 1 (' bash -c 'sleep 60 & echo; wait'`)
	out, err := cmd.StdoutPipe()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(cmd.Start()).To(Succeed())
	_, err = out.Read(make([]byte, 1))
	g.Expect(err).NotTo(HaveOccurred())
	found, err := descendants(os.Getpid())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(len(found)).To(BeNumerically(">=", 2))
	g.Expect(found).To(ContainElement(cmd.Process.Pid))
	below, err := descendants(cmd.Process.Pid)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(below).To(HaveLen(1))
	for _, pid := range append(below, cmd.Process.Pid) {
		g.Expect(syscall.Kill(pid, syscall.SIGKILL)).To(Succeed())
	}
	_ = cmd.Wait()

	for text, want := range map[string]int{"7 (a) S 3 7": 3, "7 (a) S 9 (b)) R 12 7": 12} {
		g.Expect(parentOf([]byte(text))).To(Equal(want), text)
	}
	for _, text := range []string{"", "7 a S 3", "7 (a)", "7 (a) S", "7 (a) S x"} {
		_, err := parentOf([]byte(text))
		g.Expect(err).To(HaveOccurred(), text)
	}
}

// The program itself, as it goes into images, at its real paths.
func TestTheBuiltProgram(t *testing.T) {
	g := NewWithT(t)
	if os.Getuid() != 0 {
		t.Skip("needs root, to put a folder at /home")
	}
	program := filepath.Join(t.TempDir(), "launch")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	text, err := build.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(text))

	d := newDroplet(t).
		file(t, "profile.d/a.sh", "export FROM_PROFILE=yes").
		file(t, "staging_info.yml", `{"start_command":"echo $FROM_PROFILE $HOME $PWD $DEPS_DIR $TMPDIR $USER $$; exit 3"}`)
	cmd := exec.Command("/bin/sh", "-c", `mount --bind "$1" /home && exec unshare --pid --fork "$2"`, "sh", filepath.Dir(d.home), program)
	cmd.Env = d.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	r := startCommand(t, cmd)
	r.awaitEnd(t)
	g.Expect(r.stderr.String()).To(BeEmpty())
	g.Expect(r.stdout.String()).To(MatchRegexp(`^yes /home/vcap/app /home/vcap/app /home/vcap/deps /home/vcap/tmp vcap \d+\n$`))
	g.Expect(r.status).To(Equal(3))
}

// states returns the states of a process's children, a letter each.
func states(t *testing.T, parent int) string {
	t.Helper()
	g := NewWithT(t)
	entries, err := os.ReadDir("/proc")
	g.Expect(err).NotTo(HaveOccurred())
	var found strings.Builder
	for _, entry := range entries {
		stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue
		}
		if p, err := parentOf(stat); err == nil && p == parent {
			found.WriteString(statFields(stat)[0])
		}
	}
	return found.String()
}

// processorTicks returns how much processor time a process itself has used.
func processorTicks(t *testing.T, pid int) int {
	t.Helper()
	g := NewWithT(t)
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	g.Expect(err).NotTo(HaveOccurred())
	ticks := 0
	// Fields 14 and 15 of the whole line, 12th and 13th after the name.
	for _, field := range statFields(stat)[11:13] {
		n, err := strconv.Atoi(field)
		g.Expect(err).NotTo(HaveOccurred())
		ticks += n
	}
	return ticks
}

func statFields(stat []byte) []string {
	return strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
}
