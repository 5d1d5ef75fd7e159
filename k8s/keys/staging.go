package keys

// SourceTypeStaging is the value of SourceType on everything that belongs to a build.
const SourceTypeStaging = "STG"

// StagingGUID is Cloud Controller's build guid: a label of the Job, its pod and its
// Secrets.
const StagingGUID = "cloudfoundry.org/staging_guid"

// Annotations of a build's Job.
const (
	// Stopped is on a build that Irene has stopped, together with spec.suspend: a JSON
	// object {"reason","id","message"}, which is what becomes of the build.
	Stopped = "irene.cloudfoundry.org/stopped"
	// DockerImage is the reference of the image that a build without a pod is about.
	DockerImage = "irene.cloudfoundry.org/docker-image"
)
