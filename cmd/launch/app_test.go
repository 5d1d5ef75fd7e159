package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// homeVariable makes the test binary act as launch, for a droplet rooted at the
// folder in its value; shellsVariable names the shells to look for, and graceVariable
// is how long a member may take to end. The real program has no such switches.
const (
	homeVariable   = "LAUNCH_TEST_HOME"
	shellsVariable = "LAUNCH_TEST_SHELLS"
	graceVariable  = "LAUNCH_TEST_GRACE"
)

// patience bounds how long a test waits for what must happen.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	home := os.Getenv(homeVariable)
	if home == "" {
		os.Exit(m.Run())
	}
	if arguments, isCheck := checkArguments(os.Args[1:]); isCheck {
		os.Exit(check(arguments, os.Environ(), os.Stderr))
	}
	received := listen()
	app := launcher{
		home:    home,
		shells:  strings.Split(os.Getenv(shellsVariable), ":"),
		stderr:  os.Stderr,
		grace:   grace{afterStop: patience, afterExit: 1500 * time.Millisecond, afterKill: patience},
		endFile: filepath.Join(home, "termination-log"),
	}
	if afterStop, err := time.ParseDuration(os.Getenv(graceVariable)); err == nil {
		app.grace.afterStop = afterStop
	}
	os.Exit(app.run(received, os.Args[1:], os.Environ()))
}

// droplet is an unpacked droplet in a folder of its own, and how to launch it.
type droplet struct {
	home   string
	shells string
	args   []string
	env    []string
	sys    *syscall.SysProcAttr
}

func newDroplet(t *testing.T) *droplet {
	t.Helper()
	d := &droplet{
		home:   filepath.Join(t.TempDir(), "vcap"),
		shells: "/bin/bash:/bin/sh",
		// The race detector would hold up the end of every launch by a second.
		env: []string{"PATH=/usr/local/bin:/usr/bin:/bin", "GORACE=atexit_sleep_ms=0"},
	}
	NewWithT(t).Expect(os.MkdirAll(filepath.Join(d.home, "app"), 0o755)).To(Succeed())
	return d
}

// with sets a variable of the container's environment.
func (d *droplet) with(name, value string) *droplet {
	d.env = append(d.env, name+"="+value)
	return d
}

// file writes a file below the droplet's root.
func (d *droplet) file(t *testing.T, name, text string) *droplet {
	t.Helper()
	g := NewWithT(t)
	path := filepath.Join(d.home, name)
	g.Expect(os.MkdirAll(filepath.Dir(path), 0o755)).To(Succeed())
	g.Expect(os.WriteFile(path, []byte(text), 0o755)).To(Succeed())
	return d
}

// running is a launch at work.
type running struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *output
	stderr *output
	ended  chan struct{}
	// status is launch's exit status, to be read once ended is closed.
	status int
}

// start launches the droplet's app. The test's end kills what is left of it.
func (d *droplet) start(t *testing.T) *running {
	t.Helper()
	return startCommand(t, d.command())
}

func (d *droplet) command() *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", d.args...)
	if exe, err := os.Executable(); err == nil {
		cmd.Path = exe
	}
	cmd.Env = append([]string{homeVariable + "=" + d.home, shellsVariable + "=" + d.shells}, d.env...)
	cmd.SysProcAttr = d.sys
	return cmd
}

// startCommand starts a launch that is to be found under any name.
func startCommand(t *testing.T, cmd *exec.Cmd) *running {
	t.Helper()
	g := NewWithT(t)
	r := &running{cmd: cmd, stdout: &output{}, stderr: &output{}, ended: make(chan struct{})}
	var err error
	cmd.Stdout, cmd.Stderr = r.stdout, r.stderr
	// Orphans of the app hold the pipes open; Wait must not wait for them.
	cmd.WaitDelay = 100 * time.Millisecond
	r.stdin, err = cmd.StdinPipe()
	g.Expect(err).NotTo(HaveOccurred())
	if err := cmd.Start(); err != nil {
		if errors.Is(err, syscall.EPERM) {
			t.Skipf("not allowed to make namespaces here: %v", err)
		}
		g.Expect(err).NotTo(HaveOccurred())
	}
	go func() {
		defer close(r.ended)
		_ = cmd.Wait()
		r.status = cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-r.ended
	})
	return r
}

// run launches the droplet's app and waits for the end.
func (d *droplet) run(t *testing.T) *running {
	t.Helper()
	r := d.start(t)
	r.awaitEnd(t)
	return r
}

func (r *running) awaitEnd(t *testing.T) {
	t.Helper()
	NewWithT(t).Eventually(r.ended, patience).Should(BeClosed(), "launch goes on; stdout: %s stderr: %s", r.stdout, r.stderr)
}

func (r *running) awaitOutput(t *testing.T, text string) {
	t.Helper()
	NewWithT(t).Eventually(r.stdout.String, patience).Should(ContainSubstring(text), "stderr: %s", r.stderr)
}

func (r *running) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	NewWithT(t).Expect(r.cmd.Process.Signal(sig)).To(Succeed())
}

// output collects what a process writes.
type output struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.String()
}
