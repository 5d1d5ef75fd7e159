package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"
)

// readyPatience is how long a service may take to be ready.
const readyPatience = time.Minute

// service is a program that "up" keeps running. It is started again when its program
// or its configuration has changed.
type service struct {
	// name is that of its log.
	name string
	// process is where the state has it.
	process *process
	program string
	args    []string
	// configured says whether its configuration is there as it should be; configure
	// writes it, when nothing runs with the old one any more.
	configured func() (bool, error)
	configure  func() error
	// readyURL answers 200 when it is ready.
	readyURL string
	// stop is how long it may take to end when asked to.
	stop time.Duration
}

// keep makes sure that a service runs and is ready, and says what there was to do.
func (c *cloud) keep(ctx context.Context, s service) (note string, err error) {
	configured, err := s.configured()
	if err != nil {
		return "", err
	}
	note = "started"
	switch {
	case !s.process.alive():
	case configured && s.process.runs(s.program):
		if err := c.awaitReady(ctx, s); !errors.Is(err, errEnded) {
			return "runs already", err
		}
	default:
		note = "started again, because its program or configuration has changed"
		if err := s.process.end(ctx, s.stop); err != nil {
			return "", err
		}
	}
	if err := s.configure(); err != nil {
		return "", err
	}
	*s.process, err = startProcess(c.log(s.name), c.log(s.name), s.program, s.args...)
	if err := errors.Join(err, c.saveState(c.state)); err != nil {
		return "", err
	}
	return note, c.awaitReady(ctx, s)
}

// awaitReady waits until a service is ready. It returns errEnded when it ends.
func (c *cloud) awaitReady(ctx context.Context, s service) error {
	limit, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	last := "no answer"
	err := poll(limit, func() (bool, error) {
		status, body, err := call(limit, http.MethodGet, s.readyURL, nil)
		if status == http.StatusOK {
			return true, nil
		}
		if err == nil {
			last = body
		}
		if !s.process.alive() {
			return false, fmt.Errorf("%s %w; %s", s.name, errEnded, logTail(c.log(s.name), 20))
		}
		return false, nil
	})
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("not ready after %s (%s: %s); %s", readyPatience, s.readyURL, last, logTail(c.log(s.name), 20))
	}
	return err
}

// fileHolds says whether a file has this content.
func fileHolds(path, content string) (bool, error) {
	present, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return string(present) == content, err
}

// chooseAddress sets an address to what it was the last time, else to the preferred
// one, else to any that is free on the preferred one's host.
func chooseAddress(address *string, preferred string) error {
	chosen, err := freeAddress(*address, preferred)
	if err == nil {
		*address = chosen
	}
	return err
}

// freeAddress is the first of the addresses that nobody listens on, or another on the
// last one's host.
func freeAddress(preferred ...string) (string, error) {
	host, _, err := net.SplitHostPort(preferred[len(preferred)-1])
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	for _, address := range append(preferred, net.JoinHostPort(host, "0")) {
		if address == "" {
			continue
		}
		var listener net.Listener
		if listener, err = net.Listen("tcp", address); err == nil {
			return listener.Addr().String(), listener.Close()
		}
	}
	return "", fmt.Errorf("find a free port: %w", err)
}
