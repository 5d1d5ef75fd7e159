package main

import (
	"os"
	"os/signal"
	"syscall"
)

// signals delivers what launch is sent.
type signals struct {
	// toForward holds signals for the app, in the order of their arrival.
	toForward <-chan os.Signal
	// childEnded holds one entry while there may be processes to reap. Like the
	// signal SIGCHLD itself it doesn't count them.
	childEnded <-chan os.Signal
}

// Real-time signals that a program can be sent; 32 to 34 belong to the C
// libraries, and Go leaves them alone.
const (
	firstRealTime = 35
	lastRealTime  = 64
)

// signalQueue is how many signals may wait for the app to be started.
const signalQueue = 128

// listen takes over all signals that make sense to forward. Left out are those
// that report a fault of launch itself (SIGSEGV, ...), those of terminal job
// control, and SIGURG, by which the Go runtime interrupts its own threads.
func listen() signals {
	toForward := make(chan os.Signal, signalQueue)
	wanted := []os.Signal{
		syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGALRM, syscall.SIGTERM, syscall.SIGCONT, syscall.SIGVTALRM, syscall.SIGPROF,
		syscall.SIGWINCH, syscall.SIGIO, syscall.SIGPWR,
	}
	for number := firstRealTime; number <= lastRealTime; number++ {
		wanted = append(wanted, syscall.Signal(number))
	}
	signal.Notify(toForward, wanted...)

	childEnded := make(chan os.Signal, 1)
	signal.Notify(childEnded, syscall.SIGCHLD)

	// A Go program dies of SIGPIPE when it writes to a closed standard error
	// unless somebody asks for the signal; the app must not be lost over a
	// message. Ignoring it instead would be inherited by the app.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	return signals{toForward: toForward, childEnded: childEnded}
}
