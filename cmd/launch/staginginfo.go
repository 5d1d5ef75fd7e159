package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/irene-cf/irene/bits/droplet/staginginfo"
)

// readStagingInfo reads a staging_info.yml. A missing file is an empty one; one that
// is too large is refused, because the droplet comes from user code, and launch's
// memory counts against the app.
func readStagingInfo(file string) (staginginfo.Info, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return staginginfo.Info{}, nil
	}
	if err != nil {
		return staginginfo.Info{}, fmt.Errorf("read the droplet's start command: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, staginginfo.MaxBytes+1))
	if err != nil {
		return staginginfo.Info{}, fmt.Errorf("read the droplet's start command: %w", err)
	}
	if len(text) > staginginfo.MaxBytes {
		return staginginfo.Info{}, fmt.Errorf("read the droplet's start command: %s is larger than %d bytes", file, staginginfo.MaxBytes)
	}
	info, err := staginginfo.Parse(text)
	if err != nil {
		return staginginfo.Info{}, fmt.Errorf("read the droplet's start command from %s: %w", file, err)
	}
	return info, nil
}
