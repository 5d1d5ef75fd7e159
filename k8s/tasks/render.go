package tasks

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/k8s/render"
	"github.com/irene-cf/irene/opi"
)

// namePrefix begins the names of all Jobs of tasks.
const namePrefix = "task-"

// Render makes the objects of a task that has passed Validate. The same input makes the
// same objects. Errors are *opi.FieldError for tasks that can't run here.
func (s Settings) Render(task opi.Task, image render.ResolvedImage) (job.Objects, error) {
	name := job.Name(namePrefix, task.GUID)
	pod, err := s.Translation.Task(task, image, name)
	if err != nil {
		return job.Objects{}, fmt.Errorf("render task %s: %w", task.GUID, err)
	}
	pod.SecretData[keys.CallbackKey] = []byte(task.CompletionCallback)
	labels := render.OwnerLabels(keys.SourceTypeTask, task.GUID, task.App, task.Space, task.Organization)
	labels[keys.TaskName] = render.LabelText(task.Name)
	if task.Droplet != nil {
		labels[keys.RootFSVersion] = image.Revision
	}
	if task.Domain != "" {
		labels[keys.Domain] = task.Domain
	}
	annotations := job.OwnerAnnotations(task.App, task.Space, task.Organization)
	annotations[keys.TaskName] = task.Name
	work := job.Work{
		Namespace: s.Translation.Namespace, Name: name, Door: task.Door,
		Labels: labels, Annotations: annotations, Record: record(task, image), Request: task.Request, Limits: s.Limits,
	}
	if err := work.Keep(render.TaskRecord(task), pod.SecretData); err != nil {
		return job.Objects{}, err
	}
	if err := job.CheckSize("environment", "all secret values", pod.SecretData); err != nil {
		return job.Objects{}, err
	}
	return job.Objects{
		Secrets: []*corev1.Secret{work.Secret("", pod.SecretType, pod.SecretData)},
		Job:     work.Job(pod.Pod),
	}, nil
}

// record returns what a task of a door with domains is listed with.
func record(task opi.Task, image render.ResolvedImage) map[string]string {
	if task.Domain == "" {
		return nil
	}
	annotations := map[string]string{}
	if task.Annotation != "" {
		annotations[keys.LastUpdated] = task.Annotation
	}
	if task.RootFS.Image != nil {
		annotations[keys.TaskImage] = task.RootFS.Image.Reference
	} else {
		annotations[keys.Stack] = image.Stack
	}
	return annotations
}
