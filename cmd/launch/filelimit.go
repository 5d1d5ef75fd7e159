package main

import (
	"encoding/json"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// limitFiles sets this process's soft limit of open files, which the app
// inherits, to limits.fds of VCAP_APPLICATION. Without that member (or with 0)
// the limit stays as the container runtime set it. The hard limit bounds it and
// is never changed; when it cuts the wish short, or nothing could be set, that is
// the error. Text that isn't a JSON object holds no limit and is no error here:
// the merge of instance values reports it.
func limitFiles(vcapApplication string) error {
	wanted, err := wantedFiles(vcapApplication)
	if err != nil || wanted == 0 {
		return err
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("file descriptor limit stays as it was: read it: %w", err)
	}
	limit.Cur = min(wanted, limit.Max)
	// Set even if it looks equal: Go shows its programs the hard limit as the
	// soft one, and hands children the true one unless it was set here.
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("file descriptor limit stays as it was: set it to %d: %w", limit.Cur, err)
	}
	if limit.Cur < wanted {
		return fmt.Errorf("file descriptor limit is %d: VCAP_APPLICATION limits.fds is %d, the container's hard limit is lower", limit.Cur, wanted)
	}
	return nil
}

// wantedFiles reads limits.fds, 0 when VCAP_APPLICATION doesn't have it.
func wantedFiles(vcapApplication string) (uint64, error) {
	var app map[string]json.RawMessage
	if json.Unmarshal([]byte(vcapApplication), &app) != nil {
		return 0, nil
	}
	var limits map[string]json.RawMessage
	if raw, ok := app["limits"]; !ok {
		return 0, nil
	} else if json.Unmarshal(raw, &limits) != nil {
		return 0, fmt.Errorf("file descriptor limit stays as it was: VCAP_APPLICATION limits is not an object")
	}
	fds, ok := limits["fds"]
	if !ok || string(fds) == "null" {
		return 0, nil
	}
	wanted, err := strconv.ParseUint(string(fds), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("file descriptor limit stays as it was: VCAP_APPLICATION limits.fds is not a whole number")
	}
	return wanted, nil
}
