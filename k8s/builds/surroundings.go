package builds

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// surroundings hold what user code finds in a build in addition to its buildpacks, as in an
// instance of the app.
type surroundings struct {
	mounted   []render.MountedVolume
	variables []corev1.EnvVar
	// files are the contents of the Secret with the build's files; empty if there is none.
	files map[string][]byte
}

// surroundings returns those of a build. secret is the name of the Secret for its files.
func (s Settings) surroundings(build opi.Build, secret string) surroundings {
	var found surroundings
	if len(build.Files) > 0 {
		mounted, contents := render.PlatformFiles(build.Files, secret)
		found.mounted, found.files = append(found.mounted, mounted), contents
	}
	if s.TrustedCertificates != "" && build.TrustedCertificatesPath != "" {
		mounted, variable := render.TrustedCertificates(s.TrustedCertificates, build.TrustedCertificatesPath)
		found.mounted, found.variables = append(found.mounted, mounted), append(found.variables, variable)
	}
	return found
}

// addTo adds them to the container with user code and to its pod.
func (s surroundings) addTo(pod *render.Pod, container *corev1.Container) {
	container.Env = append(container.Env, s.variables...)
	for _, mounted := range s.mounted {
		container.VolumeMounts = append(container.VolumeMounts, mounted.Mount)
		pod.Volumes = append(pod.Volumes, mounted.Volume)
	}
}
