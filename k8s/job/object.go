package job

import (
	"maps"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// notWorthMoving keeps a cluster autoscaler from emptying a node under the work.
const notWorthMoving = "cluster-autoscaler.kubernetes.io/safe-to-evict"

// Work is what a Job is made from.
type Work struct {
	Namespace, Name string
	// Door is by which the work was asked for.
	Door opi.Door
	// Labels and Annotations are on the Job and its pod.
	Labels, Annotations map[string]string
	Pod                 corev1.PodSpec
	// Deadline bounds the work from the moment that a node has taken its pod; 0 for none.
	Deadline time.Duration
	// SchedulingPatience is how long it may wait for a node.
	SchedulingPatience time.Duration
}

// Object makes the Job.
func Object(work Work) *batchv1.Job {
	pod := work.Pod
	pod.RestartPolicy = corev1.RestartPolicyNever
	podAnnotations := maps.Clone(work.Annotations)
	podAnnotations[notWorthMoving] = "false"
	spec := batchv1.JobSpec{
		Parallelism:          ptr.To(int32(1)),
		Completions:          ptr.To(int32(1)),
		BackoffLimit:         ptr.To(int32(0)),
		PodReplacementPolicy: ptr.To(batchv1.Failed),
	}
	if work.Deadline > 0 {
		pod.ActiveDeadlineSeconds = ptr.To(Seconds(work.Deadline))
		// The pod has a deadline of its own, from its start; this one is for what never
		// starts, and for nodes that fall silent.
		spec.ActiveDeadlineSeconds = ptr.To(Seconds(work.Deadline + work.SchedulingPatience))
	}
	spec.Template = corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: work.Labels, Annotations: podAnnotations},
		Spec:       pod,
	}
	annotations := work.Annotations
	if work.Door != opi.DoorOPI {
		annotations = maps.Clone(annotations)
		annotations[keys.Door] = string(work.Door)
	}
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: work.Namespace, Name: work.Name, Labels: work.Labels, Annotations: annotations,
			Finalizers: []string{keys.ReportFinalizer},
		},
		Spec: spec,
	}
}

// OwnerLabels say whose the work is; kind is a value of keys.SourceType.
func OwnerLabels(kind, guid string, app, space, organization opi.Owner) map[string]string {
	return map[string]string{
		keys.GUID:             guid,
		keys.AppGUID:          app.GUID,
		keys.SpaceGUID:        space.GUID,
		keys.OrganizationGUID: organization.GUID,
		keys.SourceType:       kind,
	}
}

// OwnerAnnotations have the exact names, which labels can't hold.
func OwnerAnnotations(app, space, organization opi.Owner) map[string]string {
	return map[string]string{
		keys.ApplicationID:    app.GUID,
		keys.ApplicationName:  app.Name,
		keys.SpaceName:        space.Name,
		keys.OrganizationName: organization.Name,
	}
}

// TolerateLostNode says how long a pod stays on a node that fell silent.
func TolerateLostNode(grace time.Duration) []corev1.Toleration {
	tolerate := func(taint string) corev1.Toleration {
		return corev1.Toleration{
			Key: taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute,
			TolerationSeconds: ptr.To(Seconds(grace)),
		}
	}
	return []corev1.Toleration{tolerate(corev1.TaintNodeNotReady), tolerate(corev1.TaintNodeUnreachable)}
}

// Seconds are whole ones, as Kubernetes counts; never less than one.
func Seconds(d time.Duration) int64 { return max(1, int64(d/time.Second)) }
