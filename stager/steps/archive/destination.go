package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// destination is the folder that is unpacked to. Folders and files may be added by
// several goroutines at once, as long as no two add the same name.
type destination struct {
	root  *os.Root
	rules Rules

	files   atomic.Int64
	entries atomic.Int64
	bytes   atomic.Int64

	mutex   sync.Mutex
	folders map[string]bool
	links   []symbolicLink
}

type symbolicLink struct{ name, target string }

func newDestination(root *os.Root, rules Rules) *destination {
	return &destination{root: root, rules: rules, folders: map[string]bool{".": true}}
}

func (d *destination) summary() Summary {
	return Summary{Files: int(d.files.Load()), Bytes: d.bytes.Load()}
}

// enter counts an entry.
func (d *destination) enter() error {
	if d.entries.Add(1) > int64(d.rules.Entries) {
		return refuse("", "it has more than %d entries", d.rules.Entries)
	}
	return nil
}

// folder makes a folder, and those around it.
func (d *destination) folder(name string, mode fs.FileMode) error {
	if err := d.enter(); err != nil {
		return err
	}
	if err := d.ensureFolder(name); err != nil {
		return err
	}
	if name == "." {
		return nil
	}
	// Its owner has to be able to put files into it.
	return d.explain(name, d.root.Chmod(name, mode.Perm()|0o700))
}

// ensureFolder makes a folder that may be there already.
func (d *destination) ensureFolder(name string) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.folders[name] {
		return nil
	}
	if err := d.root.MkdirAll(name, 0o755); err != nil {
		return d.explain(name, err)
	}
	// Every folder counts, also when no entry of its own announces it.
	for made := name; !d.folders[made]; made = path.Dir(made) {
		d.folders[made] = true
	}
	if len(d.folders) > d.rules.Entries {
		return refuse("", "it has more than %d folders", d.rules.Entries)
	}
	return nil
}

// file writes a file. A file of that name which is there already is replaced.
func (d *destination) file(name string, mode fs.FileMode, modified time.Time, content io.Reader, buffer []byte) error {
	if err := d.enter(); err != nil {
		return err
	}
	if err := d.ensureFolder(path.Dir(name)); err != nil {
		return err
	}
	file, err := d.create(name)
	if err != nil {
		return d.explain(name, err)
	}
	_, err = io.CopyBuffer(onlyWriter{file}, &countedReader{content, d}, buffer)
	if err == nil {
		err = file.Chmod(mode.Perm() | 0o600)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return d.explain(name, err)
	}
	d.files.Add(1)
	if !modified.IsZero() {
		return d.explain(name, d.root.Chtimes(name, modified, modified))
	}
	return nil
}

// create opens a file that isn't there yet.
func (d *destination) create(name string) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	file, err := d.root.OpenFile(name, flags, 0o600)
	if !errors.Is(err, fs.ErrExist) {
		return file, err
	}
	info, statErr := d.root.Lstat(name)
	if statErr != nil || info.IsDir() {
		return nil, refuse(name, "is a file and a folder at once")
	}
	if err := d.root.Remove(name); err != nil {
		return nil, err
	}
	return d.root.OpenFile(name, flags, 0o600)
}

// hardLink makes another name for a file that came earlier in the archive.
func (d *destination) hardLink(name, target string) error {
	if err := d.enter(); err != nil {
		return err
	}
	info, err := d.root.Lstat(target)
	if err != nil || !info.Mode().IsRegular() {
		return refuse(name, "is a hard link to %q, which is not a file of this archive", target)
	}
	if name == target {
		return nil
	}
	if err := d.ensureFolder(path.Dir(name)); err != nil {
		return err
	}
	err = d.root.Link(target, name)
	if errors.Is(err, fs.ErrExist) {
		if err = d.root.Remove(name); err == nil {
			err = d.root.Link(target, name)
		}
	}
	d.files.Add(1)
	return d.explain(name, err)
}

// symbolicLink notes a symbolic link that finish makes.
func (d *destination) symbolicLink(name, target string) error {
	if err := d.enter(); err != nil {
		return err
	}
	if err := checkTarget(name, target); err != nil {
		return err
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.links = append(d.links, symbolicLink{name, target})
	return nil
}

// finish makes the symbolic links. Until then there was none, so nothing could be
// written through one; folders for the links themselves are made before the first.
func (d *destination) finish() error {
	last := map[string]string{}
	for _, link := range d.links {
		last[link.name] = link.target
	}
	for name := range last {
		if err := d.ensureFolder(path.Dir(name)); err != nil {
			return err
		}
	}
	for name, target := range last {
		err := d.root.Symlink(target, name)
		if errors.Is(err, fs.ErrExist) {
			return refuse(name, "is a symbolic link and something else at once")
		}
		if err != nil {
			return d.explain(name, err)
		}
		d.files.Add(1)
	}
	return nil
}

// explain tells faults of the archive from those of the disk.
func (d *destination) explain(name string, err error) error {
	var refused *RefusedError
	var no syscall.Errno
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return refused
	case errors.As(err, &no) && (no == syscall.ENOTDIR || no == syscall.EISDIR || no == syscall.EEXIST || no == syscall.ENOTEMPTY):
		return refuse(name, "is a file and a folder at once")
	case errors.As(err, &no) && no == syscall.ENAMETOOLONG:
		return refuse(name, "has too long a name")
	case errors.As(err, &no) && no == syscall.EILSEQ:
		return refuse(name, "has a name that the file system doesn't take")
	default:
		return fmt.Errorf("unpack %q: %w", name, err)
	}
}

// countedReader fails once more was read than the archive may hold.
type countedReader struct {
	reader io.Reader
	to     *destination
}

func (r *countedReader) Read(p []byte) (int, error) {
	n, err := r.reader.Read(p)
	if r.to.bytes.Add(int64(n)) > r.to.rules.Bytes {
		return 0, refuse("", "it unpacks to more than %d bytes", r.to.rules.Bytes)
	}
	return n, err
}

// onlyWriter hides ReadFrom, so that the given buffer is used.
type onlyWriter struct{ io.Writer }
