package store

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// noteUse makes the file's modification time the present: the time of last use, by
// which Collect knows what to leave alone. The caller holds the gate.
//
// Reads must work where nothing can be written. That a use went unrecorded is then
// kept in mind, see checkRecorded.
func (s *Store) noteUse(full string) error {
	now := s.clock.Now()
	err := os.Chtimes(full, time.Time{}, now)
	if isFull(err) || errors.Is(err, unix.EROFS) {
		s.unrecorded.Store(now.UnixNano())
		return nil
	}
	return err
}

// checkRecorded fails when the times of last use since cutoff are not to be relied
// on.
func (s *Store) checkRecorded(cutoff time.Time) error {
	nanoseconds := s.unrecorded.Load()
	if at := time.Unix(0, nanoseconds); nanoseconds != 0 && !at.Before(cutoff) {
		return fmt.Errorf("nothing is removed for now: at %s the file system took no note of what is in use", at.UTC().Format(time.RFC3339))
	}
	return nil
}
