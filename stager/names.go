package stager

import (
	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

const namePrefix = "stage-"

// jobName is made of the build's guid alone.
func jobName(guid string) string { return job.Name(namePrefix, guid) }

// buildSecretName is the Secret of what user code may read.
func buildSecretName(job string) string { return job + "-build" }

// labels are on the Job, its pod and its Secrets.
func labels(build opi.Build) map[string]string {
	found := job.OwnerLabels(keys.SourceTypeStaging, build.GUID, build.App, build.Space, build.Organization)
	found[keys.StagingGUID] = build.GUID
	return found
}
