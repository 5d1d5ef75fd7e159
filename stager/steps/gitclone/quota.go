package gitclone

import (
	"errors"
	"os"
	"sync/atomic"

	"github.com/go-git/go-billy/v5"
)

// ownFiles is how many files git may write for itself, in .git of a clone and of its
// submodules. Folders need no count: git has none without a file in it.
const ownFiles = 1000

// quota is what may still be written.
type quota struct {
	bytes   atomic.Int64
	entries atomic.Int64
}

var errTooMuch = errors.New("more than the limits allow")

func (q *quota) enter() error {
	if q.entries.Add(-1) < 0 {
		return errTooMuch
	}
	return nil
}

func (q *quota) write(n int) error {
	if q.bytes.Add(-int64(n)) < 0 {
		return errTooMuch
	}
	return nil
}

// countedFS counts what is written to a file system.
type countedFS struct {
	billy.Filesystem
	quota *quota
}

func (f *countedFS) count(file billy.File, err error) (billy.File, error) {
	if err != nil {
		return nil, err
	}
	return &countedFile{file, f.quota}, nil
}

func (f *countedFS) Create(name string) (billy.File, error) {
	return f.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

func (f *countedFS) OpenFile(name string, flag int, mode os.FileMode) (billy.File, error) {
	if flag&os.O_CREATE != 0 {
		if err := f.quota.enter(); err != nil {
			return nil, err
		}
	}
	return f.count(f.Filesystem.OpenFile(name, flag, mode))
}

func (f *countedFS) TempFile(folder, prefix string) (billy.File, error) {
	if err := f.quota.enter(); err != nil {
		return nil, err
	}
	return f.count(f.Filesystem.TempFile(folder, prefix))
}

func (f *countedFS) Symlink(target, link string) error {
	if err := f.quota.enter(); err != nil {
		return err
	}
	return f.Filesystem.Symlink(target, link)
}

func (f *countedFS) Chroot(path string) (billy.Filesystem, error) {
	below, err := f.Filesystem.Chroot(path)
	if err != nil {
		return nil, err
	}
	return &countedFS{below, f.quota}, nil
}

// Chmod is there because git looks for it; without it, files lose their modes.
func (f *countedFS) Chmod(name string, mode os.FileMode) error {
	changer, ok := f.Filesystem.(billy.Chmod)
	if !ok {
		return billy.ErrNotSupported
	}
	return changer.Chmod(name, mode)
}

type countedFile struct {
	billy.File
	quota *quota
}

func (f *countedFile) Write(p []byte) (int, error) {
	if err := f.quota.write(len(p)); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}
