package archive

import (
	"path"
	"strings"

	"github.com/irene-cf/irene/opi"
)

// maxPath is how long, in bytes, a path may be on Linux.
const maxPath = 4095

// localName turns an entry's name into a path below the folder that is unpacked to;
// "." for the folder itself.
func localName(raw string) (string, error) {
	switch {
	case raw == "":
		return "", refuse("", "an entry has no name")
	case strings.ContainsRune(raw, 0):
		return "", refuse(raw, "has a NUL character in its name")
	case path.IsAbs(raw):
		return "", refuse(raw, "has an absolute path")
	case len(raw) > maxPath:
		return "", refuse(opi.Shorten(raw, 80), "has too long a name")
	}
	name := path.Clean(raw)
	if name == ".." || strings.HasPrefix(name, "../") {
		return "", refuse(raw, "leads out of the archive")
	}
	return name, nil
}

// checkTarget refuses a symbolic link that no file system can hold. Where the target
// leads is not checked. An absolute target, or one that leads out of the folder, means
// something only in the container where the app or the buildpack runs (a volume, a
// program of the stack), and no check here could tell what it will mean there: a
// harmless target may be a link itself.
//
// The safety does not come from the target but from who follows it. Unpack creates links
// last and below the folder's descriptor; Pack copies them as links; push, the uploads and
// the conversion of droplets never open a path below one. Only the build container
// follows them. It runs user code, which could open the same paths itself, and holds
// no secret.
func checkTarget(name, target string) error {
	if target == "" || len(target) > maxPath || strings.ContainsRune(target, 0) {
		return refuse(name, "is a symbolic link to something that can't be a path")
	}
	return nil
}
