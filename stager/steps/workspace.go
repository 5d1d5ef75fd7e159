package steps

import (
	"crypto/md5"
	"encoding/hex"
	"net/url"
	"path"
	"strings"

	"github.com/irene-cf/irene/opi"
)

// Paths in the volume that the steps share, relative to where it is mounted. In
// the build container that is /tmp, so that they are where buildpacks are used to
// find them.
const (
	// AppFolder holds the app's source code, and after the build the app.
	AppFolder = "app"
	// BuildpacksFolder holds a folder for each buildpack, see BuildpackFolder.
	BuildpacksFolder = "buildpacks"
	// BuildpacksFile, in BuildpacksFolder, lists the buildpacks in order as a JSON
	// array of {name, key, skip_detect}.
	BuildpacksFile = "config.json"
	// CacheFolder holds the app's build cache.
	CacheFolder = "cache"
	// ContentsFolder holds what goes into the droplet beside the app.
	ContentsFolder = "contents"
	// DepsFolder holds a folder for each buildpack that is used, by its index.
	DepsFolder = ContentsFolder + "/deps"
	// ProfileFolder holds scripts that are sourced before the app starts.
	ProfileFolder = ContentsFolder + "/profile.d"
	// HomeFolder is the home of user code where the image has no writable one.
	HomeFolder = "home"
	// OutFolder holds what the build hands to push: DropletFile, ResultFile and
	// CacheFile; and StartedFile.
	OutFolder = "out"
	// DropletFile is the droplet, a gzipped tar archive.
	DropletFile = "droplet.tgz"
	// ResultFile is the build's Result.
	ResultFile = "result.json"
	// CacheFile is the build cache for the next build, a gzipped tar archive.
	CacheFile = "cache.tgz"
	// StartedFile is made before user code runs for the first time.
	StartedFile = "started"
)

// BuildpackFolder is the folder of the buildpack with that key, below
// BuildpacksFolder: the MD5 digest of the key in hex, as the classic lifecycle
// names it. The digest makes a name of any key and protects nothing.
func BuildpackFolder(key string) string {
	sum := md5.Sum([]byte(key))
	return hex.EncodeToString(sum[:])
}

// BuildpackPath is BuildpackFolder relative to the volume.
func BuildpackPath(key string) string {
	return path.Join(BuildpacksFolder, BuildpackFolder(key))
}

// IsCustom tells whether a user named the buildpack by its URL. Such a URL is
// followed with no credential but what it carries itself: a user could point it at
// something that only the platform may read.
func IsCustom(buildpack opi.Buildpack) bool {
	return PublicKey(buildpack.Key) == PublicKey(buildpack.URL)
}

// PublicKey is a buildpack's key without what is secret. The key of a custom
// buildpack is its URL and may carry a password or a signed query, which the build
// must not see. Whoever makes the configurations of the steps puts it in place of
// the key in all of them.
func PublicKey(key string) string {
	scheme, rest, isURL := strings.Cut(key, "://")
	if !isURL {
		return key
	}
	if parsed, err := url.Parse(key); err == nil {
		parsed.User = nil
		parsed.RawQuery, parsed.ForceQuery = "", false
		return parsed.String()
	}
	// What is no URL may have been meant to be one.
	rest, _, _ = strings.Cut(rest, "?")
	return scheme + "://" + rest[strings.LastIndex(rest, "@")+1:]
}
