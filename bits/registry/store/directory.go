package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/utils/clock"
)

// Options say where the content is and how much room it must leave.
type Options struct {
	// Directory holds everything. It is made when it is missing.
	Directory string
	// MinFreeBytes is the free space of the file system below which uploads fail;
	// 0 for none.
	MinFreeBytes int64
	// Clock is the real one when nil. What it says is compared with the times of
	// files.
	Clock clock.PassiveClock
	// FreeBytes measures the free space; nil asks the file system of Directory.
	FreeBytes func() (int64, error)
}

// Store is an open directory. It implements the library's StorageDriver.
type Store struct {
	directory    string
	minFreeBytes int64
	clock        clock.PassiveClock
	freeBytes    func() (int64, error)
	lock         *os.File
	// opened is the time of the file system at Open: uploads before it are dead.
	opened time.Time

	// gate lets the library find and link things (shared), or a collection remove
	// one that nobody found lately (exclusive). It is held for a few system calls
	// and never while something is synced or copied.
	gate sync.RWMutex
	// collecting admits one collection at a time.
	collecting chan struct{}
	// unrecorded is the time of the last use that could not be noted on the file,
	// in nanoseconds of Unix time.
	unrecorded atomic.Int64
	// lastFull is the time of the last error that said that the disk is full, likewise.
	lastFull atomic.Int64
	// names makes names of temporary files and discarded folders.
	names atomic.Int64
}

// Open makes or opens the directory and takes its lock. What a former process left
// half-written is thrown away.
func Open(options Options) (*Store, error) {
	directory, err := filepath.Abs(options.Directory)
	if err != nil {
		return nil, fmt.Errorf("open the registry's directory: %w", err)
	}
	s := &Store{
		directory:    directory,
		minFreeBytes: options.MinFreeBytes,
		clock:        options.Clock,
		freeBytes:    options.FreeBytes,
		collecting:   make(chan struct{}, 1),
	}
	if s.clock == nil {
		s.clock = clock.RealClock{}
	}
	if s.freeBytes == nil {
		s.freeBytes = s.fileSystemFreeBytes
	}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open the registry's directory %s: %w", directory, err)
	}
	return s, nil
}

func (s *Store) open() error {
	if err := os.MkdirAll(s.own(), 0o700); err != nil {
		return err
	}
	if err := s.takeLock(); err != nil {
		return err
	}
	err := s.clean()
	if err != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// clean empties our own folders.
func (s *Store) clean() error {
	for _, folder := range []string{s.own(temporaryFolder), s.own(discardedFolder)} {
		if err := os.RemoveAll(folder); err != nil {
			return err
		}
		if err := os.Mkdir(folder, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// takeLock leaves the process's number in the file, for people.
func (s *Store) takeLock() error {
	lock, err := os.OpenFile(s.own(lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := s.fillLock(lock); err != nil {
		return errors.Join(err, lock.Close())
	}
	s.lock = lock
	return nil
}

func (s *Store) fillLock(lock *os.File) error {
	switch err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		holder := make([]byte, 20)
		n, _ := lock.ReadAt(holder, 0)
		return fmt.Errorf("another registry uses it, process %s", bytes.TrimSpace(holder[:n]))
	case err != nil:
		return fmt.Errorf("lock it: %w", err)
	}
	if err := lock.Truncate(0); err != nil {
		return err
	}
	if _, err := lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return err
	}
	info, err := lock.Stat()
	if err != nil {
		return err
	}
	s.opened = info.ModTime()
	return nil
}

// Close gives up the lock, after which another process may open the directory. No
// other method may be running, and none be called later.
func (s *Store) Close() error { return s.lock.Close() }

// Check says what is wrong with the directory: nil, or that it can't be reached or
// has become another one (a volume that went away).
func (s *Store) Check() error {
	held, err := s.lock.Stat()
	if err != nil {
		return fmt.Errorf("check the registry's directory: %w", err)
	}
	present, err := os.Stat(s.own(lockName))
	if err != nil {
		return fmt.Errorf("check the registry's directory: %w", err)
	}
	if !os.SameFile(held, present) {
		return fmt.Errorf("the registry's directory %s is not the one that was opened", s.directory)
	}
	return nil
}

// own is a path of ours.
func (s *Store) own(parts ...string) string {
	return filepath.Join(append([]string{s.directory, ownFolder}, parts...)...)
}

func (s *Store) newName() string { return strconv.FormatInt(s.names.Add(1), 10) }

// discard removes the file or folder at path, at once for whoever looks and as a
// whole, provided that wanted says so when nothing else is going on. It says
// whether it did.
func (s *Store) discard(path string, wanted func() (bool, error)) (bool, error) {
	aside := s.own(discardedFolder, s.newName())
	s.gate.Lock()
	ok, err := wanted()
	if ok && err == nil {
		err = os.Rename(path, aside)
	}
	s.gate.Unlock()
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil || !ok:
		return false, err
	}
	return true, os.RemoveAll(aside)
}

// startCollecting waits for the end of another collection.
func (s *Store) startCollecting(ctx context.Context) (end func(), err error) {
	select {
	case s.collecting <- struct{}{}:
		return func() { <-s.collecting }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
