package opi

import (
	"errors"
	"strconv"
	"strings"
)

// Limits bound one instance. Zero means the platform's default unless it is
// said otherwise.
type Limits struct {
	// MemoryMiB is memory in MiB (Cloud Foundry's "MB" are MiB); it must be
	// positive.
	MemoryMiB int64 `json:"memoryMiB,omitempty"`
	// DiskMiB is scratch disk in MiB.
	DiskMiB int64 `json:"diskMiB,omitempty"`
	// CPUWeight is the share of a cell's CPU, 1 to 100 as Cloud Controller
	// computes it from memory; larger values are taken as they are.
	CPUWeight int64 `json:"cpuWeight,omitempty"`
	// FileDescriptors is the soft limit of open files.
	FileDescriptors int64 `json:"fileDescriptors,omitempty"`
	// PIDs is how many processes and threads an instance may have.
	PIDs int64 `json:"pids,omitempty"`
	// LogBytesPerSecond bounds what is read of an instance's log: -1 means no bound, 0 that
	// nothing is read, nil the platform's default.
	LogBytesPerSecond *int64 `json:"logBytesPerSecond,omitempty"`
}

const (
	maxMiB       = 1 << 30 // one PiB: a typing error, not an app
	maxCPUWeight = 100_000 // 1,000 cores
)

// Validate checks the bounds of every limit.
func (l Limits) Validate() error {
	var errs []error
	check := func(field string, value, least, most int64) {
		if value < least || value > most {
			errs = append(errs, Invalid("limits."+field, "must be between %d and %d, is %d", least, most, value))
		}
	}
	check("memory", l.MemoryMiB, 1, maxMiB)
	check("disk", l.DiskMiB, 0, maxMiB)
	check("cpuWeight", l.CPUWeight, 0, maxCPUWeight)
	check("fileDescriptors", l.FileDescriptors, 0, 1<<31)
	check("pids", l.PIDs, 0, 1<<31)
	if l.LogBytesPerSecond != nil {
		check("logBytesPerSecond", *l.LogBytesPerSecond, -1, 1<<40)
	}
	return errors.Join(errs...)
}

// ParseMemoryLimit reads the value of the variable MEMORY_LIMIT, mebibytes followed by m as in
// "256m".
func ParseMemoryLimit(text string) (mebibytes int64, err error) {
	digits, found := strings.CutSuffix(strings.ToLower(text), "m")
	if !found {
		return 0, strconv.ErrSyntax
	}
	number, err := strconv.ParseUint(digits, 10, 62)
	return int64(number), err
}
