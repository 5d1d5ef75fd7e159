package stager

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/buildpacks"
	"github.com/irene-cf/irene/stager/steps"
)

// supply is how a build gets its buildpacks.
type supply struct {
	// wanted are all buildpacks, in the order of the request.
	wanted []steps.BuildBuildpack
	// fetched and mounted have keys of the steps and public names, each key once.
	fetched, mounted []opi.Buildpack
	// images are those of mounted, in the same order.
	images []string
}

// supply takes the image of every buildpack that has one.
func (p PodImages) supply(source opi.Source) supply {
	var s supply
	known := map[string]bool{}
	stepKeys := steps.StepKeys(source.Buildpacks)
	for i, buildpack := range source.Buildpacks {
		image := ""
		if checksum, keyed := buildpacks.Checksum(buildpack); keyed {
			image = p.Buildpacks[checksum]
		}
		buildpack.Name, buildpack.Key = steps.PublicKey(buildpack.Name), stepKeys[i].Public
		s.wanted = append(s.wanted, steps.BuildBuildpack{
			Name: buildpack.Name, Key: buildpack.Key, SkipDetect: buildpack.SkipDetect, FreshCache: !stepKeys[i].Lasting,
		})
		switch {
		case known[buildpack.Key]:
		case image != "":
			s.mounted, s.images = append(s.mounted, buildpack), append(s.images, image)
		default:
			s.fetched = append(s.fetched, buildpack)
		}
		known[buildpack.Key] = true
	}
	return s
}

// fetchKey is the Secret's key of fetch's configuration. It says what is left out: when
// two replicas are asked for a build at once, and only one has found an image, both
// configurations stand in the Secret, and each Job would mount its own.
func (s supply) fetchKey() string {
	if len(s.mounted) == 0 {
		return fetchFile
	}
	sum := sha256.New()
	for _, buildpack := range s.mounted {
		fmt.Fprintln(sum, steps.BuildpackFolder(buildpack.Key))
	}
	return strings.TrimSuffix(fetchFile, ".json") + "-" + hex.EncodeToString(sum.Sum(nil))[:12] + ".json"
}

// mounts returns the images, each where fetch would have unpacked its buildpack.
func (s supply) mounts() []Mount {
	var mounts []Mount
	for i, buildpack := range s.mounted {
		mounts = append(mounts, Mount{Image: s.images[i], Path: path.Join(buildWorkspace, steps.BuildpackPath(buildpack.Key))})
	}
	return mounts
}

func namesOf(buildpacks []opi.Buildpack) []string {
	names := make([]string, 0, len(buildpacks))
	for _, buildpack := range buildpacks {
		names = append(names, buildpack.Name)
	}
	return names
}
