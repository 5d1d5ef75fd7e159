package store

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
)

// spaceStride is how many bytes of one upload are taken between two looks at the
// free space.
const spaceStride = 1 << 20

// errClosed is for a writer that is used after its end.
var errClosed = errors.New("the upload's file is closed")

// Writer opens an upload's file. Nothing is synced before Commit.
func (s *Store) Writer(ctx context.Context, p string, appending bool) (storagedriver.FileWriter, error) {
	full, err := s.full(p)
	if err != nil {
		return nil, err
	}
	file, err := s.openUpload(full, appending)
	if err != nil {
		s.noteFull(ctx, err)
		return nil, err
	}
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &uploadWriter{store: s, ctx: ctx, file: file, buffer: bufio.NewWriterSize(file, 64<<10), size: size, unchecked: spaceStride}, nil
}

func (s *Store) openUpload(full string, appending bool) (*os.File, error) {
	flags := os.O_WRONLY | os.O_CREATE
	if !appending {
		flags |= os.O_TRUNC
	}
	s.gate.RLock()
	defer s.gate.RUnlock()
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(full, flags, 0o600)
}

// uploadWriter implements storagedriver.FileWriter. As with files in general, one
// goroutine uses it.
type uploadWriter struct {
	store  *Store
	ctx    context.Context
	file   *os.File
	buffer *bufio.Writer
	size   int64
	// unchecked bytes have been taken since the free space was looked at.
	unchecked int64
	committed bool
	closed    bool
}

// Write takes bytes as long as there is room for them.
func (w *uploadWriter) Write(p []byte) (int, error) {
	if w.closed || w.committed {
		return 0, errClosed
	}
	n, err := 0, w.room(len(p))
	if err == nil {
		n, err = w.buffer.Write(p)
		w.size += int64(n)
	}
	w.store.noteFull(w.ctx, err)
	return n, err
}

func (w *uploadWriter) room(n int) error {
	if w.unchecked += int64(n); w.unchecked < spaceStride {
		return nil
	}
	w.unchecked = 0
	return w.store.Room()
}

// Size is how long the file is, with what is still buffered.
func (w *uploadWriter) Size() int64 { return w.size }

// Commit makes the file durable.
func (w *uploadWriter) Commit(context.Context) error {
	if w.closed || w.committed {
		return errClosed
	}
	if err := w.buffer.Flush(); err != nil {
		w.store.noteFull(w.ctx, err)
		return err
	}
	if err := w.file.Sync(); err != nil {
		w.store.noteFull(w.ctx, err)
		return err
	}
	w.committed = true
	return nil
}

// Cancel removes the file, closed or not: the library cancels after a digest
// turned out to be wrong, which is after it closed.
func (w *uploadWriter) Cancel(context.Context) error {
	var err error
	if !w.closed {
		w.closed = true
		err = w.file.Close()
	}
	return errors.Join(err, removeFile(w.file.Name()))
}

// Close keeps what was written for whoever appends to it.
func (w *uploadWriter) Close() error {
	if w.closed {
		return errClosed
	}
	w.closed = true
	err := w.buffer.Flush()
	w.store.noteFull(w.ctx, err)
	return errors.Join(err, w.file.Close())
}
