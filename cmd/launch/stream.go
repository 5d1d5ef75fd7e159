package main

import (
	"errors"

	"golang.org/x/sys/unix"
)

// stream is the number of a file that other processes write to, too. Any of them may have made
// it non-blocking, as libuv (Node.js) does with pipes, which counts for all of them: package
// os would then give up where a full pipe needs patience.
type stream int

// Write implements io.Writer.
func (s stream) Write(text []byte) (int, error) {
	written := 0
	for written < len(text) {
		n, err := unix.Write(int(s), text[written:])
		written += max(n, 0)
		switch {
		case err == nil, errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			ready := []unix.PollFd{{Fd: int32(s), Events: unix.POLLOUT}}
			if _, err := unix.Poll(ready, -1); err != nil && !errors.Is(err, unix.EINTR) {
				return written, err
			}
		default:
			return written, err
		}
	}
	return written, nil
}
