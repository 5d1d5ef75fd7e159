package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoRoom is found by errors.Is in an error that says that less than
// MinFreeBytes are free.
var ErrNoRoom = errors.New("too little free space")

// FreeBytes is what an unprivileged process may still write to the directory's
// file system.
func (s *Store) FreeBytes() (int64, error) {
	free, err := s.freeBytes()
	if err != nil {
		return 0, fmt.Errorf("measure the free space of %s: %w", s.directory, err)
	}
	return free, nil
}

func (s *Store) fileSystemFreeBytes() (int64, error) {
	var state unix.Statfs_t
	if err := unix.Statfs(s.directory, &state); err != nil {
		return 0, err
	}
	return int64(state.Bavail) * state.Bsize, nil
}

// Room is an ErrNoRoom when less than MinFreeBytes are free.
func (s *Store) Room() error { return s.room(s.minFreeBytes) }

// RoomForLinks is an ErrNoRoom when less than half of MinFreeBytes is free: what
// takes some KiB, such as a manifest and mounts of blobs that are there, may go on
// for longer than uploads.
func (s *Store) RoomForLinks() error { return s.room(s.minFreeBytes / 2) }

func (s *Store) room(least int64) error {
	free, err := s.FreeBytes()
	if err != nil {
		return err
	}
	if free < least {
		return fmt.Errorf("%w: %d MiB, at least %d MiB must stay free", ErrNoRoom, free>>20, least>>20)
	}
	return nil
}

type fullKey struct{}

// WatchFull returns a context for calls of the driver, and a function that tells
// whether one of them failed because the disk is full or about to be.
func WatchFull(ctx context.Context) (context.Context, func() bool) {
	full := new(atomic.Bool)
	return context.WithValue(ctx, fullKey{}, full), full.Load
}

// noteFull takes note of errors that say so.
func (s *Store) noteFull(ctx context.Context, err error) {
	if !isFull(err) {
		return
	}
	s.lastFull.Store(s.clock.Now().UnixNano())
	if full, ok := ctx.Value(fullKey{}).(*atomic.Bool); ok {
		full.Store(true)
	}
}

// Tight tells whether space is so scarce that nothing should be kept in hope: too
// little is free, or something failed for want of it within the last minute.
func (s *Store) Tight() bool {
	return s.Room() != nil || s.clock.Since(time.Unix(0, s.lastFull.Load())) < time.Minute
}

func isFull(err error) bool {
	return errors.Is(err, ErrNoRoom) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}
