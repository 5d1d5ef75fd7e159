package builds

import (
	"path"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/stager"
)

const (
	// program is the staging program in both images.
	program = "/lifecycle/irene-stage"
	// grace is what the steps need to end: build gives user code 5 s.
	grace = 30 * time.Second
	// workspaceVolume is the volume that the steps share.
	workspaceVolume = "workspace"
)

// stepsPod runs all steps but the last as init containers. secret is the name of the Secret
// with what user code must not read; around is for the step with user code alone.
func (s Settings) stepsPod(needs stager.Needs, secret string, placementTags []string, around surroundings) render.Pod {
	pod := s.pod(placementTags)
	pod.Volumes = []corev1.Volume{{Name: workspaceVolume, VolumeSource: corev1.VolumeSource{
		EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: ptr.To(mebibytes(needs.DiskMiB))},
	}}}
	buildpacks, mounts := buildpackVolumes(needs.Mounts)
	var containers []corev1.Container
	for _, step := range needs.Steps {
		container := s.step(step, needs.DiskMiB)
		if step.UserCode {
			container.Env = instanceVariables()
			container.VolumeMounts = append(container.VolumeMounts, mounts...)
			pod.Volumes = append(pod.Volumes, filesVolume(step, secret+publicSuffix))
			around.addTo(&pod, &container)
		} else {
			container.Env = []corev1.EnvVar{softMemoryLimit(step.MemoryMiB)}
			pod.Volumes = append(pod.Volumes, filesVolume(step, secret))
		}
		containers = append(containers, container)
	}
	pod.Volumes = append(pod.Volumes, buildpacks...)
	last := len(containers) - 1
	pod.InitContainers, pod.Containers = containers[:last], containers[last:]
	return pod
}

// buildpackVolumes mounts buildpacks' images, each image being one volume. Kubelet keeps
// them as it keeps other images.
func buildpackVolumes(wanted []stager.Mount) (volumes []corev1.Volume, mounts []corev1.VolumeMount) {
	var images []string
	for _, mount := range wanted {
		at := slices.Index(images, mount.Image)
		if at < 0 {
			at, images = len(images), append(images, mount.Image)
			volumes = append(volumes, corev1.Volume{Name: buildpackVolume(at), VolumeSource: corev1.VolumeSource{
				Image: &corev1.ImageVolumeSource{Reference: mount.Image, PullPolicy: corev1.PullIfNotPresent},
			}})
		}
		mounts = append(mounts, corev1.VolumeMount{Name: buildpackVolume(at), MountPath: mount.Path, ReadOnly: true})
	}
	return volumes, mounts
}

func buildpackVolume(number int) string { return "buildpack-" + strconv.Itoa(number) }

// pod returns what every pod of a build has. The tags name the isolation segment.
func (s Settings) pod(placementTags []string) render.Pod {
	pod := render.Pod{
		Security: render.VcapSecurity(), ServiceAccount: s.ServiceAccount, Grace: grace, Affinity: s.Placement.Affinity(placementTags),
		Names: s.Names,
	}
	if s.PullSecret != "" {
		pod.PullSecrets = []string{s.PullSecret}
	}
	return pod
}

// step returns the container of one step.
func (s Settings) step(step stager.Step, diskMiB int64) corev1.Container {
	container := s.container(step.Name, step.Image, step.MemoryMiB, diskMiB)
	container.Command = []string{program, step.Name, "--config", path.Join(stager.ConfigFolder, step.Name+".json")}
	container.WorkingDir = step.Workspace
	container.VolumeMounts = []corev1.VolumeMount{
		{Name: workspaceVolume, MountPath: step.Workspace},
		{Name: filesVolumeName(step), MountPath: stager.ConfigFolder, ReadOnly: true},
	}
	return container
}

func (s Settings) container(name, image string, memoryMiB, diskMiB int64) corev1.Container {
	bounds := corev1.ResourceList{
		corev1.ResourceMemory:           mebibytes(memoryMiB),
		corev1.ResourceEphemeralStorage: mebibytes(diskMiB),
	}
	requests := bounds.DeepCopy()
	requests[corev1.ResourceCPU] = *resource.NewMilliQuantity(s.CPURequestMilli, resource.DecimalSI)
	return corev1.Container{
		Name:            name,
		Image:           image,
		ImagePullPolicy: corev1.PullIfNotPresent,
		Resources:       corev1.ResourceRequirements{Limits: bounds, Requests: requests},
		SecurityContext: render.ContainerSecurity(),
	}
}

func mebibytes(n int64) resource.Quantity { return *resource.NewQuantity(n<<20, resource.BinarySI) }

// softMemoryLimit makes Go collect garbage before the kernel has to kill.
func softMemoryLimit(memoryMiB int64) corev1.EnvVar {
	limit := mebibytes(memoryMiB / 4 * 3)
	return corev1.EnvVar{Name: "GOMEMLIMIT", Value: limit.String() + "B"}
}

// filesVolume holds the step's files of a Secret, and those only.
func filesVolume(step stager.Step, secret string) corev1.Volume {
	var items []corev1.KeyToPath
	for _, file := range step.Files {
		items = append(items, corev1.KeyToPath{Key: file.Key, Path: file.Name})
	}
	return corev1.Volume{Name: filesVolumeName(step), VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
		SecretName: secret, Items: items, DefaultMode: ptr.To(int32(0o440)),
	}}}
}

func filesVolumeName(step stager.Step) string { return step.Name + "-files" }

// instanceVariables are what a build learns about itself, as with the predecessor. The
// request can't give them other values.
func instanceVariables() []corev1.EnvVar {
	field := func(name, fieldPath string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: fieldPath},
		}}
	}
	return []corev1.EnvVar{
		field("POD_NAME", "metadata.name"),
		field("CF_INSTANCE_GUID", "metadata.uid"),
		field("CF_INSTANCE_IP", "status.podIP"),
		field("CF_INSTANCE_INTERNAL_IP", "status.podIP"),
		{Name: "CF_INSTANCE_ADDR", Value: ""},
		{Name: "CF_INSTANCE_PORT", Value: ""},
		{Name: "CF_INSTANCE_PORTS", Value: "[]"},
	}
}
