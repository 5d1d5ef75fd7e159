package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pollInterval is how often something is asked that can't tell by itself.
const pollInterval = 100 * time.Millisecond

// errEnded says that a process ended that should have gone on.
var errEnded = errors.New("has ended")

// killPatience is how long a killed process may take to be gone.
const killPatience = 10 * time.Second

// process names a process for good: its pid alone may be another's one day. The
// zero value is no process.
type process struct {
	PID int `json:"pid,omitempty"`
	// Start is the start time in clock ticks since the machine's, field 22 of
	// /proc/PID/stat.
	Start uint64 `json:"start,omitempty"`
}

// startProcess starts a program that outlives this one, in a session of its own,
// with its output appended to the files stdout and stderr (which may be one).
func startProcess(stdout, stderr, program string, args ...string) (process, error) {
	command := exec.Command(program, args...)
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// A working directory inside --dir would keep it from being unmounted.
	command.Dir = "/"
	out, err := openLog(stdout)
	if err != nil {
		return process{}, err
	}
	defer out.Close()
	complaints, err := openLog(stderr)
	if err != nil {
		return process{}, err
	}
	defer complaints.Close()
	command.Stdout, command.Stderr = out, complaints
	if err := command.Start(); err != nil {
		return process{}, fmt.Errorf("start %s: %w", filepath.Base(program), err)
	}
	started := process{PID: command.Process.Pid, Start: startTime(command.Process.Pid)}
	if err := command.Process.Release(); err != nil {
		return started, fmt.Errorf("start %s: %w", filepath.Base(program), err)
	}
	return started, nil
}

func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
}

// alive says whether this very process still runs. One that has ended and that
// nobody has waited for yet does not; one that was killed this moment may.
func (p process) alive() bool {
	return p.PID > 0 && p.Start != 0 && startTime(p.PID) == p.Start
}

// runs says whether the process runs the program at path as it is now: a program
// that has been built again is another file.
func (p process) runs(path string) bool {
	running, err := os.Stat(fmt.Sprintf("/proc/%d/exe", p.PID))
	if err != nil {
		return false
	}
	now, err := os.Stat(path)
	return err == nil && os.SameFile(running, now)
}

// end asks the process to end, kills it after patience, and returns when it is
// gone. One that is gone already is no error.
func (p process) end(ctx context.Context, patience time.Duration) error {
	if !p.alive() {
		return nil
	}
	// The handle refers to one process even if the pid is given to another, so
	// looking once more after taking it makes sure whose it is.
	handle, err := os.FindProcess(p.PID)
	if err != nil {
		return fmt.Errorf("find process %d: %w", p.PID, err)
	}
	defer func() { _ = handle.Release() }()
	for _, attempt := range []struct {
		signal   syscall.Signal
		patience time.Duration
	}{{syscall.SIGTERM, patience}, {syscall.SIGKILL, killPatience}} {
		if !p.alive() {
			return nil
		}
		if err := handle.Signal(attempt.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("end process %d: %w", p.PID, err)
		}
		limit, cancel := context.WithTimeout(ctx, attempt.patience)
		err := poll(limit, func() (bool, error) { return !p.alive(), nil })
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("end process %d: %w", p.PID, ctx.Err())
		}
	}
	return fmt.Errorf("process %d can't be killed", p.PID)
}

// startTime is that of a running process, 0 when there is none.
func startTime(pid int) uint64 {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The first thread of a killed process may have ended before the others, which keep the
	// process's ports until they have ended, too.
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return parseStartTime(content, err == nil && len(threads) > 1)
}

// parseStartTime reads the text of a /proc/PID/stat. hasThreads is whether there are threads
// other than the first one.
func parseStartTime(stat []byte, hasThreads bool) uint64 {
	// The second field, the name in parentheses, may hold spaces and parentheses.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" && !hasThreads || fields[0] == "X" {
		return 0
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return 0
	}
	return start
}

// poll asks until done or an error, or until ctx ends, whose error it returns.
func poll(ctx context.Context, ask func() (done bool, err error)) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if done, err := ask(); done || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// logTail is the end of a log for an error message.
func logTail(path string, lines int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return fmt.Sprintf("the end of %s:\n  %s", path, strings.Join(all[max(0, len(all)-lines):], "\n  "))
}
