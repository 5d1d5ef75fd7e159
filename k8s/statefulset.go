package k8s

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// containerName is the app's container in every pod; the name is the
// predecessor's, which people type after "kubectl logs -c".
const containerName = "opi"

// milliCPUPerWeight makes 100, the weight of an app of 8 GiB, one CPU.
const milliCPUPerWeight = 10

// Translation turns LRPs into Kubernetes objects. Its fields are the operator's
// settings and never change while Irene runs.
type Translation struct {
	// Namespace is where apps run.
	Namespace string
	// Registry is where droplet images come from.
	Registry RegistrySettings
	// ServiceAccount is the pods' account, "" for the namespace's default. No token
	// is mounted either way.
	ServiceAccount string
	// DefaultDiskMiB holds for LRPs that come without a disk limit.
	DefaultDiskMiB int64
	// TerminationGrace is the time from the decision to stop an instance to SIGKILL,
	// PreStopSleep included.
	TerminationGrace time.Duration
	// PreStopSleep is how long an instance with ports serves on after its routes
	// were taken away, before it gets SIGTERM.
	PreStopSleep time.Duration
	// UserNamespaces runs docker images in user namespaces of their own.
	UserNamespaces bool
	// UserAnnotations may stand on the pods of apps whose users set them.
	UserAnnotations UserAnnotations
	Placement       PlacementSettings
	Probes          ProbeSettings
}

// RegistrySettings name the registry as kubelet reaches it.
type RegistrySettings struct {
	// PullAddress is host[:port].
	PullAddress string
	// Prefix is the path below which droplet images are.
	Prefix string
	// PullSecret is the name of an image pull secret in the app namespace, for the images
	// of droplets; empty for none.
	PullSecret string
}

// Render makes the objects of an LRP that has passed Validate. The same input
// makes the same objects. request is kept for people to read; it must be free of
// secrets. Errors are *opi.FieldError for LRPs which this back end can't run.
func (t Translation) Render(lrp opi.LRP, image ResolvedImage, request string, key DigestKey) (*corev1.Secret, *appsv1.StatefulSet, error) {
	if err := t.unsupported(lrp); err != nil {
		return nil, nil, err
	}
	digest, err := key.request(lrp)
	if err != nil {
		return nil, nil, err
	}
	routes, err := changesFor(opi.RoutesUpdate{HTTP: &lrp.Routes.HTTP, Internal: &lrp.Routes.Internal}, &lrp.Annotation)
	if err != nil {
		return nil, nil, err
	}
	updated := map[string]string{}
	if err := routes.apply(updated); err != nil {
		return nil, nil, err
	}
	annotations := lastingAnnotations(lrp, image.AppImage, digest)

	data, secretType, err := secretData(lrp, instanceVariables(lrp.Ports))
	if err != nil {
		return nil, nil, err
	}
	if err := fitAnnotations(annotations, newRecord(lrp, image.AppImage), request, data); err != nil {
		return nil, nil, err
	}
	maps.Copy(annotations, updated)
	if err := checkSecretSize(data); err != nil {
		return nil, nil, err
	}

	name := statefulSetName(lrp)
	objectLabels := labels(lrp, image.Revision)
	secretName := key.secretName(name, data, secretType)
	secret := renderSecret(t.Namespace, secretName, objectLabels, data, secretType)
	if secret != nil {
		annotations[keys.Secret] = secretName
	}
	return secret, &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: t.Namespace, Name: name, Labels: objectLabels, Annotations: annotations,
		},
		Spec: appsv1.StatefulSetSpec{
			Replicas:            ptr.To(int32(lrp.Instances)),
			PodManagementPolicy: appsv1.ParallelPodManagement,
			Selector:            &metav1.LabelSelector{MatchLabels: selector(lrp.LRPIdentifier)},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: objectLabels, Annotations: t.templateAnnotations(lrp)},
				Spec:       t.podSpec(lrp, image, secret),
			},
		},
	}, nil
}

func (t Translation) templateAnnotations(lrp opi.LRP) map[string]string {
	annotations, _ := t.UserAnnotations.split(lrp.UserAnnotations)
	maps.Copy(annotations, ownerAnnotations(lrp))
	return annotations
}

func (t Translation) podSpec(lrp opi.LRP, found ResolvedImage, secret *corev1.Secret) corev1.PodSpec {
	pod := t.workload(lrp, found, instanceVariables(lrp.Ports), secret)
	pod.TerminationGracePeriodSeconds = ptr.To(int64(wholeSeconds(t.TerminationGrace)))
	pod.TopologySpreadConstraints = spread(selector(lrp.LRPIdentifier))
	container := &pod.Containers[0]
	pod.Volumes, container.VolumeMounts = volumes(lrp.Volumes)
	container.StartupProbe, container.LivenessProbe, container.ReadinessProbe = t.Probes.probes(lrp.Checks)
	for _, port := range distinctPorts(lrp.Ports) {
		container.Ports = append(container.Ports, corev1.ContainerPort{ContainerPort: port, Protocol: corev1.ProtocolTCP})
	}
	if len(lrp.Ports) > 0 && t.PreStopSleep > 0 {
		container.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{
			Sleep: &corev1.SleepAction{Seconds: int64(wholeSeconds(t.PreStopSleep))},
		}}
	}
	return pod
}

