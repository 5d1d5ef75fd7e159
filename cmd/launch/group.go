package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/irene-cf/irene/opi/sidecars"
)

// flushTimeout bounds how long launch waits at its end for output that is still in a pipe. Only
// a reader that has stopped reading launch's own output makes it wait.
const flushTimeout = 2 * time.Second

// member is a process of a group.
type member struct {
	process
	pid int
	// ended is set once the process was reaped, with its exit status.
	ended  bool
	status int
}

// group is the app, first, and its sidecars, which end together.
type group struct {
	members []*member
	// firstEnded is called once, with the source and status of the first that ends.
	firstEnded func(source string, status int)
	// terminated is set once the members have got SIGTERM.
	terminated bool
	// relays pass on the output of sidecars.
	relays sync.WaitGroup
}

func newGroup(processes []process, firstEnded func(source string, status int)) *group {
	g := &group{firstEnded: firstEnded}
	for _, p := range processes {
		g.members = append(g.members, &member{process: p})
	}
	return g
}

// start starts all members. The app has launch's own output and error; those of a sidecar
// are passed on line by line. When an error is returned, some members may run.
func (g *group) start() error {
	for _, m := range g.members {
		if err := g.startMember(m); err != nil {
			return err
		}
	}
	return nil
}

func (g *group) startMember(m *member) error {
	if !m.isSidecar {
		pid, err := m.process.start(1, 2)
		m.pid = pid
		return err
	}
	stdout, err := g.relay(m.source, stream(1))
	if err != nil {
		return err
	}
	defer stdout.Close()
	stderr, err := g.relay(m.source, stream(2))
	if err != nil {
		return err
	}
	defer stderr.Close()
	// Fd makes the pipes blocking for the sidecar, as programs expect of their output.
	if m.pid, err = m.process.start(stdout.Fd(), stderr.Fd()); err != nil {
		return fmt.Errorf("%s: %w", m.source, err)
	}
	return nil
}

// relay returns a pipe. Its lines are passed on to one of launch's streams, with the source
// before each.
func (g *group) relay(source string, to io.Writer) (*os.File, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fail(statusSystem, "make a pipe for the output of %s: %w", source, err)
	}
	lines := newLineWriter(to, sidecars.Prefix(source), sidecars.ContinuedPrefix(source))
	g.relays.Go(func() {
		defer read.Close()
		lines.copyFrom(read)
	})
	return write, nil
}

// flush waits until all output of sidecars was passed on.
func (g *group) flush(timeout time.Duration) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.relays.Wait()
	}()
	select {
	case <-done:
	case <-time.After(timeout):
	}
}

// signal sends a signal to all members that have not ended.
func (g *group) signal(sig syscall.Signal) {
	for _, m := range g.members {
		if !m.ended {
			// It can't have been reaped: note is called by the same goroutine. It may be a
			// zombie, which needs no signal.
			_ = syscall.Kill(m.pid, sig)
		}
	}
	g.terminated = g.terminated || sig == syscall.SIGTERM
}

// terminate sends SIGTERM to the members that are left, unless they have had it already: a
// second one ends some servers at once.
func (g *group) terminate() {
	if !g.terminated {
		g.signal(syscall.SIGTERM)
	}
}

// note records which members are among the processes that have ended. It returns the first of
// these members, nil for none.
func (g *group) note(ended []endedProcess) (first *member) {
	for _, p := range ended {
		for _, m := range g.members {
			if m.pid != p.pid || m.ended {
				continue
			}
			m.ended, m.status = true, p.status
			if first == nil {
				first = m
			}
		}
	}
	return first
}

// running reports whether a member has not ended.
func (g *group) running() bool {
	for _, m := range g.members {
		if !m.ended {
			return true
		}
	}
	return false
}
