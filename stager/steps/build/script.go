package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/irene-cf/irene/stager/steps"
)

const (
	// stopGrace is how long a script may take to end after SIGTERM.
	stopGrace = 5 * time.Second
	// maxCaptured bounds what a script may print that is to be read.
	maxCaptured = 1 << 20
)

// runner runs scripts of buildpacks, one at a time.
type runner struct {
	environment []string
	home        string
	output      Output
	config      steps.BuildConfig
}

// newRunner makes this process the parent of all orphans, so that it can end them.
func newRunner(environment []string, home string, output Output, config steps.BuildConfig) (*runner, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become the parent of orphans: %w", err)
	}
	return &runner{environment: environment, home: home, output: output, config: config}, nil
}

// run runs a script with its output going to the user.
func (r *runner) run(ctx context.Context, p *buildpack, script string, args ...string) error {
	cmd := r.command(ctx, p, script, args)
	cmd.Stdout = r.output.Stdout
	return r.wait(ctx, p, script, cmd)
}

// capture runs a script and returns what it prints.
func (r *runner) capture(ctx context.Context, p *buildpack, script string, args ...string) ([]byte, error) {
	cmd := r.command(ctx, p, script, args)
	captured := &bounded{limit: maxCaptured}
	cmd.Stdout = captured
	if err := r.wait(ctx, p, script, cmd); err != nil {
		return nil, err
	}
	if captured.tooMuch {
		return nil, fmt.Errorf("it printed more than %d bytes", maxCaptured)
	}
	return captured.text.Bytes(), nil
}

func (r *runner) command(ctx context.Context, p *buildpack, script string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.script(script), args...)
	cmd.Dir, cmd.Env, cmd.Stderr = r.home, r.environment, r.output.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	// Also how long a process that was left behind may hold on to standard output
	// where that is read.
	cmd.WaitDelay = stopGrace
	return cmd
}

// wait runs the command to its end and explains it.
func (r *runner) wait(ctx context.Context, p *buildpack, script string, cmd *exec.Cmd) error {
	if err := p.makeExecutable(script); err != nil {
		return err
	}
	kills := memoryKills()
	if err := cmd.Start(); err != nil {
		return r.explainStart(cmd, err)
	}
	err := cmd.Wait()
	if ctx.Err() != nil {
		// What heard the signal has had its time.
		_ = r.killLeftovers()
		return ctx.Err()
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // the script itself succeeded
	}
	killed := memoryKills() > kills
	if killed {
		// A script that goes on may fail for another reason later, or succeed.
		steps.NewUserLog(r.output.Stderr).Line("a process was killed because there was not enough memory%s, while buildpack %s ran bin/%s", limitText(r.config.MemoryMiB), p, script)
	}
	if err == nil {
		return nil
	}
	var ended *exec.ExitError
	exited := errors.As(err, &ended)
	switch {
	case killed && (!exited || wasKilled(ended.ProcessState)):
		return steps.Fail(steps.OutOfMemory, "staging ran out of memory%s while buildpack %s ran bin/%s", limitText(r.config.MemoryMiB), p, script)
	case diskIsFull(r.config.Workspace):
		return steps.Fail(steps.OutOfDisk, "staging ran out of disk space%s while buildpack %s ran bin/%s", limitText(r.config.DiskMiB), p, script)
	}
	if exited {
		return &exitError{state: ended.ProcessState, windows: readFirstLine(cmd.Path).windows}
	}
	return err
}

// wasKilled reports whether a script ended with SIGKILL, or with the status by which a shell
// passes on that its last command did.
func wasKilled(state *os.ProcessState) bool {
	status, known := state.Sys().(syscall.WaitStatus)
	return known && (status.Signaled() && status.Signal() == syscall.SIGKILL || status.ExitStatus() == 128+int(syscall.SIGKILL))
}

// limitText names a limit where there is one.
func limitText(mebibytes int64) string {
	if mebibytes == 0 {
		return ""
	}
	return fmt.Sprintf(" (its limit is %d MB)", mebibytes)
}

// explainStart says why a script didn't start.
func (r *runner) explainStart(cmd *exec.Cmd, err error) error {
	var inner *fs.PathError
	if errors.As(err, &inner) {
		err = inner.Err
	}
	line := readFirstLine(cmd.Path)
	switch {
	case errors.Is(err, syscall.ENOEXEC) && line.byteOrderMark:
		return errors.New("it begins with a byte order mark (U+FEFF), as editors on Windows write it; save it without")
	case errors.Is(err, syscall.ENOEXEC):
		return errors.New("it is neither a program for this machine nor a script that names its interpreter")
	case errors.Is(err, syscall.ENOENT) && line.windows:
		return errors.New(windowsLineEnds)
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("the interpreter that it names%s is not there", line.interpreter())
	case errors.Is(err, syscall.E2BIG):
		return errors.New("the app's environment is too large for the kernel: 128 KB for a variable, and a few MB in all")
	}
	return err
}

// exitError says how a script ended that didn't succeed.
type exitError struct {
	state *os.ProcessState
	// windows reports that the script's first line ends as on Windows. Its interpreter
	// has then seen a carriage return: "#!/usr/bin/env bash" looks for "bash\r".
	windows bool
}

func (e *exitError) Error() string {
	if e.windows {
		return e.state.String() + "; " + windowsLineEnds
	}
	return e.state.String()
}

// isAnswer tells whether the script itself chose its end.
func (e *exitError) isAnswer() bool { return e.state.Exited() && !e.windows }

// killLeftovers kills and reaps everything that scripts left running. Orphans of what
// it kills become children of this process in their turn.
func (r *runner) killLeftovers() error {
	for {
		children, err := children()
		if err != nil {
			return err
		}
		options := 0
		if len(children) == 0 {
			options = syscall.WNOHANG
		}
		for _, pid := range children {
			// It may have ended on its own, and waits to be reaped.
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		pid, err := syscall.Wait4(-1, nil, options, nil)
		switch {
		case errors.Is(err, syscall.ECHILD), err == nil && pid == 0:
			return nil
		case err != nil && !errors.Is(err, syscall.EINTR):
			return fmt.Errorf("wait for what the buildpacks left running: %w", err)
		}
	}
}

// children lists the processes whose parent is this one, zombies included.
func children() ([]int, error) {
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return nil, fmt.Errorf("find what the buildpacks left running: %w", err)
	}
	var all []int
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // that thread has ended
		}
		for _, word := range strings.Fields(string(text)) {
			var pid int
			if _, err := fmt.Sscan(word, &pid); err == nil {
				all = append(all, pid)
			}
		}
	}
	return all, nil
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	text    bytes.Buffer
	limit   int
	tooMuch bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := b.limit - b.text.Len()
	if len(p) > room {
		b.tooMuch = true
	}
	b.text.Write(p[:min(room, len(p))])
	return len(p), nil
}
