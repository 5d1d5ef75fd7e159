package archive

import (
	"path"
	"slices"
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

// checkLink refuses a symbolic link that points out of the folder. Its target may go
// up only at its beginning: behind a name, which may be a link itself, nobody knows
// where ".." leads.
func checkLink(name, target string, rules Rules) error {
	switch {
	case target == "" || len(target) > maxPath || strings.ContainsRune(target, 0):
		return refuse(name, "is a symbolic link to something that can't be a path")
	case rules.AnyLinks:
		return nil
	case path.IsAbs(target):
		return refuse(name, "is a symbolic link to an absolute path")
	}
	up, down := 0, false
	for _, part := range strings.Split(target, "/") {
		switch {
		case part == "" || part == ".":
		case part != "..":
			down = true
		case down:
			return refuse(name, "is a symbolic link whose target goes up after it went down")
		default:
			up++
		}
	}
	folders := slices.DeleteFunc(strings.Split(path.Dir(name), "/"), func(s string) bool { return s == "." })
	if up > len(folders) {
		return refuse(name, "is a symbolic link that points out of the archive")
	}
	return nil
}
