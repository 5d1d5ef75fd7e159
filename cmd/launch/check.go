package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// checkWord begins the arguments of a check: "check TIMEOUT PORT …".
const checkWord = "check"

// checkArguments returns what follows the word that makes launch check ports instead of
// starting an app. A single word is a start command.
func checkArguments(args []string) ([]string, bool) {
	if len(args) < 3 || args[0] != checkWord {
		return nil, false
	}
	return args[1:], true
}

// check connects to all ports at once, at the container's own address, and returns 0 if each
// took the connection within the timeout. Otherwise it writes one line about the first port
// that did not, which explains why an instance was restarted.
func check(args, environ []string, stderr io.Writer) int {
	timeout, err := time.ParseDuration(args[0])
	if err != nil {
		fmt.Fprintf(stderr, "launch: check: %v\n", err)
		return statusUsage
	}
	env := environment(environ)
	// An app that listens on loopback alone is not reachable, and must not pass.
	host := cmp.Or(env.firstOf("CF_INSTANCE_INTERNAL_IP", "CF_INSTANCE_IP"), "127.0.0.1")
	ports := args[1:]
	failures := make([]error, len(ports))
	var all sync.WaitGroup
	for i, port := range ports {
		all.Go(func() { failures[i] = connect(host, port, timeout) })
	}
	all.Wait()
	for _, failure := range failures {
		if failure != nil {
			fmt.Fprintln(stderr, failure)
			return 1
		}
	}
	return 0
}

func connect(host, port string, timeout time.Duration) error {
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q is not a port number", port)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	switch {
	case err == nil:
		return connection.Close()
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("port %s refused the connection", port)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("port %s did not answer within %s", port, timeout)
	}
	return fmt.Errorf("port %s: %w", port, err)
}
