package steps

import (
	"crypto/md5"
	"encoding/hex"
	"path"
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
	// FreshCacheFolder holds an empty cache for each buildpack that has FreshCache, by
	// its index.
	FreshCacheFolder = "fresh-cache"
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
