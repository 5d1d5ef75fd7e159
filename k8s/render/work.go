package render

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/irene-cf/irene/opi"
)

// milliCPUPerWeight makes 100, the weight of an app of 8 GiB, one CPU.
const milliCPUPerWeight = 10

// work is what an app's instances and its tasks have in common: the image, how it is
// launched and in which environment, whom it runs as, within what limits and where. Its
// variables name no Secret until readFrom.
type work struct {
	// pod has no containers yet.
	pod       Pod
	container corev1.Container
	// secretData is what must not stand in the pod spec: the secret part of the environment
	// and, for a private image, how to pull it. secretType is the type of its Secret.
	secretData map[string][]byte
	secretType corev1.SecretType
}

// work computes an LRP's work, which runs in a container of the given name. own are the
// variables that describe the container itself.
func (s Settings) work(container string, lrp opi.LRP, found ResolvedImage, own []corev1.EnvVar) (work, error) {
	variables, secretData := environment(lrp, own)
	arguments, err := sidecarArguments(lrp, own)
	if err != nil {
		return work{}, fmt.Errorf("render sidecars of %s: %w", lrp, err)
	}
	image, pullPolicy := s.image(lrp, found.Revision)
	security, hostUsers := s.podSecurity(lrp, found.User)
	w := work{
		pod: Pod{
			Security:       security,
			HostUsers:      hostUsers,
			ServiceAccount: s.ServiceAccount,
			Affinity:       s.Placement.Affinity(lrp.PlacementTags),
			Names:          s.Names,
		},
		container: corev1.Container{
			Name:            container,
			Image:           image,
			ImagePullPolicy: pullPolicy,
			Command:         command(lrp),
			Args:            arguments,
			Env:             variables,
			Resources:       s.resources(lrp.Limits),
			SecurityContext: ContainerSecurity(),
		},
		secretData: secretData,
		secretType: corev1.SecretTypeOpaque,
	}
	w.addFiles(lrp.Files)
	w.addTrustedCertificates(s.TrustedCertificates, lrp.TrustedCertificatesPath)
	// A docker image is pulled with its own credentials only: with the platform's, its
	// owner could name the image of another's droplet.
	if lrp.Droplet != nil && s.Registry.PullSecret != "" {
		w.pod.PullSecrets = []string{s.Registry.PullSecret}
	}
	if lrp.RootFS.Image != nil && lrp.RootFS.Image.Credentials != nil {
		content, err := DockerConfig(*lrp.RootFS.Image)
		if err != nil {
			return work{}, fmt.Errorf("render pull secret of %s: %w", lrp, err)
		}
		w.secretData[corev1.DockerConfigJsonKey] = content
		w.secretType = corev1.SecretTypeDockerConfigJson
	}
	return w, nil
}

// readFrom makes the container's variables and files refer to the named Secret, and kubelet
// pull with it where it holds credentials.
func (w *work) readFrom(secret string) {
	for _, variable := range w.container.Env {
		if variable.ValueFrom != nil && variable.ValueFrom.SecretKeyRef != nil {
			variable.ValueFrom.SecretKeyRef.Name = secret
		}
	}
	for _, volume := range w.pod.Volumes {
		if volume.Secret != nil {
			volume.Secret.SecretName = secret
		}
	}
	if w.secretType == corev1.SecretTypeDockerConfigJson {
		w.pod.PullSecrets = append(w.pod.PullSecrets, secret)
	}
}

// launcher is PID 1 of every buildpack app (cmd/launch).
const launcher = "/lifecycle/launch"

func command(lrp opi.LRP) []string {
	if lrp.Droplet != nil {
		return []string{launcher}
	}
	if arguments := lrp.MainProcess().Command; len(arguments) > 0 {
		return literals(arguments)
	}
	return nil
}

// image returns the image and its pull policy. A droplet's tag never changes its
// meaning, so a node that has it can restart the app while the registry is away; a
// docker tag may move, a digest can't.
func (s Settings) image(lrp opi.LRP, revision string) (string, corev1.PullPolicy) {
	if lrp.Droplet != nil {
		return s.Registry.DropletImage(lrp, revision), corev1.PullIfNotPresent
	}
	if strings.Contains(lrp.RootFS.Image.Reference, "@") {
		return lrp.RootFS.Image.Reference, corev1.PullIfNotPresent
	}
	return lrp.RootFS.Image.Reference, corev1.PullAlways
}

// CPUWeight returns the weight from which a container's CPU request was made; 0 for none.
func CPUWeight(milliCPU int32) int64 { return int64(milliCPU) / milliCPUPerWeight }

func (s Settings) resources(limits opi.Limits) corev1.ResourceRequirements {
	mebibytes := func(n int64) resource.Quantity { return *resource.NewQuantity(n<<20, resource.BinarySI) }
	disk := limits.DiskMiB
	if disk == 0 {
		disk = s.DefaultDiskMiB
	}
	requirements := corev1.ResourceRequirements{
		Limits: corev1.ResourceList{
			corev1.ResourceMemory:           mebibytes(limits.MemoryMiB),
			corev1.ResourceEphemeralStorage: mebibytes(disk),
		},
		Requests: corev1.ResourceList{
			corev1.ResourceMemory: mebibytes(limits.MemoryMiB),
		},
	}
	if limits.CPUWeight > 0 {
		requirements.Requests[corev1.ResourceCPU] = *resource.NewMilliQuantity(limits.CPUWeight*milliCPUPerWeight, resource.DecimalSI)
	}
	return requirements
}
