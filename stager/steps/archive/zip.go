package archive

import (
	stdzip "archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/flate"
	"golang.org/x/sync/errgroup"
)

// maxZipWorkers bounds how many entries of a zip archive are unpacked at once.
const maxZipWorkers = 8

// directoryBytesPerEntry bounds the zip directory, which is read into memory whole.
// A usual entry takes about 100 bytes.
const directoryBytesPerEntry = 192

// A zip entry's flag for content that is encrypted.
const encryptedFlag = 1

func unpackZip(ctx context.Context, file io.ReaderAt, size int64, to *destination) error {
	bounded := &boundedReaderAt{ReaderAt: file}
	bounded.left.Store(int64(to.rules.Entries)*directoryBytesPerEntry + 1<<20)
	archive, err := stdzip.NewReader(bounded, size)
	if bounded.left.Load() < 0 || err == nil && len(archive.File) > to.rules.Entries {
		return refuse("", "it has more than %d entries", to.rules.Entries)
	}
	if err != nil {
		return brokenZip("", err)
	}
	bounded.unbound.Store(true)
	decompressors := &sync.Pool{New: func() any { return flate.NewReader(nil) }}
	archive.RegisterDecompressor(stdzip.Deflate, func(r io.Reader) io.ReadCloser { return newInflater(decompressors, r) })

	entries, err := lastOfEachName(archive.File, to.rules)
	if err != nil {
		return err
	}
	// Folders come first, so that their modes are not those of folders that a
	// file needed.
	var files []zipEntry
	for _, entry := range entries {
		if !entry.Mode().IsDir() {
			files = append(files, entry)
		} else if err := to.folder(entry.name, zipMode(entry.File)); err != nil {
			return err
		}
	}

	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range min(runtime.GOMAXPROCS(0), maxZipWorkers, len(files)) {
		group.Go(func() error {
			buffer := make([]byte, 128<<10)
			for {
				at := int(next.Add(1)) - 1
				if at >= len(files) {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := unpackZipFile(files[at], to, buffer); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// zipEntry is an entry and its path below the folder.
type zipEntry struct {
	*stdzip.File
	name string
}

// lastOfEachName checks the entries' names and sizes, and leaves out those that a
// later entry of the same name replaces.
func lastOfEachName(files []*stdzip.File, rules Rules) ([]zipEntry, error) {
	position := make(map[string]int, len(files))
	entries := make([]zipEntry, 0, len(files))
	var claimed uint64
	for _, file := range files {
		if separatesWithBackslashes(file) {
			file.Name = strings.ReplaceAll(file.Name, `\`, "/")
		}
		name, err := localName(file.Name)
		if err != nil {
			return nil, err
		}
		if name == "." {
			continue
		}
		claimed += file.UncompressedSize64
		if file.UncompressedSize64 > uint64(rules.Bytes) || claimed > uint64(rules.Bytes) {
			return nil, refuse("", "it unpacks to more than %d bytes", rules.Bytes)
		}
		if at, ok := position[name]; ok {
			entries[at].File = file
			continue
		}
		position[name] = len(entries)
		entries = append(entries, zipEntry{file, name})
	}
	return entries, nil
}

func unpackZipFile(entry zipEntry, to *destination, buffer []byte) error {
	mode := entry.Mode()
	switch {
	case entry.Flags&encryptedFlag != 0:
		return refuse(entry.name, "is encrypted")
	case !mode.IsRegular() && mode.Type() != fs.ModeSymlink:
		return refuse(entry.name, "is a %s", kindOfMode(mode))
	}
	content, err := entry.Open()
	if err != nil {
		return brokenZip(entry.name, err)
	}
	defer content.Close()
	if mode.Type() == fs.ModeSymlink {
		target, err := io.ReadAll(io.LimitReader(content, maxPath+1))
		if err != nil {
			return brokenZip(entry.name, err)
		}
		return to.symbolicLink(entry.name, string(target))
	}
	return brokenZip(entry.name, to.file(entry.name, zipMode(entry.File), entry.Modified, content, buffer))
}

// Systems that made a zip entry (APPNOTE.TXT 4.4.2): the upper byte of "version made by".
const (
	makerFAT   = 0
	makerUnix  = 3
	makerNTFS  = 10
	makerVFAT  = 14
	makerMacOS = 19
)

func makerOf(file *stdzip.File) uint16 { return file.CreatorVersion >> 8 }

// separatesWithBackslashes reports whether backslashes in the entry's name separate
// folders. .NET before 4.6.1 and PowerShell 5 write them instead of the slashes that the
// format demands (4.4.17.1). The rule is unzip's: no file on those systems has a backslash
// in its name, but other programs claim to be FAT as well, so a slash shows that a
// backslash is part of a name.
func separatesWithBackslashes(file *stdzip.File) bool {
	switch makerOf(file) {
	case makerFAT, makerNTFS, makerVFAT:
		return !strings.Contains(file.Name, "/")
	}
	return false
}

// zipMode is an entry's mode, or the usual one where the archive's maker knew no
// permissions (Windows): such archives seem to forbid their owner everything.
func zipMode(file *stdzip.File) fs.FileMode {
	mode := file.Mode()
	if maker := makerOf(file); (maker == makerUnix || maker == makerMacOS) && mode.Perm() != 0 {
		return mode
	}
	if mode.IsDir() {
		return 0o755
	}
	return 0o644
}

// brokenZip tells what is wrong with the archive from other errors.
func brokenZip(name string, err error) error {
	var corrupt flate.CorruptInputError
	var inner flate.InternalError
	switch {
	case errors.Is(err, stdzip.ErrFormat), errors.Is(err, stdzip.ErrChecksum), errors.Is(err, stdzip.ErrAlgorithm),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.As(err, &corrupt), errors.As(err, &inner):
		if name == "" {
			return refuse("", "it is a broken zip archive")
		}
		return refuse(name, "can't be read from the zip archive: %v", rootCause(err))
	case name == "" && err != nil:
		return fmt.Errorf("read the zip archive: %w", err)
	default:
		return err
	}
}

func rootCause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// kindOfMode names what is neither file, folder nor link.
func kindOfMode(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeDevice != 0:
		return "device node"
	case mode&fs.ModeNamedPipe != 0:
		return "FIFO"
	case mode&fs.ModeSocket != 0:
		return "socket"
	default:
		return "special file"
	}
}

// boundedReaderAt fails once more than left bytes were read, until it is unbound.
type boundedReaderAt struct {
	io.ReaderAt
	left    atomic.Int64
	unbound atomic.Bool
}

func (r *boundedReaderAt) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		// An offset of the archive's own; readers have all sorts of errors for it.
		return 0, io.ErrUnexpectedEOF
	}
	if !r.unbound.Load() && r.left.Add(-int64(len(p))) < 0 {
		return 0, errors.New("too much to read")
	}
	return r.ReaderAt.ReadAt(p, offset)
}

// inflater is a decompressor that goes back to its pool when it is closed: its tables
// cost more to make than a small file to read.
type inflater struct {
	io.ReadCloser
	pool *sync.Pool
}

func newInflater(pool *sync.Pool, r io.Reader) io.ReadCloser {
	pooled := pool.Get().(io.ReadCloser)
	// Without a dictionary there is nothing to fail.
	_ = pooled.(flate.Resetter).Reset(r, nil)
	return &inflater{pooled, pool}
}

func (i *inflater) Close() error {
	if i.ReadCloser == nil {
		return nil
	}
	err := i.ReadCloser.Close()
	i.pool.Put(i.ReadCloser)
	i.ReadCloser = nil
	return err
}
