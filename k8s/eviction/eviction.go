// Package eviction determines from a pod's status why kubelet evicted it: because the pod used
// more disk than its own limits allow, which is its own fault, or because the node ran
// short of something, which is not.
//
// # Usage
//
//	if eviction.ForOwnDisk(pod.Status.Reason, pod.Status.Message) {
//		// the app is over its disk limit
//	}
//
// kubelet has no machine-readable reason for this, so the texts of its messages decide.
// They are the same in all supported versions of Kubernetes (pkg/kubelet/eviction/helpers.go).
package eviction

import "strings"

// Reason is the reason in the status of every pod that kubelet has evicted.
const Reason = "Evicted"

// ForOwnDisk reports whether kubelet evicted a pod because its containers or volumes used
// more disk than their limits allow:
//
//	Container opi exceeded its local ephemeral storage limit "256Mi".
//	Pod ephemeral local storage usage exceeds the total limit of containers 256Mi.
//	Usage of EmptyDir volume "workspace" exceeds the limit "2Gi".
func ForOwnDisk(reason, message string) bool {
	if reason != Reason || ForNode(reason, message) {
		return false
	}
	message = strings.ToLower(message)
	return strings.Contains(message, "emptydir volume") ||
		strings.Contains(message, "ephemeral local storage") ||
		strings.Contains(message, "local ephemeral storage")
}

// ForNode reports whether kubelet evicted a pod, or did not admit it, because its node ran
// out of memory, disk or process ids. The first message may go on with what the pod used:
//
//	The node was low on resource: ephemeral-storage. Container opi was using 300Mi, …
//	The node had condition: [DiskPressure].
func ForNode(reason, message string) bool {
	return reason == Reason && (strings.Contains(message, "low on resource") || strings.Contains(message, "node had condition"))
}
