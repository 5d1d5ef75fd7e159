package stager

import "github.com/irene-cf/irene/k8s/job"

const (
	namePrefix = "stage-"
	// buildSecretSuffix ends the name of the Secret of what user code may read.
	buildSecretSuffix = "-build"
)

// jobName is made of the build's guid alone.
func jobName(guid string) string { return job.Name(namePrefix, guid) }
