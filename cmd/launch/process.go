package main

import (
	"errors"
	"strings"
	"syscall"
)

// maxArgument is the kernel's limit, in bytes with the ending NUL, for a single
// argument or environment entry (MAX_ARG_STRLEN: 32 pages of 4 KiB).
const maxArgument = 128 << 10

// process is a program that is ready to start.
type process struct {
	path string
	args []string
	env  environment
	dir  string
	// source names the process in log lines and at its end; empty if it is the only one.
	source string
	// isSidecar is false for the app.
	isSidecar bool
}

// start runs the process in a session of its own, with launch's standard input and
// the given output and error, and returns its number. Its own session keeps a shell that
// signals its whole process group ("kill 0") from signalling launch, which would
// send the signal back. The caller must wait for the process.
func (p process) start(stdout, stderr uintptr) (int, error) {
	pid, err := syscall.ForkExec(p.path, p.args, &syscall.ProcAttr{
		Dir:   p.dir,
		Env:   p.env,
		Files: []uintptr{0, stdout, stderr},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if errors.Is(err, syscall.E2BIG) {
		return 0, p.tooLarge()
	}
	if err != nil {
		return 0, fail(statusSystem, "start %s in %s: %w", p.path, p.dir, err)
	}
	return pid, nil
}

// tooLarge names what made the kernel refuse the arguments and environment.
func (p process) tooLarge() error {
	for _, entry := range p.env {
		if len(entry)+1 > maxArgument {
			name, _, _ := strings.Cut(entry, "=")
			return fail(statusSystem, "environment variable %s is too large: %d bytes with its name, the kernel takes %d", name, len(entry), maxArgument-1)
		}
	}
	total := 0
	for _, arg := range p.args {
		if len(arg)+1 > maxArgument {
			return fail(statusSystem, "the start command is too large: %d bytes quoted and with the profile scripts, the kernel takes %d", len(arg), maxArgument-1)
		}
		total += len(arg) + 1
	}
	for _, entry := range p.env {
		total += len(entry) + 1
	}
	return fail(statusSystem, "environment and start command together are too large for the kernel: %d bytes", total)
}
