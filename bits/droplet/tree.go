package droplet

import (
	"archive/tar"
	"crypto/sha256"
	"strings"
)

const (
	// targetBytesPerEntry bounds the memory that targets of symbolic links take.
	targetBytesPerEntry = 32
	minTargetBytes      = 1 << 20
)

// node is one thing that the layer has: what tar calls TypeDir, TypeReg (also for
// hard links), TypeFifo or TypeSymlink.
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
	case tar.TypeFifo:
		return "a named pipe"
	default:
		return "a file"
	}
}

// nameHash stands for a name, of which droplets can have very many and very long ones.
// Nobody can make two names with one hash.
type nameHash [16]byte

func hashOf(name string) nameHash {
	sum := sha256.Sum256([]byte(name))
	return nameHash(sum[:])
}

// tree is what the layer has so far, by placed names. Its errors complete the
// sentence "The entry …".
type tree struct {
	kinds map[nameHash]byte
	// targets are those of symbolic links.
	targets map[nameHash]string
	// entries counts what was added, a folder that is listed again too.
	entries, maxEntries int
	targetBytes         int
}

func newTree(maxEntries int) *tree {
	return &tree{kinds: map[nameHash]byte{}, targets: map[nameHash]string{}, maxEntries: maxEntries}
}

// find tells what the layer has by a name.
func (t *tree) find(name string) (found node, there bool) {
	return t.at(hashOf(name))
}

func (t *tree) at(hash nameHash) (found node, there bool) {
	kind, there := t.kinds[hash]
	return node{kind: kind, target: t.targets[hash]}, there
}

// missingParents are the folders above name that the layer doesn't have yet, the
// uppermost first. A reason says what is in the way.
func (t *tree) missingParents(name string) (missing []string, reason string) {
	parent, ok := parentOf(name)
	if !ok {
		return nil, ""
	}
	above, there := t.find(parent)
	if above.kind == tar.TypeDir {
		return nil, ""
	}
	if there {
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

// add notes that the layer has name now. What was there by that name before is replaced,
// unless that is a folder: what is in it would vanish.
func (t *tree) add(name string, added node) error {
	hash := hashOf(name)
	old, twice := t.at(hash)
	if twice && old.kind == tar.TypeDir && added.kind != tar.TypeDir {
		return refuse(name, "is there twice, as %s and as %s", old, added)
	}
	if err := t.count(); err != nil {
		return err
	}
	t.targetBytes -= len(old.target)
	if t.targetBytes += len(added.target); t.targetBytes > max(minTargetBytes, t.maxEntries*targetBytesPerEntry) {
		return refuse("", "has symbolic links to paths of more than %d bytes in all, which is the limit", max(minTargetBytes, t.maxEntries*targetBytesPerEntry))
	}
	t.kinds[hash] = added.kind
	delete(t.targets, hash)
	if added.kind == tar.TypeSymlink {
		t.targets[hash] = added.target
	}
	return nil
}

// count counts one entry.
func (t *tree) count() error {
	if t.entries++; t.entries > t.maxEntries {
		return refuse("", "has more than %d entries, which is the limit", t.maxEntries)
	}
	return nil
}
