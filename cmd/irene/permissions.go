package main

import (
	"slices"
	"strings"
)

// permission is what irene may have to do with one kind of object.
type permission struct {
	group, resource string
	verbs           []string
	// cluster is for objects outside of namespaces; others are in namespace.
	cluster   bool
	namespace string
	// name is set where one object is enough. It does not count for create.
	name string
	// without is what works differently without it; empty where irene needs it.
	without string
}

// String is the resource as kubectl writes it.
func (p permission) String() string {
	if p.group == "" {
		return p.resource
	}
	return p.resource + "." + p.group
}

// permissions are all that the service needs with this configuration. The Role in the
// chart grants them.
func (c Configuration) permissions() []permission {
	apps := c.Kubernetes.Namespace
	needed := []permission{
		{group: "apps", resource: "statefulsets", namespace: apps, verbs: verbs("get list watch create patch delete")},
		{group: "batch", resource: "jobs", namespace: apps, verbs: verbs("get list watch create patch delete")},
		{resource: "pods", namespace: apps, verbs: verbs("get list watch patch delete deletecollection")},
		{resource: "secrets", namespace: apps, verbs: verbs("get list watch create patch delete")},
		{group: "policy", resource: "poddisruptionbudgets", namespace: apps, verbs: verbs("get list watch create update delete")},
		{resource: "events", namespace: apps, verbs: verbs("create patch"), without: "kubectl describe does not say what irene did and refused"},
		{resource: "events", namespace: apps, verbs: verbs("list watch"), without: "users are not told which check of an instance failed, and why a build can't start"},
		{resource: "namespaces", namespace: apps, verbs: verbs("get"), without: "deleting the app namespace may wait up to 5 minutes for instances that were over their disk limit"},
		{resource: "nodes", cluster: true, verbs: verbs("list watch"), without: "instances of lost nodes are not replaced, and routes have no availability zone"},
	}
	if c.LeaderElection.Enabled {
		needed = append(needed,
			permission{group: "coordination.k8s.io", resource: "leases", namespace: c.LeaseNamespace(), name: c.LeaderElection.LeaseName, verbs: verbs("get update")},
			permission{group: "coordination.k8s.io", resource: "leases", namespace: c.LeaseNamespace(), verbs: verbs("create")})
	}
	if c.Registry.PullUsernameFile != "" {
		needed = append(needed, permission{resource: "secrets", namespace: apps, verbs: verbs("update")})
	}
	return needed
}

func verbs(text string) []string { return slices.Clip(strings.Fields(text)) }
