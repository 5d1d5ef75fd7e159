package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/irene-cf/irene/opi/sidecars"
)

// Exit statuses of launch's own failures, after sysexits.h.
const (
	statusUsage   = 64
	statusNoShell = 69
	statusSystem  = 71
	statusConfig  = 78
)

// failure is an error that ends launch with an exit status of its own.
type failure struct {
	status int
	err    error
}

func (f failure) Error() string { return f.err.Error() }
func (f failure) Unwrap() error { return f.err }

// fail makes a failure from a format and its arguments.
func fail(status int, format string, args ...any) error {
	return failure{status: status, err: fmt.Errorf(format, args...)}
}

// launcher starts one app, with its sidecars if there are any, and looks after its container
// until one of them ends.
type launcher struct {
	// home is the folder that a droplet is rooted at; it holds app, deps,
	// profile.d, tmp and staging_info.yml.
	home string
	// shells are the shells to use, best first.
	shells []string
	// stderr takes launch's own messages, one line each.
	stderr io.Writer
	// grace bounds how long leftover processes may take to end.
	grace grace
	// endFile takes the text about the process that ended first, if there are several. It is
	// the container's termination message.
	endFile string
}

func (l launcher) appDir() string { return filepath.Join(l.home, "app") }

// warn tells about something that doesn't keep the app from starting.
func (l launcher) warn(err error) {
	fmt.Fprintf(l.stderr, "launch: %v\n", err)
}

// run starts the app and its sidecars with the given command line (without the program's
// name) and environment, waits for their end and returns launch's exit status.
func (l launcher) run(received signals, args []string, environ []string) int {
	members, rest, err := sidecars.Parse(args)
	if err != nil {
		return l.abort(failure{status: statusUsage, err: err})
	}
	processes, err := l.prepare(members, rest, environment(environ))
	if err != nil {
		return l.abort(err)
	}
	container := newContainer()
	group := newGroup(processes, l.noteEnd)
	if err := group.start(); err != nil {
		// As process 1, launch takes them along. Elsewhere no other process would end them.
		_ = container.signal(syscall.SIGKILL)
		return l.abort(err)
	}
	status, err := group.supervise(container, received, l.grace)
	if err != nil {
		return l.abort(err)
	}
	group.flush(flushTimeout)
	return status
}

// noteEnd writes which process ended first to where Kubernetes keeps it. An app without
// sidecars needs no such text.
func (l launcher) noteEnd(source string, status int) {
	if source == "" {
		return
	}
	// The file is the container runtime's; launch makes none.
	file, err := os.OpenFile(l.endFile, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		l.warn(fmt.Errorf("note that %s: %w", sidecars.End(source, status), err))
		return
	}
	_, err = file.WriteString(sidecars.End(source, status))
	if err := errors.Join(err, file.Close()); err != nil {
		l.warn(fmt.Errorf("note that %s: %w", sidecars.End(source, status), err))
	}
}

// abort reports a failure and returns its exit status.
func (l launcher) abort(err error) int {
	l.warn(err)
	if f, ok := errors.AsType[failure](err); ok {
		return f.status
	}
	return statusSystem
}

// prepare decides everything about the processes before any is started, and sets the file
// descriptor limit that they will inherit. The app comes first.
func (l launcher) prepare(members sidecars.Members, args []string, env environment) ([]process, error) {
	shell, err := findShell(l.shells)
	if err != nil {
		return nil, err
	}
	own := withoutSidecars(env, members)
	command, prefix, err := l.startCommand(args, own)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(l.appDir()); err != nil {
		return nil, fail(statusConfig, "find the app directory: %w", err)
	} else if !info.IsDir() {
		return nil, fail(statusConfig, "find the app directory: %s is not a directory", l.appDir())
	}
	scripts, problems := profileScripts(l.home)
	for _, problem := range problems {
		l.warn(problem)
	}
	// The limit is read from the value as Cloud Controller sent it.
	if err := limitFiles(own.get("VCAP_APPLICATION")); err != nil {
		l.warn(err)
	}
	program := func(env environment, command string) process {
		env, problems := appEnvironment(env, l.home)
		for _, problem := range problems {
			l.warn(problem)
		}
		return process{
			path: shell,
			args: []string{filepath.Base(shell), "-c", shellScript(shell, scripts, prefix, command)},
			env:  env,
			dir:  l.appDir(),
		}
	}
	app := program(own, command)
	if len(members.Sidecars) > 0 {
		app.source = members.App
	}
	processes := []process{app}
	for _, sidecar := range members.Sidecars {
		if err := checkCommand(sidecar.Command); err != nil {
			return nil, fmt.Errorf("%s: %w", sidecar.Source, err)
		}
		other := program(sidecarEnvironment(env, own, sidecar), sidecar.Command)
		other.source, other.isSidecar = sidecar.Source, true
		processes = append(processes, other)
	}
	return processes, nil
}
