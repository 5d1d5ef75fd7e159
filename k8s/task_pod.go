package k8s

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/irene-cf/irene/opi"
)

const (
	// TaskContainer is the task's container in its pod; the name is the predecessor's.
	TaskContainer = "opi-task"
	// taskGraceSeconds is the time from SIGTERM to SIGKILL, as on Diego. Nobody has to be
	// told first that a task goes.
	taskGraceSeconds int64 = 10
)

// TaskPod is what a task's Job runs.
type TaskPod struct {
	Spec corev1.PodSpec
	// SecretData and SecretType are the Secret that Spec refers to.
	SecretData map[string][]byte
	SecretType corev1.SecretType
}

// TaskPod translates a task that has passed Validate by the rules for its app: the same
// image, launch, environment, user, limits and nodes. There are no checks and no ports.
// The same input makes the same pod. Errors are *opi.FieldError for tasks that this back
// end can't run.
func (t Translation) TaskPod(task opi.Task, image ResolvedImage, secretName string) (TaskPod, error) {
	lrp := taskLRP(task)
	if err := t.unsupported(lrp); err != nil {
		return TaskPod{}, err
	}
	data, secretType, err := secretData(lrp, taskVariables())
	if err != nil {
		return TaskPod{}, err
	}
	secret := &corev1.Secret{Type: secretType}
	secret.Name = secretName
	pod := t.workload(lrp, image, taskVariables(), secret)
	pod.TerminationGracePeriodSeconds = ptr.To(taskGraceSeconds)
	pod.Containers[0].Name = TaskContainer
	return TaskPod{Spec: pod, SecretData: data, SecretType: secretType}, nil
}

// ResolveTaskImage is for a task what Desire does first for an LRP: it brings a droplet's
// image into being, and finds out whom a docker image runs as where that matters.
func (l *LRPs) ResolveTaskImage(ctx context.Context, task opi.Task) (ResolvedImage, error) {
	return l.resolveImage(ctx, taskLRP(task))
}

// taskLRP is the task as if it were a process of its app. A droplet's source knows an app
// by the guid of its first process, which is the app's.
func taskLRP(task opi.Task) opi.LRP {
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
	}
}
