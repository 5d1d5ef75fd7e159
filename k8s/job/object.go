package job

import (
	"maps"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// notWorthMoving keeps a cluster autoscaler from emptying a node under the w.
const notWorthMoving = "cluster-autoscaler.kubernetes.io/safe-to-evict"

// Objects are a piece of work in Kubernetes.
type Objects struct {
	// Secrets are written before the Job. They have no owner.
	Secrets []*corev1.Secret
	Job     *batchv1.Job
}

// Work is what a Job and its Secrets are made from.
type Work struct {
	Namespace, Name string
	// Door took the request for the work.
	Door opi.Door
	// Request identifies the request for the work; empty for doors without identities.
	Request string
	// Labels are on the Job, its pod and its Secrets, Annotations on the Job and its pod.
	Labels, Annotations map[string]string
	// Record has more annotations for the Job alone.
	Record map[string]string
	Limits Limits
}

// Secret returns a Secret of the work, whose name is that of the Job and a suffix.
func (w Work) Secret(suffix string, kind corev1.SecretType, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Name + suffix, Labels: maps.Clone(w.Labels)},
		Type:       kind,
		Data:       data,
	}
}

// Job returns the work's Job, which runs the pod.
func (w Work) Job(pod render.Pod) *batchv1.Job {
	pod.Tolerations = TolerateLostNode(w.Limits.LostNodeGrace)
	podSpec := pod.Spec()
	podSpec.RestartPolicy = corev1.RestartPolicyNever
	podAnnotations := maps.Clone(w.Annotations)
	podAnnotations[notWorthMoving] = "false"
	spec := batchv1.JobSpec{
		Parallelism:          ptr.To(int32(1)),
		Completions:          ptr.To(int32(1)),
		BackoffLimit:         ptr.To(int32(0)),
		PodReplacementPolicy: ptr.To(batchv1.Failed),
	}
	if w.Limits.Deadline > 0 {
		podSpec.ActiveDeadlineSeconds = ptr.To(seconds(w.Limits.Deadline))
		// The pod has a deadline of its own, from its start; this one is for what never
		// starts, and for nodes that fall silent.
		spec.ActiveDeadlineSeconds = ptr.To(seconds(w.Limits.Deadline + w.Limits.SchedulingPatience))
	}
	spec.Template = corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: w.Labels, Annotations: podAnnotations},
		Spec:       podSpec,
	}
	annotations := maps.Clone(w.Annotations)
	maps.Copy(annotations, w.Record)
	if w.Door != opi.DoorOPI {
		annotations[keys.Door] = string(w.Door)
	}
	if w.Request != "" {
		annotations[keys.Request] = w.Request
	}
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.Namespace, Name: w.Name, Labels: w.Labels, Annotations: annotations,
			Finalizers: []string{keys.ReportFinalizer},
		},
		Spec: spec,
	}
}

// Keep adds annotations with what Irene keeps of the work and does not act on. What does not
// fit there goes into data, the content of the Secret of the Job's name. The error is an
// *opi.FieldError for work that has too much of it.
func (w *Work) Keep(record render.WorkRecord, data map[string][]byte) error {
	others := maps.Clone(w.Annotations)
	maps.Copy(others, w.Record)
	tags, text, err := record.Encode(others, data)
	if err != nil {
		return err
	}
	if tags != "" {
		w.Annotations[keys.MetricTags] = tags
	}
	if text != "" {
		w.Record = maps.Clone(w.Record)
		if w.Record == nil {
			w.Record = map[string]string{}
		}
		w.Record[keys.WorkRecord] = text
	}
	return nil
}

// Door returns the front door by which the work of a Job was asked for.
func Door(job metav1.Object) opi.Door { return opi.Door(job.GetAnnotations()[keys.Door]) }

// OwnerAnnotations returns annotations with the exact names, which labels can't hold.
func OwnerAnnotations(app, space, organization opi.Owner) map[string]string {
	return map[string]string{
		keys.ApplicationID:    app.GUID,
		keys.ApplicationName:  app.Name,
		keys.SpaceName:        space.Name,
		keys.OrganizationName: organization.Name,
	}
}

// TolerateLostNode returns tolerations that bound how long a pod stays on a node that
// stopped reporting.
func TolerateLostNode(grace time.Duration) []corev1.Toleration {
	tolerate := func(taint string) corev1.Toleration {
		return corev1.Toleration{
			Key: taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute,
			TolerationSeconds: ptr.To(seconds(grace)),
		}
	}
	return []corev1.Toleration{tolerate(corev1.TaintNodeNotReady), tolerate(corev1.TaintNodeUnreachable)}
}

// seconds returns whole seconds, as Kubernetes counts, and at least one.
func seconds(d time.Duration) int64 { return max(1, int64(d/time.Second)) }
