package droplet

import (
	"archive/tar"
	"errors"
	"strings"
	"time"
)

const (
	// keptModeBits leaves setuid and setgid out.
	keptModeBits  = 0o1777
	setIDModeBits = 0o6000

	// maxTime, in seconds, is the last that a plain tar header can hold.
	maxTime = 1<<33 - 1
)

// Kinds of entries of which archive/tar has no constants. POSIX leaves the capital letters to
// vendors (https://www.gnu.org/software/tar/manual/html_node/Standard.html).
const (
	typeDumpDir     = 'D' // GNU: a folder of an incremental archive
	typeVolumeLabel = 'V' // GNU: the archive's own name
	typeSolarisACL  = 'A' // Solaris: the ACL of the entry that follows
)

// translate makes the layer's header of the droplet's. What it doesn't name is
// left out.
func (r *rewriter) translate(header *tar.Header, name string) (*tar.Header, error) {
	entry := &tar.Header{
		Typeflag: header.Typeflag, Name: layerPath(name),
		Mode: header.Mode & keptModeBits, Uid: vcapID, Gid: vcapID,
		ModTime: time.Unix(min(max(header.ModTime.Unix(), 0), maxTime), 0),
	}
	switch header.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		if !sparseKnown(header) {
			return nil, refuse(header.Name, "is a sparse file in a format that is not known")
		}
		entry.Typeflag, entry.Size = tar.TypeReg, header.Size
	case tar.TypeDir, typeDumpDir:
		// A dump folder has the names in it as content, which is passed over.
		entry.Typeflag = tar.TypeDir
		entry.Name += "/"
	case tar.TypeSymlink:
		entry.Linkname = header.Linkname
		switch {
		case header.Linkname == "":
			return nil, refuse(header.Name, "is a symbolic link to nothing")
		case len(header.Linkname) > maxTargetBytes || strings.ContainsRune(header.Linkname, 0):
			return nil, refuse(header.Name, "is a symbolic link to what is no path: it has a NUL byte or more than %d bytes", maxTargetBytes)
		}
	case tar.TypeLink:
		return entry, r.translateLink(header, entry, name)
	case tar.TypeFifo:
	default:
		return nil, refuse(header.Name, "is of a kind that is not known, %q", header.Typeflag)
	}
	return entry, nil
}

// errSameFile is the error of a hard link to itself. tar makes one of a file that was added
// twice and has more names; it changes nothing, but runtimes remove the file before they link.
var errSameFile = errors.New("the entry is there already")

// translateLink completes entry, a hard link by a placed name.
func (r *rewriter) translateLink(header, entry *tar.Header, name string) error {
	to, reason := place(header.Linkname)
	if reason != "" {
		return refuse(header.Name, "is a hard link to %s, which %s", quoted(header.Linkname), reason)
	}
	target, there := r.tree.find(to)
	switch {
	case there && name == to:
		return errSameFile
	case to == "" || target.kind == tar.TypeDir:
		return refuse(header.Name, "is a hard link to %s, which is a folder", quoted(header.Linkname))
	case !there:
		return refuse(header.Name, "is a hard link to %s, which is not in the droplet before it", quoted(header.Linkname))
	case target.kind == tar.TypeSymlink:
		// Whether such a link means the symbolic link or what that points to is not
		// the same everywhere.
		entry.Typeflag, entry.Linkname = tar.TypeSymlink, target.target
	default:
		entry.Linkname = layerPath(to)
	}
	return nil
}

func nodeOf(entry *tar.Header) node {
	switch entry.Typeflag {
	case tar.TypeSymlink:
		return node{kind: tar.TypeSymlink, target: strings.Clone(entry.Linkname)}
	case tar.TypeDir:
		return node{kind: tar.TypeDir}
	case tar.TypeFifo:
		return node{kind: tar.TypeFifo}
	default:
		return node{kind: tar.TypeReg}
	}
}

// sparseKnown tells whether archive/tar has understood a sparse file. One that it
// has not would show its map of holes as content.
func sparseKnown(header *tar.Header) bool {
	switch header.PAXRecords["GNU.sparse.major"] + "." + header.PAXRecords["GNU.sparse.minor"] {
	case ".", "0.0", "0.1", "1.0":
		return header.PAXRecords["SCHILY.filetype"] != "sparse"
	}
	return false
}

// isLeftOut reports whether the layer has nothing of an entry, and counts what is lost. Apps
// can't use devices that they bring along, and Diego's cells can't make them.
func (r *rewriter) isLeftOut(header *tar.Header) bool {
	switch header.Typeflag {
	case tar.TypeChar, tar.TypeBlock:
		r.layer.Devices++
	case typeSolarisACL:
		r.layer.ExtendedAttributes++
	case typeVolumeLabel:
	default:
		return false
	}
	return true
}

// countChanges notes what the layer leaves out of an entry.
func (r *rewriter) countChanges(header *tar.Header) {
	if header.Mode&setIDModeBits != 0 {
		r.layer.SetIDBits++
	}
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "SCHILY.xattr.") || strings.HasPrefix(key, "SCHILY.acl.") ||
			strings.HasPrefix(key, "LIBARCHIVE.xattr.") || strings.HasPrefix(key, "RHT.security.") {
			r.layer.ExtendedAttributes++
		}
	}
}
