package tasks

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// namePrefix begins the names of all Jobs of tasks.
const namePrefix = "task-"

// Objects are a task in Kubernetes.
type Objects struct {
	// Secret is written before the Job. It has no owner.
	Secret *corev1.Secret
	Job    *batchv1.Job
}

// Render makes the objects of a task that has passed Validate. The same input makes the
// same objects. Errors are *opi.FieldError for tasks that can't run here.
func (s Settings) Render(task opi.Task, image render.ResolvedImage) (Objects, error) {
	name := job.Name(namePrefix, task.GUID)
	pod, err := s.Translation.Task(task, image, name)
	if err != nil {
		return Objects{}, fmt.Errorf("render task %s: %w", task.GUID, err)
	}
	pod.Spec.Tolerations = job.TolerateLostNode(s.LostNodeGrace)
	pod.SecretData[keys.CallbackKey] = []byte(task.CompletionCallback)
	if err := job.CheckSize("environment", "all secret values", pod.SecretData); err != nil {
		return Objects{}, err
	}
	labels := job.OwnerLabels(keys.SourceTypeTask, task.GUID, task.App, task.Space, task.Organization)
	labels[keys.TaskName] = render.LabelText(task.Name)
	if task.Droplet != nil {
		labels[keys.RootFSVersion] = image.Revision
	}
	annotations := job.OwnerAnnotations(task.App, task.Space, task.Organization)
	annotations[keys.TaskName] = task.Name
	return Objects{
		Secret: &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.Translation.Namespace, Name: name, Labels: labels},
			Type:       pod.SecretType,
			Data:       pod.SecretData,
		},
		Job: job.Object(job.Work{
			Namespace: s.Translation.Namespace, Name: name, Door: task.Door, Labels: labels, Annotations: annotations,
			Pod: pod.Spec, Deadline: s.Deadline, SchedulingPatience: s.SchedulingPatience,
		}),
	}, nil
}
