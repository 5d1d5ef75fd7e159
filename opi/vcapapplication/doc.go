// Package vcapapplication adds to the variable VCAP_APPLICATION, as Cloud Controller
// sends it, what only an instance knows about itself.
//
// # Usage
//
//	members := vcapapplication.InstanceMembers(`"8f1c…"`, "0", "8080")
//	merged, err := vcapapplication.Merge(sent, members)
//
// Two programs add these members, and apps must not see a difference: cmd/launch does it
// in the instances of buildpack apps, and package k8s does it in the pod spec of docker
// apps, whose containers run no program of ours. The second puts references that kubelet
// replaces, such as $(CF_INSTANCE_INDEX), where the first has values; Merge therefore
// never looks at the values of the members that it adds.
package vcapapplication
