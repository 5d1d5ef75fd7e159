package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"time"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
)

// driverName appears in the library's error texts.
const driverName = "irene"

// Name implements storagedriver.StorageDriver, as do the following methods. Their
// paths are the library's: absolute, with slashes, Directory being the root.
func (s *Store) Name() string { return driverName }

// GetContent reads a small file and notes the use of a link.
func (s *Store) GetContent(_ context.Context, p string) ([]byte, error) {
	full, err := s.full(p)
	if err != nil {
		return nil, err
	}
	s.gate.RLock()
	defer s.gate.RUnlock()
	content, err := os.ReadFile(full)
	if err == nil && isUsedLink(p) {
		err = s.noteUse(full)
	}
	return content, found(p, err)
}

// PutContent writes a small file: as a whole, and durably unless it belongs to an
// upload.
func (s *Store) PutContent(ctx context.Context, p string, content []byte) error {
	full, err := s.full(p)
	if err != nil {
		return err
	}
	temporary := s.own(temporaryFolder, s.newName())
	if err := writeFile(temporary, content, !isUpload(p)); err != nil {
		s.noteFull(ctx, err)
		return errors.Join(err, removeFile(temporary))
	}
	if err := s.place(temporary, full, !isUpload(p)); err != nil {
		s.noteFull(ctx, err)
		return errors.Join(err, removeFile(temporary))
	}
	return nil
}

// Reader opens a file at an offset.
func (s *Store) Reader(_ context.Context, p string, offset int64) (io.ReadCloser, error) {
	full, err := s.full(p)
	if err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, storagedriver.InvalidOffsetError{Path: p, Offset: offset, DriverName: driverName}
	}
	file, err := os.Open(full)
	if err != nil {
		return nil, found(p, err)
	}
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Stat looks at a file or folder and notes the use of a blob.
func (s *Store) Stat(_ context.Context, p string) (storagedriver.FileInfo, error) {
	full, err := s.fullOrRoot(p)
	if err != nil {
		return nil, err
	}
	s.gate.RLock()
	defer s.gate.RUnlock()
	info, err := os.Stat(full)
	if err == nil && isBlob(p) && info.Mode().IsRegular() {
		err = s.noteUse(full)
	}
	if err != nil {
		return nil, found(p, err)
	}
	fields := storagedriver.FileInfoFields{Path: p, ModTime: info.ModTime(), IsDir: info.IsDir()}
	if !info.IsDir() {
		fields.Size = info.Size()
	}
	return storagedriver.FileInfoInternal{FileInfoFields: fields}, nil
}

// List names what is in a folder.
func (s *Store) List(_ context.Context, p string) ([]string, error) {
	full, err := s.fullOrRoot(p)
	if err != nil {
		return nil, err
	}
	names, err := namesIn(full)
	if err != nil {
		return nil, found(p, err)
	}
	paths := make([]string, 0, len(names))
	for _, name := range names {
		if p != "/" || name != ownFolder {
			paths = append(paths, path.Join(p, name))
		}
	}
	return paths, nil
}

// Move renames. This is how a checked upload becomes a blob.
func (s *Store) Move(ctx context.Context, from, to string) error {
	source, err := s.full(from)
	if err != nil {
		return err
	}
	target, err := s.full(to)
	if err != nil {
		return err
	}
	err = s.place(source, target, true)
	s.noteFull(ctx, err)
	return found(from, err)
}

// Delete removes a file or a folder with all that is in it.
func (s *Store) Delete(_ context.Context, p string) error {
	full, err := s.full(p)
	if err != nil {
		return err
	}
	_, err = s.discard(full, func() (bool, error) {
		_, err := os.Lstat(full)
		return err == nil, found(p, err)
	})
	return err
}

// RedirectURL says that content is always served from here.
func (s *Store) RedirectURL(*http.Request, string) (string, error) { return "", nil }

// Walk visits everything below p in order.
func (s *Store) Walk(ctx context.Context, p string, visit storagedriver.WalkFn, options ...func(*storagedriver.WalkOptions)) error {
	return storagedriver.WalkFallback(ctx, s, p, visit, options...)
}

// place renames a complete file to its place, making the folders that it needs. It is
// new there, however long ago it was written.
func (s *Store) place(source, target string, durably bool) error {
	if err := os.Chtimes(source, time.Time{}, s.clock.Now()); err != nil {
		return err
	}
	folder := filepath.Dir(target)
	s.gate.RLock()
	changed, err := makeFolders(folder)
	if err == nil {
		err = os.Rename(source, target)
	}
	s.gate.RUnlock()
	if err != nil || !durably {
		return err
	}
	return syncFolders(append(changed, folder)...)
}

func (s *Store) full(p string) (string, error) {
	// The library's pattern lets "/.." pass, which none of its paths has.
	if !storagedriver.PathRegexp.MatchString(p) || path.Clean(p) != p {
		return "", storagedriver.InvalidPathError{Path: p, DriverName: driverName}
	}
	return filepath.Join(s.directory, p), nil
}

func (s *Store) fullOrRoot(p string) (string, error) {
	if p == "/" {
		return s.directory, nil
	}
	return s.full(p)
}

// found turns "does not exist" into what the library looks for.
func found(p string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return storagedriver.PathNotFoundError{Path: p, DriverName: driverName}
	}
	return err
}

func namesIn(folder string) ([]string, error) {
	open, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	names, err := open.Readdirnames(0)
	return names, errors.Join(err, open.Close())
}

func writeFile(name string, content []byte, durably bool) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil && durably {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

func removeFile(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
