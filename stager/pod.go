package stager

import (
	"path"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
)

const (
	// program is the staging program in both images.
	program = "/lifecycle/irene-stage"
	// leastToolMiB is the memory of fetch and push where the build's own limit is lower:
	// they are no user's code, and must not fail for a small limit. They stream, and need
	// less than half of it.
	leastToolMiB = 256
	// grace is what the steps need to end: build gives user code 5 s.
	grace = 30 * time.Second
)

// Names of volumes.
const (
	workspaceVolume = "workspace"
	buildVolume     = "build-files"
	fetchVolume     = "fetch-files"
	pushVolume      = "push-files"
)

func (s Settings) stepsPod(build opi.Build, images PodImages, supply supply, secret string, files map[string][]byte) render.Pod {
	disk := s.diskMiB(build)
	memory := build.Limits.MemoryMiB
	toolMemory := max(memory, leastToolMiB)

	fetch := s.step(steps.FetchStep, fetchFile, images.Tool, workspace, fetchVolume, toolMemory, disk)
	fetch.Env = []corev1.EnvVar{softMemoryLimit(toolMemory)}
	run := s.step(steps.BuildStep, buildFile, images.Build, buildWorkspace, buildVolume, memory, disk)
	run.Env = instanceVariables()
	push := s.step(steps.PushStep, pushFile, images.Tool, workspace, pushVolume, toolMemory, disk)
	push.Env = []corev1.EnvVar{softMemoryLimit(toolMemory)}

	pod := s.pod()
	pod.Containers = []corev1.Container{push}
	pod.Volumes = []corev1.Volume{
		{Name: workspaceVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: ptr.To(mebibytes(disk))}}},
		secretVolume(fetchVolume, secret, append([]corev1.KeyToPath{{Key: supply.fetchKey(), Path: fetchFile}}, present(fetchFiles, files)...)),
		secretVolume(buildVolume, secret+buildSecretSuffix, []corev1.KeyToPath{{Key: buildFile, Path: buildFile}, {Key: environmentFile, Path: environmentFile}}),
		secretVolume(pushVolume, secret, present(pushFiles, files)),
	}
	supply.mount(&pod, &run)
	pod.InitContainers = []corev1.Container{fetch, run}
	return pod
}

// pod returns what every pod of a build has.
func (s Settings) pod() render.Pod {
	pod := render.Pod{
		Security: render.VcapSecurity(), ServiceAccount: s.ServiceAccount, Grace: grace, Affinity: s.Placement.Affinity(nil),
	}
	if s.PullSecret != "" {
		pod.PullSecrets = []string{s.PullSecret}
	}
	return pod
}

// step is a container that runs one step.
func (s Settings) step(name, config, image, mount, files string, memoryMiB, diskMiB int64) corev1.Container {
	container := s.container(name, image, memoryMiB, diskMiB)
	container.Command = []string{program, name, "--config", path.Join(configFolder, config)}
	container.WorkingDir = mount
	container.VolumeMounts = []corev1.VolumeMount{
		{Name: workspaceVolume, MountPath: mount},
		{Name: files, MountPath: configFolder, ReadOnly: true},
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

// secretVolume holds some of a Secret's keys, and those only.
func secretVolume(name, secret string, items []corev1.KeyToPath) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
		SecretName: secret, Items: items, DefaultMode: ptr.To(int32(0o440)),
	}}}
}

// present are those of the names that there is a file for, in their order.
func present(names []string, files map[string][]byte) []corev1.KeyToPath {
	var found []corev1.KeyToPath
	for _, name := range names {
		if _, there := files[name]; there {
			found = append(found, corev1.KeyToPath{Key: name, Path: name})
		}
	}
	return found
}

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
