package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"
)

// PurgeUploads removes uploads to which nothing was written for longer than idle,
// and those of an earlier process, which can't be resumed. It returns how many.
func (s *Store) PurgeUploads(ctx context.Context, idle time.Duration) (int, error) {
	end, err := s.startCollecting(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	deadSince := s.clock.Now().Add(-idle)
	if deadSince.Before(s.opened) {
		deadSince = s.opened
	}
	purged := 0
	err = s.eachRepository(ctx, func(_, folder string) error {
		names, err := presentNames(filepath.Join(folder, uploadsFolder))
		if err != nil {
			return err
		}
		for _, name := range names {
			upload := filepath.Join(folder, uploadsFolder, name)
			removed, err := s.discard(upload, func() (bool, error) {
				written, err := lastWrite(upload)
				return written.Before(deadSince), err
			})
			if err != nil {
				return err
			}
			if removed {
				purged++
			}
		}
		return nil
	})
	if err != nil {
		return purged, fmt.Errorf("purge uploads: %w", err)
	}
	return purged, nil
}

// DropUpload removes one upload of a repository.
func (s *Store) DropUpload(repository, id string) error {
	full, err := s.full("/" + repositoriesFolder + "/" + repository + "/" + uploadsFolder + "/" + id)
	if err != nil {
		return err
	}
	_, err = s.discard(full, func() (bool, error) { return true, nil })
	return err
}

// lastWrite is the latest time of a folder and all below it.
func lastWrite(folder string) (latest time.Time, err error) {
	err = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if info.ModTime().After(latest) {
			latest = info.ModTime()
		}
		return nil
	})
	return latest, err
}
