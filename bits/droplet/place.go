package droplet

import (
	"fmt"
	"path"
	"strings"
)

const (
	// vcapHome is where a droplet goes, as a path in a layer.
	vcapHome = "home/vcap"
	// maxNameBytes bounds one part of a path on every file system that Linux has.
	maxNameBytes = 255
	// maxPathBytes bounds a path in a layer. Linux takes 4095 bytes, and runtimes
	// unpack layers below a folder of theirs.
	maxPathBytes = 3840
	// maxTargetBytes bounds what a symbolic link points to, by Linux' rule.
	maxTargetBytes = 4095
	// whiteoutPrefix begins names that have a meaning of their own in a layer.
	whiteoutPrefix = ".wh."
)

// place turns the name of an archive's entry into a path below vcapHome, without
// "." and doubled slashes; "" is vcapHome itself. Slashes in front are dropped, as tar does
// when it unpacks. A reason explains why a name can't be placed and completes the
// sentence "The entry …".
func place(name string) (placed, reason string) {
	switch {
	case name == "":
		return "", "has no name"
	case strings.ContainsRune(name, 0):
		return "", "has a NUL byte in its name"
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "..":
			return "", `has ".." in its path, which could lead out of the droplet`
		case strings.HasPrefix(part, whiteoutPrefix):
			return "", fmt.Sprintf("has a name that begins with %q, which container runtimes take for the removal of a file", whiteoutPrefix)
		case len(part) > maxNameBytes:
			return "", fmt.Sprintf("has a name of %d bytes; Linux takes %d", len(part), maxNameBytes)
		}
	}
	// Without ".." this does no more than it is wanted for.
	placed = path.Clean(strings.TrimLeft(name, "/"))
	if len(vcapHome)+1+len(placed) > maxPathBytes {
		return "", fmt.Sprintf("has a path of %d bytes below /%s, too many for Linux to unpack", len(placed), vcapHome)
	}
	if placed == "." {
		placed = ""
	}
	return placed, ""
}

// layerPath is where a placed name is in the layer.
func layerPath(placed string) string { return vcapHome + "/" + placed }
