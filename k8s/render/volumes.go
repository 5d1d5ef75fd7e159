package render

import (
	"fmt"
	"path"

	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/opi"
)

// volumes mounts the claims that an LRP names; a claim mounted at two directories is
// one volume. Kubernetes refuses a directory that is listed twice.
func volumes(mounts []opi.Volume) ([]corev1.Volume, []corev1.VolumeMount) {
	var podVolumes []corev1.Volume
	var containerMounts []corev1.VolumeMount
	names := map[string]string{}
	mounted := map[string]bool{}
	for _, mount := range mounts {
		directory := path.Clean(mount.Directory)
		if mounted[directory] {
			continue
		}
		mounted[directory] = true
		name, known := names[mount.ID]
		if !known {
			name = fmt.Sprintf("volume-%d", len(podVolumes))
			names[mount.ID] = name
			podVolumes = append(podVolumes, corev1.Volume{
				Name: name,
				VolumeSource: corev1.VolumeSource{
					PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: mount.ID},
				},
			})
		}
		containerMounts = append(containerMounts, corev1.VolumeMount{
			Name: name, MountPath: mount.Directory, ReadOnly: mount.ReadOnly,
		})
	}
	return podVolumes, containerMounts
}
