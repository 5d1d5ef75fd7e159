package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
)

// Rules say what Collect removes.
type Rules struct {
	// MinAge is how long something that nothing refers to is left alone after its
	// last use: a client may be about to refer to it. It has to exceed the longest
	// push.
	MinAge time.Duration
	// Unused are the tags to be forgotten; of several that fit a repository the
	// first counts.
	Unused []Unused
}

// Unused makes tags go that nobody asked for. Asking is pushing the tag and getting
// its manifest, by tag or by digest, with GET or HEAD; tags of one manifest are used
// together. Mounting a blob elsewhere is no use of the tag.
type Unused struct {
	// Repositories is a pattern of path.Match for the whole name:
	// "cloudfoundry/*" fits cloudfoundry/app and not cloudfoundry/a/b.
	Repositories string
	// After is the time since the last use; it counts as MinAge when it is less.
	After time.Duration
}

// Validate checks what Collect relies on; errors name the field.
func (r Rules) Validate() error {
	if r.MinAge <= 0 {
		return fmt.Errorf("MinAge: %s must be more than 0s", r.MinAge)
	}
	for i, unused := range r.Unused {
		if _, err := path.Match(unused.Repositories, ""); err != nil || unused.Repositories == "" {
			return fmt.Errorf("Unused[%d].Repositories: %q is not a pattern", i, unused.Repositories)
		}
		if unused.After <= 0 {
			return fmt.Errorf("Unused[%d].After: %s must be more than 0s", i, unused.After)
		}
	}
	return nil
}

// Collected is what a collection did.
type Collected struct {
	// Tags, Manifests, Links (of blobs in a repository) and Blobs that were removed;
	// Manifests counts per repository, and a manifest's content is a blob as well.
	Tags, Manifests, Links, Blobs int
	// FreedBytes and KeptBytes are the sizes of the blobs that went and stayed.
	FreedBytes, KeptBytes int64
}

// Collect removes, in this order: tags that Rules.Unused fits; manifests that no tag
// and no index of a tag leads to; links of blobs that no manifest of the repository
// refers to; blobs that no manifest of any repository refers to; folders that are
// empty. All but the last must have been out of use for Rules.MinAge. Requests go on
// meanwhile.
//
// After an error, ctx's included, what was removed until then is gone and the rest
// is whole. Blobs go only after every repository has been read without error.
func (s *Store) Collect(ctx context.Context, rules Rules) (Collected, error) {
	end, err := s.startCollecting(ctx)
	if err != nil {
		return Collected{}, err
	}
	defer end()
	started := s.clock.Now()
	c := &collection{store: s, ctx: ctx, rules: rules, cutoff: started.Add(-rules.MinAge), kept: make(map[digest.Digest]struct{})}
	if err := s.checkRecorded(c.cutoff); err != nil {
		return Collected{}, err
	}
	if err := s.eachRepository(ctx, c.repository); err != nil {
		return c.done, fmt.Errorf("collect: %w", err)
	}
	if err := c.blobs(); err != nil {
		return c.done, fmt.Errorf("collect blobs: %w", err)
	}
	return c.done, nil
}

// collection is one run of Collect.
type collection struct {
	store *Store
	ctx   context.Context
	rules Rules
	// cutoff is before the run by the minimum age: what was used since then stays,
	// and so does everything that is found to exist during the run.
	cutoff time.Time
	// kept are the blobs that manifests refer to, manifests included.
	kept map[digest.Digest]struct{}
	done Collected
}

func (c *collection) blobs() error {
	return c.store.eachBlob(c.ctx, func(blob digest.Digest, folder string) error {
		file := filepath.Join(folder, dataFile)
		info, err := os.Stat(file)
		if errors.Is(err, fs.ErrNotExist) {
			return c.store.removeIfEmpty(folder)
		}
		if err != nil {
			return err
		}
		removed := false
		if _, keep := c.kept[blob]; !keep {
			if removed, err = c.store.discardUnused(folder, file, c.cutoff); err != nil {
				return err
			}
		}
		if removed {
			c.done.Blobs++
			c.done.FreedBytes += info.Size()
		} else {
			c.done.KeptBytes += info.Size()
		}
		return nil
	})
}

// discardUnused removes folder unless file, which is in it, was used since cutoff.
func (s *Store) discardUnused(folder, file string, cutoff time.Time) (bool, error) {
	return s.discard(folder, func() (bool, error) {
		if err := s.checkRecorded(cutoff); err != nil {
			return false, err
		}
		info, err := os.Stat(file)
		if err != nil {
			return false, err
		}
		return info.ModTime().Before(cutoff), nil
	})
}

// removeIfEmpty removes an empty folder, at a moment at which nobody is about to put
// something into it.
func (s *Store) removeIfEmpty(folder string) error {
	s.gate.Lock()
	defer s.gate.Unlock()
	err := os.Remove(folder)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		// Not empty, or gone already.
		return nil
	}
	return err
}

// KeptBytes is the size of all blobs.
func (s *Store) KeptBytes(ctx context.Context) (int64, error) {
	var sum int64
	err := s.eachBlob(ctx, func(_ digest.Digest, folder string) error {
		info, err := os.Stat(filepath.Join(folder, dataFile))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		default:
			sum += info.Size()
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("add up the registry's blobs: %w", err)
	}
	return sum, nil
}
