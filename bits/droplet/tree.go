package droplet

import (
	"archive/tar"
	"strings"
)

const (
	// nameBytesPerEntry bounds the memory that names take.
	nameBytesPerEntry = 256
	minNameBytes      = 1 << 20
)

// node is one thing that the layer has: what tar calls TypeDir, TypeReg (also for
// hard links to files) or TypeSymlink.
type node struct {
	kind byte
	// target is a symbolic link's.
	target string
}

func (n node) String() string {
	switch n.kind {
	case tar.TypeDir:
		return "a folder"
	case tar.TypeSymlink:
		return "a symbolic link"
	default:
		return "a file"
	}
}

// tree is what the layer has so far, by placed names. Its errors complete the
// sentence "The entry …".
type tree struct {
	nodes map[string]node
	// entries counts what was added, a folder that is listed again too.
	entries, maxEntries int
	nameBytes           int
}

func newTree(maxEntries int) *tree {
	return &tree{nodes: map[string]node{}, maxEntries: maxEntries}
}

// missingParents are the folders above name that the layer doesn't have yet, the
// uppermost first. A reason says what is in the way.
func (t *tree) missingParents(name string) (missing []string, reason string) {
	parent, ok := parentOf(name)
	if !ok || t.nodes[parent].kind == tar.TypeDir {
		return nil, ""
	}
	if above, there := t.nodes[parent]; there {
		return nil, "lies below " + quoted(parent) + ", which is " + above.String() + " in this droplet"
	}
	missing, reason = t.missingParents(parent)
	return append(missing, parent), reason
}

// parentOf is the name of the folder that name is in, unless that is the root.
func parentOf(name string) (string, bool) {
	slash := strings.LastIndexByte(name, '/')
	if slash < 0 {
		return "", false
	}
	return name[:slash], true
}

// add notes that the layer has name now.
func (t *tree) add(name string, added node) error {
	old, twice := t.nodes[name]
	if twice && (old.kind != tar.TypeDir || added.kind != tar.TypeDir) {
		return refuse(name, "is there twice, as %s and as %s", old, added)
	}
	if err := t.count(); err != nil {
		return err
	}
	if twice {
		return nil
	}
	// Names are at times parts of much longer strings.
	name = strings.Clone(name)
	if t.nameBytes += len(name) + len(added.target); t.nameBytes > max(minNameBytes, t.maxEntries*nameBytesPerEntry) {
		return refuse("", "has names of more than %d bytes in all, which is the limit", max(minNameBytes, t.maxEntries*nameBytesPerEntry))
	}
	t.nodes[name] = added
	return nil
}

// count counts one entry.
func (t *tree) count() error {
	if t.entries++; t.entries > t.maxEntries {
		return refuse("", "has more than %d entries, which is the limit", t.maxEntries)
	}
	return nil
}
