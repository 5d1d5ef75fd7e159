package store

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
)

// repository is what a collection knows of one repository.
type repository struct {
	*collection
	name, folder string
	tags         []tag
	// revisions are the repository's manifests.
	revisions map[digest.Digest]link
	// reached are the manifests and blobs that tags, and manifests in recent use,
	// lead to.
	reached map[digest.Digest]struct{}
}

type tag struct {
	folder string
	// manifest is empty for what is left of a push that was cut off before it set
	// the tag.
	manifest digest.Digest
	pushed   time.Time
}

func (t tag) file() string { return filepath.Join(t.folder, "current", linkFile) }

// repository collects within one repository, and notes what it needs of the blobs
// that all share.
func (c *collection) repository(name, folder string) error {
	r := &repository{collection: c, name: name, folder: folder, revisions: make(map[digest.Digest]link), reached: make(map[digest.Digest]struct{})}
	for _, step := range []func() error{r.read, r.forgetTags, r.reachAll, r.removeManifests, r.removeLayers, r.removeHistory, r.removeEmpty} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (r *repository) read() error {
	revisions, err := links(filepath.Join(r.folder, revisionsFolder))
	if err != nil {
		return err
	}
	for _, revision := range revisions {
		r.revisions[revision.digest] = revision
	}
	root := filepath.Join(r.folder, tagsFolder)
	names, err := presentNames(root)
	if err != nil {
		return err
	}
	for _, name := range names {
		t := tag{folder: filepath.Join(root, name)}
		manifest, ok, err := target(t.file())
		if err != nil {
			return err
		}
		if ok {
			t.manifest = manifest
			if t.pushed, err = lastUse(t.file()); err != nil {
				return err
			}
		}
		r.tags = append(r.tags, t)
	}
	return nil
}

// forgetTags removes tags that are unused for as long as the rules say, and remains
// of tags that were never set.
func (r *repository) forgetTags() error {
	unusedSince, some := r.unusedSince()
	left := r.tags[:0]
	for _, t := range r.tags {
		removed, err := false, error(nil)
		switch {
		case t.manifest == "":
			if removed, err = r.store.discardUnsetTag(t.folder, t.file(), r.cutoff); err != nil {
				return err
			}
		case some && t.pushed.Before(unusedSince) && r.revisions[t.manifest].used.Before(unusedSince):
			if removed, err = r.forget(t, unusedSince); err != nil {
				return err
			}
		}
		if removed {
			r.done.Tags++
		} else {
			left = append(left, t)
		}
	}
	r.tags = left
	return nil
}

// unusedSince is the time before which tags of this repository must have been used
// last to be forgotten; some is false if no rule fits it.
func (r *repository) unusedSince() (since time.Time, some bool) {
	for _, unused := range r.rules.Unused {
		if fits, err := path.Match(unused.Repositories, r.name); err == nil && fits {
			return r.cutoff.Add(-max(0, unused.After-r.rules.MinAge)), true
		}
	}
	return time.Time{}, false
}

// forget removes a tag unless it was used in the meantime.
func (r *repository) forget(t tag, unusedSince time.Time) (bool, error) {
	revision := link{folder: filepath.Join(r.folder, revisionsFolder, t.manifest.Algorithm().String(), t.manifest.Encoded())}
	return r.store.discard(t.folder, func() (bool, error) {
		if err := r.store.checkRecorded(unusedSince); err != nil {
			return false, err
		}
		pushed, err := lastUse(t.file())
		if err != nil {
			return false, err
		}
		used, err := lastUse(revision.file())
		return pushed.Before(unusedSince) && used.Before(unusedSince), err
	})
}

// discardUnsetTag removes a tag's folder that has had no current manifest since
// cutoff.
func (s *Store) discardUnsetTag(folder, file string, cutoff time.Time) (bool, error) {
	return s.discard(folder, func() (bool, error) {
		if _, set, err := target(file); err != nil || set {
			return false, err
		}
		info, err := os.Stat(folder)
		if err != nil {
			return false, err
		}
		return info.ModTime().Before(cutoff), nil
	})
}

// reachAll follows the tags and the manifests in recent use.
func (r *repository) reachAll() error {
	for _, t := range r.tags {
		if t.manifest == "" {
			continue
		}
		if err := r.reach(t.manifest); err != nil {
			return err
		}
	}
	for _, revision := range r.revisions {
		if revision.used.Before(r.cutoff) {
			continue
		}
		if err := r.reach(revision.digest); err != nil {
			return err
		}
	}
	return nil
}

// reach keeps a manifest or blob and all that it leads to within the repository.
func (r *repository) reach(first digest.Digest) error {
	for waiting := []digest.Digest{first}; len(waiting) > 0; {
		next := waiting[len(waiting)-1]
		waiting = waiting[:len(waiting)-1]
		if _, known := r.reached[next]; known {
			continue
		}
		r.reached[next] = struct{}{}
		r.kept[next] = struct{}{}
		if _, isManifest := r.revisions[next]; !isManifest {
			continue
		}
		more, err := r.store.references(next)
		if err != nil {
			return err
		}
		waiting = append(waiting, more...)
	}
	return nil
}

// removeManifests removes those that were not reached. One that has been asked for
// in the meantime stays with all that it leads to: an index may have been pushed that
// refers to it.
func (r *repository) removeManifests() error {
	for _, revision := range r.revisions {
		if _, ok := r.reached[revision.digest]; ok {
			continue
		}
		removed, err := r.store.discardUnused(revision.folder, revision.file(), r.cutoff)
		switch {
		case err != nil:
			return err
		case removed:
			r.done.Manifests++
			continue
		}
		if _, err := os.Stat(revision.file()); errors.Is(err, fs.ErrNotExist) {
			// A client deleted it.
			continue
		}
		if err := r.reach(revision.digest); err != nil {
			return err
		}
	}
	return nil
}

// removeLayers removes the links of blobs that no manifest of the repository needs.
func (r *repository) removeLayers() error {
	layers, err := links(filepath.Join(r.folder, layersFolder))
	if err != nil {
		return err
	}
	for _, layer := range layers {
		if _, ok := r.reached[layer.digest]; ok {
			// The blob's own digest may be of another algorithm.
			blob, ok, err := target(layer.file())
			if err != nil {
				return err
			}
			if ok {
				r.kept[blob] = struct{}{}
			}
			continue
		}
		removed, err := r.store.discardUnused(layer.folder, layer.file(), r.cutoff)
		if err != nil {
			return err
		}
		if removed {
			r.done.Links++
		}
	}
	return nil
}

// removeHistory removes what tags pointed to formerly, where that is gone.
func (r *repository) removeHistory() error {
	for _, t := range r.tags {
		history, err := links(filepath.Join(t.folder, "index"))
		if err != nil {
			return err
		}
		for _, former := range history {
			if _, ok := r.reached[former.digest]; ok {
				continue
			}
			if _, err := r.store.discardUnused(former.folder, former.file(), r.cutoff); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeEmpty removes what deletions left, up to the repository itself.
func (r *repository) removeEmpty() error {
	for _, folder := range []string{revisionsFolder, layersFolder} {
		found, err := links(filepath.Join(r.folder, folder))
		if err != nil {
			return err
		}
		for _, l := range found {
			if !l.used.IsZero() {
				continue
			}
			if err := r.store.removeIfEmpty(l.folder); err != nil {
				return err
			}
		}
	}
	for _, folder := range []string{
		revisionsFolder + "/sha256", revisionsFolder + "/sha512", revisionsFolder, tagsFolder, "_manifests",
		layersFolder + "/sha256", layersFolder + "/sha512", layersFolder, uploadsFolder, ".",
	} {
		if err := r.store.removeIfEmpty(filepath.Join(r.folder, folder)); err != nil {
			return err
		}
	}
	return nil
}
