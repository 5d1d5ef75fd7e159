// Package node holds the acceptance tests that need real containers: they run the
// irene binary against an embedded Kubernetes with a real kubelet and containerd
// and look at what users get from outside, by HTTP to irene, by HTTP to the apps,
// and in the cluster's objects.
//
// The tests stand behind the build tag node and need root; "make test-node" builds
// what they use and runs them. Where they can't run they fail and say why.
//
// One cluster serves the whole suite. It and every irene are children of the test
// process and end with it. Each spec makes its own LRPs and stops them; specs may
// run in any order.
package node
