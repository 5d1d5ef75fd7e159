package render

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

// taskGrace is the time from SIGTERM to SIGKILL, as on Diego. A task has no routes that
// must go first.
const taskGrace = 10 * time.Second

// TaskPod is what a task's Job runs.
type TaskPod struct {
	Pod
	// SecretData and SecretType are the Secret that the pod refers to.
	SecretData map[string][]byte
	SecretType corev1.SecretType
}

// Task renders a task that has passed [opi.Task.Validate] by the rules for its app: the same
// image, launch, environment, user, limits and nodes. There are no checks and no ports. The pod
// refers to a Secret of the given name. Errors are *opi.FieldError for tasks that this back
// end can't run.
func (s Settings) Task(task opi.Task, image ResolvedImage, secretName string) (TaskPod, error) {
	lrp := TaskLRP(task)
	if err := s.Check(lrp); err != nil {
		return TaskPod{}, err
	}
	work, err := s.work(keys.TaskContainer, lrp, image, taskVariables())
	if err != nil {
		return TaskPod{}, err
	}
	work.readFrom(secretName)
	pod := work.pod
	pod.Grace = taskGrace
	pod.Containers = []corev1.Container{work.container}
	return TaskPod{Pod: pod, SecretData: work.secretData, SecretType: work.secretType}, nil
}

// TaskLRP returns the task as if it were a process of its app. Droplet sources identify
// an app by the guid of its first process, which is the app's.
func TaskLRP(task opi.Task) opi.LRP {
	return opi.LRP{
		LRPIdentifier: opi.LRPIdentifier{GUID: task.App.GUID, Version: task.GUID},
		App:           task.App,
		Space:         task.Space,
		Organization:  task.Organization,
		RootFS:        task.RootFS,
		Droplet:       task.Droplet,
		Processes:     []opi.Process{task.Process},
		Environment:   task.Environment,
		Limits:        task.Limits,

		Domain:                  task.Domain,
		Volumes:                 task.Volumes,
		EgressRules:             task.EgressRules,
		PlacementTags:           task.PlacementTags,
		MetricTags:              task.MetricTags,
		OrganizationalUnits:     task.OrganizationalUnits,
		Files:                   task.Files,
		TrustedCertificatesPath: task.TrustedCertificatesPath,
	}
}
