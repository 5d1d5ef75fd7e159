package render

import (
	"fmt"
	"maps"

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

// MountedVolume is a volume and where a container finds it.
type MountedVolume struct {
	Volume corev1.Volume
	Mount  corev1.VolumeMount
}

// PlatformFiles returns the volume with an LRP's or a build's files, and their contents by their
// keys in the Secret that the volume is made from.
func PlatformFiles(files []opi.File, secret string) (MountedVolume, map[string][]byte) {
	source := &corev1.SecretVolumeSource{SecretName: secret, DefaultMode: ptr.To[int32](0o444)}
	contents := make(map[string][]byte, len(files))
	for n, file := range files {
		key := fileKey(n)
		contents[key] = file.Content
		source.Items = append(source.Items, corev1.KeyToPath{Key: key, Path: file.Path})
	}
	return MountedVolume{
		Volume: corev1.Volume{Name: platformFilesVolume, VolumeSource: corev1.VolumeSource{Secret: source}},
		Mount:  corev1.VolumeMount{Name: platformFilesVolume, MountPath: platformFilesDirectory, ReadOnly: true},
	}, contents
}

// TrustedCertificates returns the volume with the operator's authorities at the directory that
// the caller names, and the variable that names the directory. A ConfigMap that does not exist
// leaves the directory empty.
func TrustedCertificates(configMap, directory string) (MountedVolume, corev1.EnvVar) {
	return MountedVolume{
		Volume: corev1.Volume{
			Name: trustedCertificatesVolume, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: configMap}, Optional: ptr.To(true),
			}},
		},
		Mount: corev1.VolumeMount{Name: trustedCertificatesVolume, MountPath: directory, ReadOnly: true},
	}, corev1.EnvVar{Name: "CF_SYSTEM_CERT_PATH", Value: literal(directory)}
}

// addFiles mounts an LRP's files. Their content goes into the work's Secret.
func (w *work) addFiles(files []opi.File) {
	if len(files) == 0 {
		return
	}
	mounted, contents := PlatformFiles(files, "")
	maps.Copy(w.secretData, contents)
	w.mount(mounted)
}

// addTrustedCertificates mounts the operator's authorities if there are any.
func (w *work) addTrustedCertificates(configMap, directory string) {
	if configMap == "" || directory == "" {
		return
	}
	mounted, variable := TrustedCertificates(configMap, directory)
	w.mount(mounted)
	w.container.Env = append(w.container.Env, variable)
}

func (w *work) mount(mounted MountedVolume) {
	w.pod.Volumes = append(w.pod.Volumes, mounted.Volume)
	w.container.VolumeMounts = append(w.container.VolumeMounts, mounted.Mount)
}
