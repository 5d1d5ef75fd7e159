package stager

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"

	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
)

const namePrefix = "stage-"

// plainGUID is what can stand in the name of a Job, which its pod's name prolongs.
var plainGUID = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,46}[a-z0-9])?$`)

// jobName is made of the build's guid alone. Other guids than Cloud Controller's, which
// are all plain, become a digest.
func jobName(guid string) string {
	if plainGUID.MatchString(guid) {
		return namePrefix + guid
	}
	sum := sha256.Sum256([]byte(guid))
	return namePrefix + hex.EncodeToString(sum[:])[:40]
}

// buildSecretName is the Secret of what user code may read.
func buildSecretName(job string) string { return job + "-build" }

// labels are on the Job, its pod and its Secrets.
func labels(build opi.Build) map[string]string {
	return map[string]string{
		keys.GUID:             build.GUID,
		keys.StagingGUID:      build.GUID,
		keys.AppGUID:          build.App.GUID,
		keys.SpaceGUID:        build.Space.GUID,
		keys.OrganizationGUID: build.Organization.GUID,
		keys.SourceType:       keys.SourceTypeStaging,
	}
}

// annotations are on the Job and its pod: exact names, which labels can't hold.
func annotations(build opi.Build) map[string]string {
	return map[string]string{
		keys.ApplicationID:    build.App.GUID,
		keys.ApplicationName:  build.App.Name,
		keys.SpaceName:        build.Space.Name,
		keys.OrganizationName: build.Organization.Name,
	}
}
