package main

import "fmt"

// sampleImage is the sample app's image, in the parts that Irene makes its name of:
// <registry>/<prefix>/<droplet guid>:<droplet hash>-<revision>.
type sampleImage struct {
	registry    string
	dropletGUID string
	// dropletHash is the SHA-1 of the droplet, as Cloud Controller gives it.
	dropletHash string
	// revision stands for the stack and Irene's lifecycle layer.
	revision string
}

func (i sampleImage) repository() string { return registryPrefix + "/" + i.dropletGUID }

func (i sampleImage) tag() string { return i.dropletHash + "-" + i.revision }

func (i sampleImage) reference() string {
	return fmt.Sprintf("%s/%s:%s", i.registry, i.repository(), i.tag())
}
