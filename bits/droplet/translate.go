package droplet

import (
	"archive/tar"
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
	case tar.TypeDir:
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
		return entry, r.translateLink(header, entry)
	case tar.TypeChar, tar.TypeBlock:
		return nil, refuse(header.Name, "is a device, which apps can't bring along")
	case tar.TypeFifo:
		return nil, refuse(header.Name, "is a named pipe, which apps can't bring along")
	default:
		return nil, refuse(header.Name, "is of a kind that is not known, %q", header.Typeflag)
	}
	return entry, nil
}

// translateLink completes entry, a hard link.
func (r *rewriter) translateLink(header, entry *tar.Header) error {
	to, reason := place(header.Linkname)
	if reason != "" {
		return refuse(header.Name, "is a hard link to %s, which %s", quoted(header.Linkname), reason)
	}
	target, there := r.tree.find(to)
	switch {
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
