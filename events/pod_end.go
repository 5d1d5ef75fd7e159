package events

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// endsByItself is whether all work of a Job has ended although Kubernetes hasn't said so
// yet: no container runs or will run, and no other pod will be made. To suspend such a
// Job would stop nothing, but have its controller delete the pods, and with them the
// log that people want to read.
func endsByItself(job *batchv1.Job, pods []*corev1.Pod) bool {
	if len(pods) == 0 || job.Spec.BackoffLimit == nil || *job.Spec.BackoffLimit != 0 {
		return false
	}
	for _, pod := range pods {
		if pod.DeletionTimestamp != nil || !podEnded(pod) {
			return false
		}
	}
	return true
}

// podEnded looks at containers too: kubelet tells of their ends a moment before it tells
// of the pod's. An init container with status 0 and reason OOMKilled has not ended the pod:
// kubelet starts no other container after it, but leaves the pod Pending until somebody
// deletes it.
func podEnded(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return true
	}
	if pod.Spec.RestartPolicy != corev1.RestartPolicyNever {
		return false
	}
	for _, status := range pod.Status.InitContainerStatuses {
		ended := status.State.Terminated
		if ended != nil && ended.ExitCode != 0 && !restarts(pod, status.Name) {
			return true // the others are not started
		}
	}
	for _, status := range pod.Status.ContainerStatuses {
		if status.State.Terminated == nil {
			return false
		}
	}
	return len(pod.Status.ContainerStatuses) == len(pod.Spec.Containers)
}

// restarts is whether an init container is one that runs beside the others, as service
// meshes add them.
func restarts(pod *corev1.Pod, initContainer string) bool {
	for _, container := range pod.Spec.InitContainers {
		if container.Name == initContainer {
			return container.RestartPolicy != nil && *container.RestartPolicy == corev1.ContainerRestartPolicyAlways
		}
	}
	return false
}
