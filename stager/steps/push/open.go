package push

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/irene-cf/irene/stager/steps"
)

// openOutput opens a file that the build left below a folder that it could not
// replace. No element of name is followed if it is a link, and only a regular file of
// at most limit bytes is taken.
func openOutput(folder, name string, limit int64) (*os.File, os.FileInfo, error) {
	file, err := openBelow(folder, name)
	if err != nil {
		return nil, nil, explain(name, err)
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		err = explain(name, err)
	case !info.Mode().IsRegular():
		err = steps.Fail(steps.BadOutput, "the build left a %s that is not a file", filepath.Base(name))
	case info.Size() > limit:
		err = steps.Fail(steps.BadOutput, "the build left a %s of %s, which is more than %s", filepath.Base(name), steps.Size(info.Size()), steps.Size(limit))
	}
	if err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

func openBelow(folder, name string) (*os.File, error) {
	// The mount point itself belongs to the pod, not to user code.
	at, err := unix.Open(folder, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	elements := strings.Split(name, "/")
	for _, element := range elements[:len(elements)-1] {
		below, err := unix.Openat(at, element, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		_ = unix.Close(at)
		if err != nil {
			return nil, err
		}
		at = below
	}
	defer unix.Close(at)
	// NONBLOCK, lest a FIFO makes the open wait for its writer.
	last, err := unix.Openat(at, elements[len(elements)-1], unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(last), name), nil
}

func explain(name string, err error) error {
	base := filepath.Base(name)
	switch {
	case errors.Is(err, syscall.ENOENT):
		return steps.Fail(steps.BadOutput, "the build left no %s", base)
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ENODEV):
		return steps.Fail(steps.BadOutput, "the build left a %s that is not a file", base)
	case errors.Is(err, syscall.EACCES):
		return steps.Fail(steps.BadOutput, "the build left a %s that can't be read", base)
	}
	return fmt.Errorf("open what the build left: %w", err)
}
