package steps

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/irene-cf/irene/opi"
)

// Reason says what kept a step from succeeding.
type Reason string

// What can go wrong. Exit status and error id of each are in the package's
// documentation.
const (
	// NoAppDetected: no buildpack wants the app.
	NoAppDetected Reason = "detect"
	// CompileFailed: bin/compile of a buildpack without bin/finalize failed.
	CompileFailed Reason = "compile"
	// ReleaseFailed: bin/release failed, or what it says can't be read.
	ReleaseFailed Reason = "release"
	// SupplyFailed: bin/supply of any of the buildpacks failed or is missing.
	SupplyFailed Reason = "supply"
	// FinalizeFailed: bin/finalize failed.
	FinalizeFailed Reason = "finalize"
	// BadProcesses: a Procfile or launch.yml can't be read.
	BadProcesses Reason = "processes"
	// OutOfMemory: the kernel killed a buildpack's process at the memory limit.
	OutOfMemory Reason = "memory"
	// OutOfDisk: there is no room for a file.
	OutOfDisk Reason = "disk"
	// DownloadFailed: the app package or a buildpack can't be had.
	DownloadFailed Reason = "download"
	// BadArchive: the app package or a buildpack is broken, hostile or too large.
	BadArchive Reason = "archive"
	// BadOutput: what the build left behind can't be taken.
	BadOutput Reason = "output"
	// UploadFailed: Cloud Controller didn't take the droplet.
	UploadFailed Reason = "upload"
	// RegistryFailed: the registry didn't take the droplet.
	RegistryFailed Reason = "registry"
	// Interrupted: the pod was started a second time; user code is not.
	Interrupted Reason = "interrupted"
	// Canceled: the step was told to end.
	Canceled Reason = "canceled"
	// BadConfiguration: the step's configuration is wrong.
	BadConfiguration Reason = "configuration"
	// Internal: anything that should not happen.
	Internal Reason = "internal"
)

// consequence is how a failure is told to the outside.
type consequence struct {
	id     string
	status int
}

// Ids are those that Cloud Controller keeps as they are. Statuses 222 to 226 are
// the classic buildpack lifecycle's; 143 is a program's that ended on SIGTERM; the
// others lie among those of sysexits.h, which no shell and no kernel uses.
var consequences = map[Reason]consequence{
	NoAppDetected:    {opi.NoAppDetectedError, 222},
	CompileFailed:    {opi.BuildpackCompileFailed, 223},
	ReleaseFailed:    {opi.BuildpackReleaseFailed, 224},
	SupplyFailed:     {opi.BuildpackCompileFailed, 225},
	FinalizeFailed:   {opi.BuildpackCompileFailed, 226},
	BadProcesses:     {opi.StagingError, 65},
	OutOfMemory:      {opi.StagingError, 71},
	OutOfDisk:        {opi.StagingError, 73},
	DownloadFailed:   {opi.StagingError, 66},
	BadArchive:       {opi.StagingError, 67},
	BadOutput:        {opi.StagingError, 68},
	UploadFailed:     {opi.StagingError, 69},
	RegistryFailed:   {opi.StagingError, 74},
	Interrupted:      {opi.StagingError, 75},
	Canceled:         {opi.StagingError, 143},
	BadConfiguration: {opi.StagerError, 64},
	Internal:         {opi.StagerError, 70},
}

// Known tells whether the reason is one of this package's.
func (r Reason) Known() bool { return consequences[r].id != "" }

// ErrorID is the id under which Cloud Controller is told.
func (r Reason) ErrorID() string { return consequences[r].id }

// ExitStatus is the exit status of a step that fails for this reason.
func (r Reason) ExitStatus() int { return consequences[r].status }

// ReasonOfExit returns the reason behind a step's exit status, for a step that
// left no message; false when no step ends that way.
func ReasonOfExit(status int) (Reason, bool) {
	for reason, c := range consequences {
		if c.status == status {
			return reason, true
		}
	}
	return "", false
}

// Failure is an error of a step that knows its reason. Its text is for the user:
// it holds no credential and no signed URL.
type Failure struct {
	Reason Reason
	err    error
}

// Fail makes a Failure; format and args make its text, and %w wraps as with
// fmt.Errorf.
func Fail(reason Reason, format string, args ...any) *Failure {
	return &Failure{Reason: reason, err: fmt.Errorf(format, args...)}
}

func (f *Failure) Error() string { return f.err.Error() }

func (f *Failure) Unwrap() error { return f.err }

// Because makes a Failure of another error: format and args make the beginning of its
// text, and the error, which must be fit for the user, the rest. The reason is the
// given one unless the disk is full. A Failure in err stays what it is.
func Because(reason Reason, err error, format string, args ...any) *Failure {
	var failure *Failure
	switch {
	case errors.As(err, &failure):
		return failure
	case IsOutOfDisk(err):
		reason = OutOfDisk
	}
	return Fail(reason, "%s: %w", fmt.Sprintf(format, args...), err)
}

// AsFailure returns the Failure in err, or makes one for an unexpected error.
func AsFailure(err error) *Failure {
	return Because(Internal, err, "staging met an unexpected error")
}

// IsOutOfDisk tells whether a file could not be written for want of room.
func IsOutOfDisk(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
