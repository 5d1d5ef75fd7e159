package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// grace bounds how long processes that the app left behind may take to end after
// the SIGTERM that they get.
type grace struct {
	// afterStop is counted from the moment at which launch got the signal to stop. Members of a
	// group have the same time after the first of them has ended by itself.
	afterStop time.Duration
	// afterExit is counted from the app's end and holds when the app ended by
	// itself, or so late after a stop that less than this would be left.
	afterExit time.Duration
	// afterKill is how long SIGKILL may take to work, where launch isn't process 1
	// and therefore has to send it itself.
	afterKill time.Duration
}

// defaultGrace gives a stopped app's processes the 10 s that Cloud Foundry gives
// an app, and delays the restart of a crashed one by 2 s at most.
var defaultGrace = grace{afterStop: 10 * time.Second, afterExit: 2 * time.Second, afterKill: time.Second}

// supervise forwards signals to all members and reaps whatever ends, until the members have
// ended and so has what they left behind, or the grace is over. The first member that ends
// ends the others. supervise returns the exit status of that first one. It must be called by
// the one goroutine that started the members, and nothing else in the program may wait for
// processes.
func (g *group) supervise(container container, received signals, limits grace) (int, error) {
	var stopped time.Time
	var first *member
	var overdue <-chan time.Time // runs once a member has ended and others have not
	for {
		select {
		case sig := <-received.toForward:
			g.signal(sig.(syscall.Signal))
			if stopped.IsZero() && (sig == syscall.SIGTERM || sig == syscall.SIGINT) {
				stopped = time.Now()
			}
		case <-overdue:
			return first.status, container.kill(received, limits.afterKill)
		case <-received.childEnded:
			ended, left, err := reap()
			if err != nil {
				return 0, err
			}
			if found := g.note(ended); first == nil && found != nil {
				first = found
				g.firstEnded(first.source, first.status)
				g.terminate()
				overdue = time.After(limits.untilKill(stopped, limits.afterStop))
			}
			switch {
			case first == nil && !left:
				return 0, fail(statusSystem, "lost track of the app's process %d", g.members[0].pid)
			case first == nil || g.running() && left:
				continue
			case left:
				return first.status, container.clear(received, limits.untilKill(stopped, limits.afterExit), limits.afterKill)
			}
			return first.status, nil
		}
	}
}

// untilKill returns how long processes may still take to end: least from now on, or
// afterStop from the time at which launch got the signal to stop, if that is later.
func (g grace) untilKill(stopped time.Time, least time.Duration) time.Duration {
	if stopped.IsZero() {
		return least
	}
	return max(min(least, g.afterExit), time.Until(stopped.Add(g.afterStop)))
}

// exitStatus is what a shell would make of a process's end.
func exitStatus(ended syscall.WaitStatus) int {
	if ended.Signaled() {
		return 128 + int(ended.Signal())
	}
	return ended.ExitStatus()
}

// endedProcess is a process that was reaped.
type endedProcess struct{ pid, status int }

// reap takes every ended child off the kernel's hands. It returns them, and whether there
// are children left.
func reap() (ended []endedProcess, left bool, err error) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.ECHILD):
			return ended, false, nil
		case err != nil:
			return ended, true, fail(statusSystem, "wait for ended processes: %w", err)
		case pid == 0:
			return ended, true, nil
		default:
			ended = append(ended, endedProcess{pid, exitStatus(status)})
		}
	}
}

// container is the set of processes that launch is answerable for.
type container struct {
	// all: launch is process 1, so every process in its namespace counts, and the
	// kernel kills them when launch exits.
	all bool
}

// newContainer makes sure that orphans in the container become launch's children.
// It is to be called before there are any.
func newContainer() container {
	if os.Getpid() == 1 {
		return container{all: true}
	}
	// Known since Linux 3.4. Without it orphans are somebody else's to reap, and
	// nothing else changes.
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	return container{}
}

// clear ends what the app left behind: one SIGTERM, then the given time. Signals
// that arrive meanwhile have nobody left to go to.
func (c container) clear(received signals, wait, afterKill time.Duration) error {
	if err := c.signal(syscall.SIGTERM); err != nil {
		return err
	}
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	if gone, err := c.awaitEmpty(received, deadline, nil); gone || err != nil || c.all {
		return err
	}
	return c.kill(received, afterKill)
}

// kill ends every process of the container at once.
func (c container) kill(received signals, wait time.Duration) error {
	if err := c.signal(syscall.SIGKILL); err != nil {
		return err
	}
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	// A process that was being born while the others were listed shows up as a
	// child once its parent is dead.
	_, err := c.awaitEmpty(received, deadline, func() error { return c.signal(syscall.SIGKILL) })
	return err
}

// awaitEmpty reaps until no child is left, true, or the deadline has passed. What
// again does is repeated whenever children ended and others are left.
func (c container) awaitEmpty(received signals, deadline *time.Timer, again func() error) (bool, error) {
	for {
		select {
		case <-received.toForward:
		case <-deadline.C:
			return false, nil
		case <-received.childEnded:
			_, left, err := reap()
			if err != nil || !left {
				return !left, err
			}
			if again != nil {
				if err := again(); err != nil {
					return false, err
				}
			}
		}
	}
}

// signal sends a signal to every process of the container but launch.
func (c container) signal(sig syscall.Signal) error {
	if c.all {
		// Process 1 itself is spared. That none is left, or none may be signalled
		// (somebody ran a command in the container as another user), is no failure.
		_ = syscall.Kill(-1, sig)
		return nil
	}
	pids, err := descendants(os.Getpid())
	if err != nil {
		return fmt.Errorf("find the processes that the app left behind: %w", err)
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig)
	}
	return nil
}
