package render

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// Pod is what differs between Irene's pods. [Pod.Spec] adds what all of them have.
type Pod struct {
	// InitContainers run one after the other, before Containers run together.
	InitContainers, Containers []corev1.Container
	Volumes                    []corev1.Volume
	// PullSecrets are the names of image pull secrets.
	PullSecrets []string
	// Security holds for all containers; each needs [ContainerSecurity] as well.
	Security *corev1.PodSecurityContext
	// HostUsers is false for a pod in a user namespace of its own, and nil otherwise.
	HostUsers *bool
	// ServiceAccount is empty for the namespace's default.
	ServiceAccount string
	// Grace is the time from SIGTERM to SIGKILL, preStop hooks included. Fractions of a
	// second are rounded up.
	Grace time.Duration
	// Affinity chooses nodes, Spread distributes pods over them, and Tolerations bound how
	// long the pod stays on one that stopped reporting. Each may be nil.
	Affinity    *corev1.Affinity
	Spread      []corev1.TopologySpreadConstraint
	Tolerations []corev1.Toleration
	Names       NameResolution
}

// NameResolution is how a pod resolves host names. The zero value uses the cluster's DNS.
type NameResolution struct {
	// HostAliases are added to the pod's /etc/hosts.
	HostAliases []corev1.HostAlias
	// Policy is empty for Kubernetes' default, ClusterFirst.
	Policy corev1.DNSPolicy
	// Config is added to what the policy sets; it may be nil.
	Config *corev1.PodDNSConfig
}

// Spec returns the pod's spec. It has no token of its service account and no variables about
// other services in the namespace.
func (p Pod) Spec() corev1.PodSpec {
	var pullSecrets []corev1.LocalObjectReference
	for _, name := range p.PullSecrets {
		pullSecrets = append(pullSecrets, corev1.LocalObjectReference{Name: name})
	}
	return corev1.PodSpec{
		InitContainers:                p.InitContainers,
		Containers:                    p.Containers,
		Volumes:                       p.Volumes,
		ImagePullSecrets:              pullSecrets,
		SecurityContext:               p.Security,
		HostUsers:                     p.HostUsers,
		ServiceAccountName:            p.ServiceAccount,
		AutomountServiceAccountToken:  ptr.To(false),
		EnableServiceLinks:            ptr.To(false),
		TerminationGracePeriodSeconds: ptr.To(int64(wholeSeconds(p.Grace))),
		Affinity:                      p.Affinity,
		TopologySpreadConstraints:     p.Spread,
		Tolerations:                   p.Tolerations,
		HostAliases:                   p.Names.HostAliases,
		DNSPolicy:                     p.Names.Policy,
		DNSConfig:                     p.Names.Config,
	}
}
