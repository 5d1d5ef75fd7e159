package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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

// launcher starts one app and looks after its container until the app ends.
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
}

func (l launcher) appDir() string { return filepath.Join(l.home, "app") }

// warn tells about something that doesn't keep the app from starting.
func (l launcher) warn(err error) {
	fmt.Fprintf(l.stderr, "launch: %v\n", err)
}

// run starts the app with the given command line (without the program's name)
// and environment, waits for its end and returns launch's exit status.
func (l launcher) run(received signals, args []string, environ []string) int {
	app, err := l.prepare(args, environment(environ))
	if err != nil {
		return l.abort(err)
	}
	container := newContainer()
	pid, err := app.start()
	if err != nil {
		return l.abort(err)
	}
	status, err := supervise(pid, container, received, l.grace)
	if err != nil {
		return l.abort(err)
	}
	return status
}

// abort reports a failure and returns its exit status.
func (l launcher) abort(err error) int {
	l.warn(err)
	if f, ok := errors.AsType[failure](err); ok {
		return f.status
	}
	return statusSystem
}

// prepare decides everything about the app's process before it is started, and
// sets the file descriptor limit that the process will inherit.
func (l launcher) prepare(args []string, env environment) (process, error) {
	shell, err := findShell(l.shells)
	if err != nil {
		return process{}, err
	}
	command, prefix, err := l.startCommand(args, env)
	if err != nil {
		return process{}, err
	}
	if info, err := os.Stat(l.appDir()); err != nil {
		return process{}, fail(statusConfig, "find the app directory: %w", err)
	} else if !info.IsDir() {
		return process{}, fail(statusConfig, "find the app directory: %s is not a directory", l.appDir())
	}
	scripts, problems := profileScripts(l.home)
	for _, problem := range problems {
		l.warn(problem)
	}
	// The limit is read from the value as Cloud Controller sent it.
	if err := limitFiles(env.get("VCAP_APPLICATION")); err != nil {
		l.warn(err)
	}
	env, problems = appEnvironment(env, l.home)
	for _, problem := range problems {
		l.warn(problem)
	}
	return process{
		path: shell,
		args: []string{filepath.Base(shell), "-c", shellScript(shell, scripts, prefix, command)},
		env:  env,
		dir:  l.appDir(),
	}, nil
}
