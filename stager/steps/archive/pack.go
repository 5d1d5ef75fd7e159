package archive

import (
	stdtar "archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// vcap owns what is packed, as in every droplet.
const (
	vcapID   = 2000
	vcapName = "vcap"
)

// Part is a piece of an archive. Exactly one of Folder and Content is used; a Part
// without both is an empty folder.
type Part struct {
	// Name is the part's path in the archive ("./app"); "." for the archive itself.
	Name string
	// Folder is packed with all that is in it.
	Folder *os.Root
	// Content becomes a file.
	Content []byte
	// Untimed gives folders and symbolic links no time of modification: those that
	// Unpack has made have the time when it did.
	Untimed bool
}

// Packed says what Pack did.
type Packed struct {
	Summary
	// Skipped are the paths of FIFOs, sockets and device nodes, which are left out;
	// the first few of them.
	Skipped []string
}

// maxSkipped is how many paths of Packed.Skipped are kept.
const maxSkipped = 10

// Pack writes the parts, in their order, as a gzipped tar archive that belongs to
// vcap. Hard links within a part stay what they are. When w fails, Pack fails with
// its error.
func Pack(ctx context.Context, w io.Writer, parts []Part) (Packed, error) {
	compressed, err := newCompressor(w)
	if err != nil {
		return Packed{}, fmt.Errorf("pack: %w", err)
	}
	// The compressor takes larger blocks than the tar writer makes.
	buffered := bufio.NewWriterSize(compressed, 1<<20)
	p := &packer{ctx: ctx, tar: stdtar.NewWriter(buffered), buffer: make([]byte, 256<<10)}
	err = p.all(parts)
	if err == nil {
		err = p.tar.Close()
	}
	if err == nil {
		err = buffered.Flush()
	}
	// Closed in any case, since it has goroutines.
	if closeErr := compressed.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		err = fmt.Errorf("pack: %w", err)
	}
	return p.packed, err
}

type packer struct {
	ctx    context.Context
	tar    *stdtar.Writer
	buffer []byte
	packed Packed
	// links are the names of files in the present part that have more than one.
	links map[fileID]string
	// untimed is the present part's.
	untimed bool
}

type fileID struct{ device, inode uint64 }

func (p *packer) all(parts []Part) error {
	for _, part := range parts {
		p.links, p.untimed = map[fileID]string{}, part.Untimed
		switch {
		case part.Folder != nil:
			info, err := part.Folder.Lstat(".")
			if err != nil {
				return err
			}
			if err := p.folder(part.Folder, part.Name, info); err != nil {
				return err
			}
		case part.Content != nil:
			header := &stdtar.Header{Typeflag: stdtar.TypeReg, Name: part.Name, Mode: 0o644, Size: int64(len(part.Content))}
			if err := p.header(header); err != nil {
				return err
			}
			if _, err := p.tar.Write(part.Content); err != nil {
				return err
			}
		default:
			if err := p.header(&stdtar.Header{Typeflag: stdtar.TypeDir, Name: part.Name + "/", Mode: 0o755}); err != nil {
				return err
			}
		}
	}
	return nil
}

// folder packs a folder, given by its own descriptor, under a name. Every folder has
// its own, so that depth costs nothing and no path is looked up twice.
func (p *packer) folder(root *os.Root, name string, info fs.FileInfo) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	header := &stdtar.Header{Typeflag: stdtar.TypeDir, Name: name + "/", Mode: int64(info.Mode().Perm()), ModTime: info.ModTime()}
	if err := p.header(header); err != nil {
		return err
	}
	entries, err := entriesOf(root)
	if err != nil {
		return fmt.Errorf("read the folder %s: %w", name, withoutPath(err))
	}
	for _, entry := range entries {
		within := path.Join(name, entry)
		if strings.HasPrefix(name, ".") {
			// Join has taken the leading "./" away.
			within = name + "/" + entry
		}
		if err := p.entry(root, entry, within); err != nil {
			return err
		}
	}
	return nil
}

func entriesOf(root *os.Root) ([]string, error) {
	folder, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// entry packs what is called entry in root.
func (p *packer) entry(root *os.Root, entry, name string) error {
	info, err := root.Lstat(entry)
	if err != nil {
		return fmt.Errorf("%s: %w", name, withoutPath(err))
	}
	switch {
	case info.IsDir():
		sub, err := root.OpenRoot(entry)
		if err != nil {
			return fmt.Errorf("open the folder %s: %w", name, withoutPath(err))
		}
		defer sub.Close()
		return p.folder(sub, name, info)
	case info.Mode().IsRegular():
		return p.file(root, entry, name, info)
	case info.Mode().Type() == fs.ModeSymlink:
		target, err := root.Readlink(entry)
		if err != nil {
			return fmt.Errorf("read the link %s: %w", name, withoutPath(err))
		}
		p.packed.Files++
		return p.header(&stdtar.Header{Typeflag: stdtar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777, ModTime: info.ModTime()})
	default:
		if len(p.packed.Skipped) < maxSkipped {
			p.packed.Skipped = append(p.packed.Skipped, name)
		}
		return nil
	}
}

func (p *packer) file(root *os.Root, entry, name string, info fs.FileInfo) error {
	header := &stdtar.Header{Typeflag: stdtar.TypeReg, Name: name, Mode: int64(info.Mode().Perm()), Size: info.Size(), ModTime: info.ModTime()}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink > 1 {
		id := fileID{uint64(stat.Dev), stat.Ino}
		if first, seen := p.links[id]; seen {
			header.Typeflag, header.Linkname, header.Size = stdtar.TypeLink, first, 0
			p.packed.Files++
			return p.header(header)
		}
		p.links[id] = name
	}

	// NONBLOCK, lest something else that took its place makes the open wait.
	file, err := root.OpenFile(entry, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", name, withoutPath(err))
	}
	defer file.Close()
	if opened, err := file.Stat(); err != nil || !os.SameFile(info, opened) {
		return fmt.Errorf("%s was replaced while it was packed", name)
	}
	if err := p.header(header); err != nil {
		return err
	}
	written, err := io.CopyBuffer(onlyWriter{p.tar}, io.LimitReader(file, header.Size), p.buffer)
	if err != nil {
		return fmt.Errorf("%s: %w", name, withoutPath(err))
	}
	if written != header.Size {
		return fmt.Errorf("%s became shorter while it was packed", name)
	}
	p.packed.Files++
	p.packed.Bytes += written
	return nil
}

// header writes an entry's header. Times have whole seconds, since with fractions
// every entry would need two more blocks.
func (p *packer) header(header *stdtar.Header) error {
	header.Uid, header.Gid, header.Uname, header.Gname = vcapID, vcapID, vcapName, vcapName
	header.ModTime = header.ModTime.Truncate(time.Second)
	if p.untimed && header.Typeflag != stdtar.TypeReg {
		header.ModTime = time.Time{}
	}
	if header.ModTime.IsZero() || header.ModTime.Unix() < 0 {
		header.ModTime = time.Unix(0, 0)
	}
	if err := p.tar.WriteHeader(header); err != nil {
		return fmt.Errorf("%s: %w", header.Name, err)
	}
	return nil
}

// withoutPath drops the path that os put into an error: it is relative to some
// folder, and the caller names the whole one.
func withoutPath(err error) error {
	var inner *fs.PathError
	if errors.As(err, &inner) {
		return inner.Err
	}
	return err
}
