package render

import (
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// LRP renders an LRP that has passed [opi.LRP.Validate]: its StatefulSet, and the Secret that
// the StatefulSet refers to, nil if there is nothing secret. request is kept for people to
// read; it must be free of secrets. Errors are *opi.FieldError for LRPs that this back end
// can't run.
func (s Settings) LRP(lrp opi.LRP, image ResolvedImage, request string, key DigestKey) (*corev1.Secret, *appsv1.StatefulSet, error) {
	r, err := s.rendering(lrp, image, request, key)
	if err != nil {
		return nil, nil, err
	}
	return r.secret, &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Namespace, Name: r.name, Labels: r.labels, Annotations: r.annotations,
		},
		Spec: appsv1.StatefulSetSpec{
			Replicas:            ptr.To(int32(lrp.Instances)),
			PodManagementPolicy: appsv1.ParallelPodManagement,
			Selector:            &metav1.LabelSelector{MatchLabels: Selector(lrp.LRPIdentifier)},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: r.labels, Annotations: s.podAnnotations(lrp, r.annotations[keys.MetricTags])},
				Spec:       s.instancePod(lrp, r.work).Spec(),
			},
		},
	}, nil
}

// rendering is what an LRP's objects are made from, each part computed once.
type rendering struct {
	// name is the StatefulSet's.
	name string
	// labels are on all objects and on the pods, annotations on the StatefulSet only.
	labels, annotations map[string]string
	// secret is nil where nothing is secret.
	secret *corev1.Secret
	work   work
}

func (s Settings) rendering(lrp opi.LRP, image ResolvedImage, request string, key DigestKey) (rendering, error) {
	if err := s.Check(lrp); err != nil {
		return rendering{}, err
	}
	digest, err := key.request(lrp)
	if err != nil {
		return rendering{}, err
	}
	changes, err := ChangesFor(lrp.Changeable())
	if err != nil {
		return rendering{}, err
	}
	updated := map[string]string{}
	if err := changes.Apply(updated); err != nil {
		return rendering{}, err
	}
	work, err := s.work(keys.AppContainer, lrp, image, instanceVariables(lrp.Ports))
	if err != nil {
		return rendering{}, err
	}
	if len(lrp.SSHRoute) > 0 {
		work.secretData[secretKeySSHRoute] = lrp.SSHRoute
	}
	annotations := lastingAnnotations(lrp, image.AppImage, digest)
	if err := fitAnnotations(annotations, newRecord(lrp, image.AppImage), request, work.secretData); err != nil {
		return rendering{}, err
	}
	maps.Copy(annotations, updated)
	if err := checkSecretSize(work.secretData); err != nil {
		return rendering{}, err
	}
	r := rendering{name: statefulSetName(lrp), labels: labels(lrp, image.Revision), annotations: annotations, work: work}
	if len(work.secretData) > 0 {
		secretName := key.secretName(r.name, work.secretData, work.secretType)
		r.secret = s.secret(secretName, r.labels, work)
		r.work.readFrom(secretName)
		annotations[keys.Secret] = secretName
	}
	return r, nil
}

// podAnnotations returns the annotations of the template. Metric tags are there as they are at
// first; the leader updates them on pods (control.PodMetadata).
func (s Settings) podAnnotations(lrp opi.LRP, metricTags string) map[string]string {
	annotations, _ := s.UserAnnotations.split(lrp.UserAnnotations)
	maps.Copy(annotations, ownerAnnotations(lrp))
	if metricTags != "" {
		annotations[keys.MetricTags] = metricTags
	}
	return annotations
}

// instancePod returns the pod of an instance: the app with its ports, checks and volumes.
func (s Settings) instancePod(lrp opi.LRP, w work) Pod {
	pod, app := w.pod, w.container
	pod.Grace = s.TerminationGrace
	pod.Spread = spread(Selector(lrp.LRPIdentifier))
	claims, mounts := volumes(lrp.Volumes)
	pod.Volumes, app.VolumeMounts = append(claims, pod.Volumes...), append(mounts, app.VolumeMounts...)
	app.StartupProbe, app.LivenessProbe, app.ReadinessProbe = s.Probes.probes(lrp)
	for _, port := range distinctPorts(lrp.Ports) {
		app.Ports = append(app.Ports, corev1.ContainerPort{ContainerPort: port, Protocol: corev1.ProtocolTCP})
	}
	if len(lrp.Ports) > 0 && s.PreStopSleep > 0 {
		app.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{
			Sleep: &corev1.SleepAction{Seconds: int64(wholeSeconds(s.PreStopSleep))},
		}}
	}
	pod.Containers = []corev1.Container{app}
	return pod
}
