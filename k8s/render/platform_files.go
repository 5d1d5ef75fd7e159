package render

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/opi"
)

// platformFilesDirectory is where instances find [opi.LRP.Files]: Diego's directory for
// service bindings, which callers name in variables (contract/bbs.md 3.7).
const platformFilesDirectory = "/etc/cf-service-bindings"

const (
	platformFilesVolume       = "platform-files"
	trustedCertificatesVolume = "trusted-certificates"
)

// fileKey returns the key in the LRP's Secret of a file's content. Paths are no keys: they may
// have slashes.
func fileKey(n int) string { return fmt.Sprintf("file.%d", n) }

// addFiles mounts an LRP's files. Their content goes into the work's Secret.
func (w *work) addFiles(files []opi.File) {
	if len(files) == 0 {
		return
	}
	source := &corev1.SecretVolumeSource{DefaultMode: ptr.To[int32](0o444)}
	for n, file := range files {
		key := fileKey(n)
		w.secretData[key] = file.Content
		source.Items = append(source.Items, corev1.KeyToPath{Key: key, Path: file.Path})
	}
	w.pod.Volumes = append(w.pod.Volumes, corev1.Volume{
		Name: platformFilesVolume, VolumeSource: corev1.VolumeSource{Secret: source},
	})
	w.container.VolumeMounts = append(w.container.VolumeMounts, corev1.VolumeMount{
		Name: platformFilesVolume, MountPath: platformFilesDirectory, ReadOnly: true,
	})
}

// addTrustedCertificates mounts the operator's authorities at the directory that the caller
// names. A ConfigMap that does not exist leaves the directory empty.
func (w *work) addTrustedCertificates(configMap, directory string) {
	if configMap == "" || directory == "" {
		return
	}
	w.pod.Volumes = append(w.pod.Volumes, corev1.Volume{
		Name: trustedCertificatesVolume, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: configMap}, Optional: ptr.To(true),
		}},
	})
	w.container.VolumeMounts = append(w.container.VolumeMounts, corev1.VolumeMount{
		Name: trustedCertificatesVolume, MountPath: directory, ReadOnly: true,
	})
	w.container.Env = append(w.container.Env, corev1.EnvVar{Name: "CF_SYSTEM_CERT_PATH", Value: literal(directory)})
}
