// Package kubelet translates what kubelets and container runtimes write about an instance
// into texts for app developers.
//
// # Usage
//
//	text := kubelet.PullFailure(waiting.Message, image) // image is empty for the platform's
//	text = kubelet.StartFailure(waiting.Message)
//	text = kubelet.PodEnd(pod.Status.Reason, pod.Status.Message)
//
// The messages name pods, containers, guids, addresses and, for images that the platform
// makes, its registry. None of that gets into a text: a text has the cause if it is one
// of those that this package recognizes, or names what the app itself brings (its image's
// reference, its command, its working directory). Who runs the platform reads the whole
// message in the pod's status.
//
// Causes have no machine-readable form, so the words of the messages decide. An image's
// reference has no white space, so it can't be taken for one of them.
package kubelet
