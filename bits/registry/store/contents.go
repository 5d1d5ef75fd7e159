package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// eachRepository visits the folders of all repositories, those last that hold
// others. It is an error that there are none at all where blobs are: rather than an
// empty registry, that is a damaged one.
func (s *Store) eachRepository(ctx context.Context, visit func(name, folder string) error) error {
	root := filepath.Join(s.directory, repositoriesFolder)
	_, err := os.Stat(root)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(s.directory, blobsFolder)); err == nil {
			return errors.New("there are blobs and no folder of repositories: " + root)
		}
		return nil
	}
	if err != nil {
		return err
	}
	return s.repositoriesBelow(ctx, root, "", visit)
}

func (s *Store) repositoriesBelow(ctx context.Context, folder, name string, visit func(name, folder string) error) error {
	names, err := presentNames(folder)
	if err != nil {
		return err
	}
	isRepository := false
	for _, child := range names {
		if strings.HasPrefix(child, "_") {
			isRepository = true
			continue
		}
		childName := child
		if name != "" {
			childName = name + "/" + child
		}
		if err := s.repositoriesBelow(ctx, filepath.Join(folder, child), childName, visit); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if isRepository {
		return visit(name, folder)
	}
	if name != "" {
		return s.removeIfEmpty(folder)
	}
	return nil
}

// eachBlob visits the folders of all blobs, the empty ones too.
func (s *Store) eachBlob(ctx context.Context, visit func(blob digest.Digest, folder string) error) error {
	root := filepath.Join(s.directory, blobsFolder)
	algorithms, err := presentNames(root)
	if err != nil {
		return err
	}
	for _, algorithm := range algorithms {
		groups, err := presentNames(filepath.Join(root, algorithm))
		if err != nil {
			return err
		}
		for _, group := range groups {
			blobs, err := presentNames(filepath.Join(root, algorithm, group))
			if err != nil {
				return err
			}
			for _, encoded := range blobs {
				if err := ctx.Err(); err != nil {
					return err
				}
				blob, ok := digestOf(algorithm, encoded)
				if !ok {
					continue
				}
				if err := visit(blob, filepath.Join(root, algorithm, group, encoded)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// link makes a blob or a manifest part of a repository or of a tag's history.
type link struct {
	// digest is what the link's path says. The blob may have another one, of the
	// canonical algorithm; see target.
	digest digest.Digest
	folder string
	// used is the time of last use, zero if the file is missing.
	used time.Time
}

func (l link) file() string { return filepath.Join(l.folder, linkFile) }

// links reads <folder>/<algorithm>/<hex>/link.
func links(folder string) ([]link, error) {
	algorithms, err := presentNames(folder)
	if err != nil {
		return nil, err
	}
	var all []link
	for _, algorithm := range algorithms {
		names, err := presentNames(filepath.Join(folder, algorithm))
		if err != nil {
			return nil, err
		}
		for _, encoded := range names {
			found, ok := digestOf(algorithm, encoded)
			if !ok {
				continue
			}
			l := link{digest: found, folder: filepath.Join(folder, algorithm, encoded)}
			if l.used, err = lastUse(l.file()); err != nil {
				return nil, err
			}
			all = append(all, l)
		}
	}
	return all, nil
}

// lastUse is the file's modification time, zero if it doesn't exist.
func lastUse(file string) (time.Time, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// target is the digest in a link's file; ok is false if there is none, as after a
// loss of power on a file system that does not keep its promises.
func target(file string) (found digest.Digest, ok bool, err error) {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	found, err = digest.Parse(string(content))
	return found, err == nil, nil
}

// TagTarget returns the digest that a tag names; found is false if there is no such tag.
// The repository's name and the tag must have passed the library's router.
func (s *Store) TagTarget(repository, tag string) (named digest.Digest, found bool, err error) {
	return target(filepath.Join(s.directory, repositoriesFolder, filepath.FromSlash(repository), tagsFolder, tag, "current", linkFile))
}

// presentNames is what is in folder; nothing if that doesn't exist.
func presentNames(folder string) ([]string, error) {
	names, err := namesIn(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return names, err
}