// workload is what an app's instances and its tasks have in common: the image, how it is
// launched and in which environment, whom it runs as, within what limits and where.
func (t Translation) workload(lrp opi.LRP, found ResolvedImage, known []corev1.EnvVar, secret *corev1.Secret) corev1.PodSpec {
	secretName := ""
	var pullSecrets []corev1.LocalObjectReference
	// A docker image is pulled with its own credentials only: with the platform's, its
	// owner could name the image of another's droplet.
	if lrp.Droplet != nil && t.Registry.PullSecret != "" {
		pullSecrets = append(pullSecrets, corev1.LocalObjectReference{Name: t.Registry.PullSecret})
	}
	if secret != nil {
		secretName = secret.Name
		if secret.Type == corev1.SecretTypeDockerConfigJson {
			pullSecrets = append(pullSecrets, corev1.LocalObjectReference{Name: secretName})
		}
	}
	variables, _ := environment(lrp, known, secretName)
	podSecurity, hostUsers := t.podSecurity(lrp, found.User)
	image, pullPolicy := t.image(lrp, found.Revision)
	return corev1.PodSpec{
		Containers: []corev1.Container{{
			Name:            containerName,
			Image:           image,
			ImagePullPolicy: pullPolicy,
			Command:         command(lrp),
			Env:             variables,
			Resources:       t.resources(lrp.Limits),
			SecurityContext: ContainerSecurity(),
		}},
		ImagePullSecrets:             pullSecrets,
		SecurityContext:              podSecurity,
		HostUsers:                    hostUsers,
		ServiceAccountName:           t.ServiceAccount,
		AutomountServiceAccountToken: ptr.To(false),
		EnableServiceLinks:           ptr.To(false),
		Affinity:                     t.Placement.Affinity(lrp.PlacementTags),
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
func (t Translation) image(lrp opi.LRP, revision string) (string, corev1.PullPolicy) {
	if lrp.Droplet != nil {
		return t.dropletImage(*lrp.Droplet, revision), corev1.PullIfNotPresent
	}
	if strings.Contains(lrp.RootFS.Image.Reference, "@") {
		return lrp.RootFS.Image.Reference, corev1.PullIfNotPresent
	}
	return lrp.RootFS.Image.Reference, corev1.PullAlways
}

// dropletImage names the image of a droplet on a stack, as kubelet pulls it.
func (t Translation) dropletImage(droplet opi.Droplet, revision string) string {
	tag := droplet.Checksum.Value
	if revision != "" {
		tag += "-" + revision
	}
	return t.Registry.PullAddress + "/" + strings.Trim(t.Registry.Prefix+"/"+droplet.GUID, "/") + ":" + tag
}

func (t Translation) resources(limits opi.Limits) corev1.ResourceRequirements {
	mebibytes := func(n int64) resource.Quantity { return *resource.NewQuantity(n<<20, resource.BinarySI) }
	disk := limits.DiskMiB
	if disk == 0 {
		disk = t.DefaultDiskMiB
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

// unsupported refuses what the domain knows and this back end does not: an LRP
// runs as it was desired or not at all.
func (t Translation) unsupported(lrp opi.LRP) error {
	var errs []error
	if len(lrp.Processes) > 1 {
		errs = append(errs, opi.Invalid("processes", "sidecars are not supported"))
	}
	for i, volume := range lrp.Volumes {
		if volume.Driver != "" {
			errs = append(errs, opi.Invalid(fmt.Sprintf("volumes[%d].driver", i), "volume drivers are not supported, only claims"))
		}
	}
	if len(lrp.Files) > 0 {
		errs = append(errs, opi.Invalid("files", "platform files are not supported"))
	}
	errs = append(errs, unsupportedRoutes(lrp.Routes.TCP))
	for i, process := range lrp.Processes {
		if process.User != "" || len(process.Environment) > 0 {
			errs = append(errs, opi.Invalid(fmt.Sprintf("processes[%d]", i), "a user or environment per process is not supported"))
		}
	}
	if lrp.Droplet != nil && t.Registry.PullAddress == "" {
		errs = append(errs, opi.Invalid("droplet", "no registry for droplets is configured (registry.pull_address)"))
	}
	return errors.Join(errs...)
}

func unsupportedRoutes(routes []opi.TCPRoute) error {
	if len(routes) > 0 {
		return opi.Invalid("routes.tcp", "TCP routes are not supported")
	}
	return nil
}
