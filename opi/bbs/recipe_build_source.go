package bbs

import (
	"crypto/md5" // the name of a folder, not a signature
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"code.cloudfoundry.org/bbs/models"
	"github.com/cespare/xxhash/v2"

	"github.com/irene-cf/irene/opi"
)

// customBuildpack is the name of buildpacks that users name by their address.
const customBuildpack = "custom"

// source returns what a build with buildpacks starts from.
func (a buildActions) source(wire *models.TaskDefinition, assets []asset, flags builderFlags) (*opi.Source, error) {
	root, err := rootFS(wire)
	errs := []error{err}
	if root.Image != nil {
		errs = append(errs, opi.Invalid("root_fs", "is a docker image; builds with buildpacks have a stack"))
	}
	found := opi.Source{Stack: root.Stack, SkipCertVerify: flags.skipCertVerify}
	buildpacks, err := a.fetched(&found, append(assets, a.downloads...), flags)
	errs = append(errs, err, a.uploaded(&found, flags))
	for _, word := range flags.buildpackOrder {
		found.Buildpacks = append(found.Buildpacks, buildpack(word, buildpacks, flags))
	}
	return &found, errors.Join(errs...)
}

// fetched sets what is fetched for the build, by the folder that it is for. It returns the
// buildpacks by their folders.
func (a buildActions) fetched(source *opi.Source, assets []asset, flags builderFlags) (map[string]asset, error) {
	buildpacks := map[string]asset{}
	used := map[string]string{}
	for _, asset := range assets {
		folder := asset.destination
		if asset.isLifecycle() {
			continue
		}
		if a.tried[asset.path] && folder != path.Clean(flags.cacheFolder) {
			return nil, opi.Invalid(asset.path, "must not fail, but is tried")
		}
		if earlier, isUsed := used[folder]; isUsed {
			return nil, opi.Invalid(asset.path+"."+asset.field, "%q is the destination of %s, too", shorten(folder), earlier)
		}
		used[folder] = asset.path
		switch {
		case folder == path.Clean(flags.appFolder):
			source.AppBitsURL, source.AppBitsChecksum = asset.url, asset.checksum
		case folder == path.Clean(flags.cacheFolder):
			// The cache saves time and is no part of the build.
			if isHTTP(asset.url) && asset.checksum.Validate() == nil {
				source.CacheDownloadURL, source.CacheChecksum = asset.url, asset.checksum
			}
		case path.Dir(folder) == path.Clean(flags.buildpacksFolder):
			buildpacks[folder] = asset
		default:
			return nil, asset.invalidDestination("the folder of the lifecycle, the app, the cache or a buildpack")
		}
	}
	if source.AppBitsURL == "" {
		return nil, opi.Invalid("action", "has no download of the app package to %s, nor have image_layers", shorten(flags.appFolder))
	}
	return buildpacks, nil
}

// buildpack returns the buildpack that a word of the order stands for. Those of the platform
// are there in a folder that is named by a hash of the word; anything else is an address. A key
// without a folder is of a buildpack that Cloud Controller has lost the file of.
func buildpack(word string, there map[string]asset, flags builderFlags) opi.Buildpack {
	sum := md5.Sum([]byte(word))
	for _, name := range []string{fmt.Sprintf("%016x", xxhash.Sum64String(word)), hex.EncodeToString(sum[:])} {
		if found, ok := there[path.Join(flags.buildpacksFolder, name)]; ok {
			return opi.Buildpack{Name: found.name, Key: word, URL: found.url, Checksum: found.checksum, SkipDetect: flags.skipDetect}
		}
	}
	if !strings.Contains(word, ":") {
		return opi.Buildpack{Name: word, Key: word, SkipDetect: flags.skipDetect}
	}
	return opi.Buildpack{Name: customBuildpack, Key: word, URL: word, SkipDetect: flags.skipDetect}
}

// uploaded sets where droplet and cache go.
func (a buildActions) uploaded(source *opi.Source, flags builderFlags) error {
	for _, leaf := range a.uploads {
		upload := leaf.action.UploadAction
		var to *string
		switch path.Clean(upload.From) {
		case path.Clean(flags.dropletFile):
			to = &source.DropletUploadURL
		case path.Clean(flags.cacheFile):
			to = &source.CacheUploadURL
		default:
			return opi.Invalid(leaf.path+".upload.from", "%q is neither the droplet nor the cache", shorten(upload.From))
		}
		if *to != "" {
			return opi.Invalid(leaf.path+".upload.from", "%q is uploaded twice", shorten(upload.From))
		}
		*to = upload.To
	}
	if source.DropletUploadURL == "" {
		return opi.Invalid("action", "has no upload of the droplet from %s", shorten(flags.dropletFile))
	}
	return nil
}

func isHTTP(text string) bool {
	parsed, err := url.Parse(text)
	return err == nil && parsed.Host != "" && (parsed.Scheme == "http" || parsed.Scheme == "https")
}
