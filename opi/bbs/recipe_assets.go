package bbs

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"code.cloudfoundry.org/bbs/models"

	"github.com/irene-cf/irene/opi"
)

// dropletFolder is where a droplet is unpacked. Relative destinations are below it.
const dropletFolder = "/home/vcap"

// asset is something that Diego would fetch into a container: an image layer, a cached
// dependency or a download.
type asset struct {
	// path is its place in the request, and field the name of the destination there.
	path, field string
	// name is for people, key what Cloud Controller calls it.
	name, key   string
	url         string
	destination string
	checksum    opi.Checksum
	// checksumField is the beginning of the names of the checksum's fields.
	checksumField string
	// media is the type of an image layer's archive, 0 for other assets.
	media models.ImageLayer_MediaType
}

// invalidDestination returns an error about an asset that has no use.
func (a asset) invalidDestination(expected string) error {
	return opi.Invalid(a.path+"."+a.field, "%q is not %s", shorten(a.destination), expected)
}

// validateChecksum checks that there is a complete checksum, SHA-1 or SHA-256.
func (a asset) validateChecksum() error {
	if a.checksum == (opi.Checksum{}) {
		return opi.Invalid(a.path+"."+a.checksumField+"_value", "is missing")
	}
	for _, fault := range opi.FieldErrors(a.checksum.Validate()) {
		return opi.Invalid(a.path+"."+a.checksumField+"_"+fault.Field, "%s", fault.Reason)
	}
	return nil
}

// isLifecycle reports whether the asset is the bundle of Diego's programs.
func (a asset) isLifecycle() bool { return a.destination == lifecycleFolder }

// isCloudNative reports whether the assets have the bundle of programs for Cloud Native
// Buildpacks.
func isCloudNative(assets []asset) bool {
	return slices.ContainsFunc(assets, func(a asset) bool {
		return a.isLifecycle() && (strings.HasPrefix(a.name, "cnb-") || strings.HasPrefix(a.key, "cnb-"))
	})
}

// declared returns image layers and cached dependencies.
func declared(wire definition) []asset {
	var found []asset
	for i, layer := range wire.GetImageLayers() {
		algorithm := map[models.ImageLayer_DigestAlgorithm]string{models.DigestAlgorithmSha256: "sha256", models.DigestAlgorithmSha512: "sha512"}[layer.GetDigestAlgorithm()]
		found = append(found, asset{
			path: fmt.Sprintf("image_layers[%d]", i), field: "destination_path", name: layer.GetName(), url: layer.GetUrl(),
			destination: absolute(layer.GetDestinationPath()),
			checksum:    checksum(algorithm, layer.GetDigestValue()), checksumField: "digest", media: layer.GetMediaType(),
		})
	}
	for i, dependency := range wire.GetCachedDependencies() {
		found = append(found, asset{
			path: fmt.Sprintf("cached_dependencies[%d]", i), field: "to", name: dependency.GetName(), key: dependency.GetCacheKey(),
			url: dependency.GetFrom(), destination: absolute(dependency.GetTo()),
			checksum: checksum(dependency.GetChecksumAlgorithm(), dependency.GetChecksumValue()), checksumField: "checksum",
		})
	}
	return found
}

// download returns the asset of a download action.
func (l leaf) download() asset {
	action := l.action.DownloadAction
	return asset{
		path: l.path + ".download", field: "to", name: action.GetArtifact(), key: action.GetCacheKey(), url: action.GetFrom(),
		destination: absolute(action.GetTo()), checksum: checksum(action.GetChecksumAlgorithm(), action.GetChecksumValue()), checksumField: "checksum",
	}
}

func absolute(destination string) string {
	if !path.IsAbs(destination) {
		destination = path.Join(dropletFolder, destination)
	}
	return path.Clean(destination)
}

// checksum is zero without a value.
func checksum(algorithm, value string) opi.Checksum {
	if value == "" {
		return opi.Checksum{}
	}
	return opi.Checksum{Algorithm: strings.ToLower(algorithm), Value: strings.ToLower(value)}
}

// droplet returns the droplet among the assets of an LRP or a task; nil if there is none.
func droplet(assets []asset, isImage bool) (*opi.Droplet, error) {
	var found *asset
	for _, candidate := range assets {
		switch {
		case candidate.isLifecycle():
		case candidate.destination != dropletFolder:
			return nil, candidate.invalidDestination("the folder of the lifecycle (" + lifecycleFolder + ") or of the droplet (" + dropletFolder + ")")
		case isImage:
			return nil, opi.Invalid(candidate.path, "is a droplet, which a docker image has no use for")
		case found != nil:
			return nil, opi.Invalid(candidate.path, "is a second droplet, next to %s", found.path)
		case candidate.media != 0 && candidate.media != models.MediaTypeTgz:
			return nil, opi.Invalid(candidate.path+".media_type", "is %s; a droplet is a TGZ archive", candidate.media)
		default:
			found = &candidate
		}
	}
	if found == nil {
		return nil, nil
	}
	if err := found.validateChecksum(); err != nil {
		return nil, err
	}
	return &opi.Droplet{Checksum: found.checksum, URL: found.url}, nil
}

// setupDownloads returns what the setup of an LRP downloads.
func setupDownloads(setup *models.Action) ([]asset, error) {
	if setup == nil {
		return nil, nil
	}
	leaves, err := node{"setup", setup}.leaves("serial", "parallel")
	if err != nil {
		return nil, err
	}
	var found []asset
	for _, leaf := range leaves {
		if leaf.kind != "download" {
			return nil, opi.Invalid(leaf.path+"."+leaf.kind, "is not supported in the setup")
		}
		found = append(found, leaf.download())
	}
	return found, nil
}
