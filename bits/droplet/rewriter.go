package droplet

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"
	"time"
)

const (
	vcapID = 2000

	// addedMode is that of folders that the droplet doesn't list.
	addedMode = 0o755

	copyBytes = 64 << 10
	zeroBytes = 4 << 10
)

// launchFolders are those that launching an app counts on.
var launchFolders = []string{"app", "deps", "logs", "profile.d", "tmp"}

// rewriter reads the archive in a droplet and writes the layer's. It works in its
// caller's goroutine.
type rewriter struct {
	from    *pipe
	archive *tar.Reader
	out     *blob
	to      *tar.Writer
	tree    *tree
	limit   int64
	buffer  []byte
	// content takes a file's content.
	content io.Writer
	info    stagingInfo
	// filled tells whether the droplet has an entry besides its root.
	filled bool
	layer  Layer
}

func newRewriter(from *pipe, out *blob, o Options) *rewriter {
	r := &rewriter{
		from: from, archive: tar.NewReader(from),
		out: out, to: tar.NewWriter(out),
		tree: newTree(o.MaxEntries), limit: o.MaxUncompressedBytes,
		buffer: make([]byte, copyBytes),
	}
	r.content = io.MultiWriter(r.to, &r.info)
	return r
}

// run takes over all entries and reads from to its end.
func (r *rewriter) run() error {
	if err := r.addHome(); err != nil {
		return err
	}
	name := ""
	for {
		header, err := r.archive.Next()
		// Not errors.Is, since a source's own error may wrap io.EOF.
		if err == io.EOF {
			break
		}
		// A name that tar calls insecure gets a better error by place.
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return r.fault(err, name)
		}
		name = header.Name
		if err := r.take(header); err != nil {
			return err
		}
	}
	if err := r.checkEnd(); err != nil {
		return err
	}
	if !r.filled {
		return refuse("", "has no entries")
	}
	return nil
}

// end completes the layer.
func (r *rewriter) end() error {
	for _, name := range launchFolders {
		if _, there := r.tree.find(name); !there {
			if err := r.addFolder(name); err != nil {
				return err
			}
		}
	}
	r.layer.StagingInfo, r.layer.StagingInfoError = r.info.parse()
	return r.to.Close()
}

// addHome begins the layer.
func (r *rewriter) addHome() error {
	home, _ := parentOf(vcapHome)
	if err := r.write(&tar.Header{Typeflag: tar.TypeDir, Name: home + "/", Mode: addedMode}); err != nil {
		return err
	}
	return r.write(&tar.Header{Typeflag: tar.TypeDir, Name: vcapHome + "/", Mode: addedMode, Uid: vcapID, Gid: vcapID})
}

// addFolder makes a folder that the droplet doesn't list.
func (r *rewriter) addFolder(name string) error {
	if err := r.tree.add(name, node{kind: tar.TypeDir}); err != nil {
		return err
	}
	return r.write(&tar.Header{Typeflag: tar.TypeDir, Name: layerPath(name) + "/", Mode: addedMode, Uid: vcapID, Gid: vcapID})
}

// write writes a header. One without a time is of 1970.
func (r *rewriter) write(header *tar.Header) error {
	// Folders that the droplet doesn't list can be much more than the droplet is.
	if r.out.size > r.limit {
		return refuse("", "makes a layer of more than %d bytes, which is the limit", r.limit)
	}
	r.layer.Entries++
	if header.ModTime.IsZero() {
		header.ModTime = time.Unix(0, 0)
	}
	err := r.to.WriteHeader(header)
	if err != nil && r.out.err == nil {
		return refuse(header.Name, "can't be written in a layer: %v", err)
	}
	return err
}

// take writes one of the droplet's entries, with its content.
func (r *rewriter) take(header *tar.Header) error {
	if header.Typeflag == tar.TypeXGlobalHeader {
		return r.takeGlobal(header)
	}
	if r.isLeftOut(header) {
		return r.tree.count()
	}
	name, reason := place(header.Name)
	if reason != "" {
		return refuse(header.Name, "%s", reason)
	}
	if name == "" {
		if header.Typeflag != tar.TypeDir && header.Typeflag != typeDumpDir {
			return refuse(header.Name, "stands for the droplet's root and is no folder")
		}
		// It got its place and its permissions by addHome.
		return r.tree.count()
	}
	entry, err := r.translate(header, name)
	if errors.Is(err, errSameFile) {
		return r.tree.count()
	}
	if err != nil {
		return err
	}
	if entry.Size > r.limit-r.out.size {
		return refuse(header.Name, "makes the droplet unpack to more than %d bytes, which is the limit", r.limit)
	}
	missing, reason := r.tree.missingParents(name)
	if reason != "" {
		return refuse(header.Name, "%s", reason)
	}
	for _, folder := range missing {
		if err := r.addFolder(folder); err != nil {
			return err
		}
	}
	if err := r.tree.add(name, nodeOf(entry)); err != nil {
		return err
	}
	r.filled = true
	r.countChanges(header)
	if err := r.write(entry); err != nil {
		return err
	}
	r.info.see(name, entry)
	if entry.Typeflag != tar.TypeReg {
		return nil
	}
	if _, err := io.CopyBuffer(r.content, r.archive, r.buffer); err != nil {
		return r.fault(err, header.Name)
	}
	return nil
}

// takeGlobal passes over a global header, such as git's archives begin with, unless it changes
// what the entries after it are: archive/tar does not apply it to them.
func (r *rewriter) takeGlobal(header *tar.Header) error {
	for key := range header.PAXRecords {
		switch {
		case key == "path", key == "linkpath", key == "size", key == "SCHILY.realsize", key == "SCHILY.filetype", strings.HasPrefix(key, "GNU.sparse."):
			return refuse("", "has a global PAX header that sets %s for all entries, which is not supported", quoted(key))
		}
	}
	return r.tree.count()
}

// fault finds out whose an error is that came up while an entry was copied; name
// is that of the last one.
func (r *rewriter) fault(err error, name string) error {
	switch {
	case r.out.err != nil:
		return r.out.err
	case r.from.failure() != nil:
		return r.from.failure()
	case errors.Is(err, io.ErrUnexpectedEOF):
		return refuse("", "is cut off at or after its entry %s", quoted(name))
	case name == "":
		return refuse("", "is no tar archive, gzipped or plain: %v", err)
	default:
		return refuse("", "is damaged at or after its entry %s: %v", quoted(name), err)
	}
}

// checkEnd reads what comes after the archive. tar is content with one that ends
// between two entries, as a part of a droplet may.
func (r *rewriter) checkEnd() error {
	if r.from.ended != nil {
		return refuse("", "is cut off: its archive has no end")
	}
	zeros := make([]byte, zeroBytes)
	for {
		n, err := r.from.Read(r.buffer[:zeroBytes])
		if !bytes.Equal(r.buffer[:n], zeros[:n]) {
			return refuse("", "goes on after the end of its archive")
		}
		if err != nil {
			return r.from.failure()
		}
	}
}
