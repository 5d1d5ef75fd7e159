package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Rules bound an archive.
type Rules struct {
	// Bytes bounds the content of all files together.
	Bytes int64
	// Entries bounds the number of files, folders and links.
	Entries int
}

// Summary is what an archive held.
type Summary struct {
	// Files counts everything but folders.
	Files int
	// Bytes is the content of all files together.
	Bytes int64
}

// RefusedError says why an archive isn't unpacked.
type RefusedError struct {
	// Entry is the name of the entry that is at fault; empty when it is the archive
	// as a whole.
	Entry string
	Why   string
}

func (e *RefusedError) Error() string {
	if e.Entry == "" {
		return e.Why
	}
	return fmt.Sprintf("%q %s", e.Entry, e.Why)
}

func refuse(entry, format string, args ...any) error {
	return &RefusedError{Entry: entry, Why: fmt.Sprintf(format, args...)}
}

// Unpack unpacks an archive of that size in bytes into the folder, which should be
// empty. Its first bytes say whether it is a zip archive or a gzipped tar.
func Unpack(ctx context.Context, file io.ReaderAt, size int64, folder string, rules Rules) (Summary, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return Summary{}, fmt.Errorf("open the folder to unpack to: %w", err)
	}
	defer root.Close()
	to := newDestination(root, rules)

	magic := make([]byte, 4)
	if _, err := file.ReadAt(magic, 0); err != nil && !errors.Is(err, io.EOF) {
		return Summary{}, fmt.Errorf("read the archive: %w", err)
	}
	switch {
	case string(magic[:2]) == "\x1f\x8b":
		err = unpackTar(ctx, io.NewSectionReader(file, 0, size), to)
	case string(magic[:2]) == "PK":
		err = unpackZip(ctx, file, size, to)
	default:
		err = refuse("", "it is neither a zip archive nor a gzipped tar archive")
	}
	if err == nil {
		err = to.finish()
	}
	return to.summary(), err
}
