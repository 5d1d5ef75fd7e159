package stager

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/render"
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

// mount adds the images to the pod and to the container that runs the buildpacks, each
// where fetch would have unpacked it. Kubelet keeps them as it keeps other images.
func (s supply) mount(pod *render.Pod, build *corev1.Container) {
	var images []string
	for i, buildpack := range s.mounted {
		at := slices.Index(images, s.images[i])
		if at < 0 {
			at, images = len(images), append(images, s.images[i])
			pod.Volumes = append(pod.Volumes, corev1.Volume{Name: buildpackVolume(at), VolumeSource: corev1.VolumeSource{
				Image: &corev1.ImageVolumeSource{Reference: s.images[i], PullPolicy: corev1.PullIfNotPresent},
			}})
		}
		build.VolumeMounts = append(build.VolumeMounts, corev1.VolumeMount{
			Name: buildpackVolume(at), MountPath: path.Join(buildWorkspace, steps.BuildpackPath(buildpack.Key)), ReadOnly: true,
		})
	}
}

func buildpackVolume(number int) string { return fmt.Sprintf("buildpack-%d", number) }

func namesOf(buildpacks []opi.Buildpack) []string {
	names := make([]string, 0, len(buildpacks))
	for _, buildpack := range buildpacks {
		names = append(names, buildpack.Name)
	}
	return names
}
