// Package keys holds the names of labels and annotations on Irene's Kubernetes
// objects. Those below cloudfoundry.org are the predecessor's, kept because
// people's tools and habits know them; those below irene.cloudfoundry.org are
// Irene's own.
package keys

// Labels. LRPs are found by GUID and Version alone.
const (
	// GUID is Cloud Controller's process guid.
	GUID = "cloudfoundry.org/guid"
	// Version is the process version.
	Version = "cloudfoundry.org/version"
	// AppGUID, SpaceGUID and OrganizationGUID say whose the object is.
	AppGUID          = "cloudfoundry.org/app_guid"
	SpaceGUID        = "cloudfoundry.org/space_guid"
	OrganizationGUID = "cloudfoundry.org/org_guid"
	// DashedAppGUID and the others repeat labels under the names by which Cloud Foundry's own
	// policy agents for Kubernetes select pods. Irene selects by none of them, since pods of
	// earlier releases lack them.
	DashedAppGUID          = "cloudfoundry.org/app-guid"
	DashedSpaceGUID        = "cloudfoundry.org/space-guid"
	DashedOrganizationGUID = "cloudfoundry.org/org-guid"
	DashedSourceType       = "cloudfoundry.org/source-type"
	// ProcessType is the process type as far as it fits a label; the annotation
	// of the same name has it exactly.
	ProcessType = "cloudfoundry.org/process_type"
	// SourceType says what kind of work the object belongs to: SourceTypeApp.
	SourceType = "cloudfoundry.org/source_type"
	// RootFSVersion is the revision of the stack that a buildpack app runs on.
	RootFSVersion = "cloudfoundry.org/rootfs-version"
	// PullSecret is on the pull secret that Irene keeps, and on no other.
	PullSecret = "irene.cloudfoundry.org/pull-secret"
	// DigestKey is on the Secret with the key of digests, and on no other.
	DigestKey = "irene.cloudfoundry.org/digest-key"
	// Domain is the LRP's or the task's domain; absent for doors without domains.
	Domain = "irene.cloudfoundry.org/domain"
	// PodIndex is set by Kubernetes on the pods of a StatefulSet.
	PodIndex = "apps.kubernetes.io/pod-index"
)

// SourceTypeApp is the value of SourceType on everything that belongs to an LRP.
const SourceTypeApp = "APP"

// Annotations.
const (
	// ApplicationID, ApplicationName, SpaceName, OrganizationName are for people
	// and for logs and metrics: the exact names, which labels can't hold.
	ApplicationID    = "cloudfoundry.org/application_id"
	ApplicationName  = "cloudfoundry.org/application_name"
	SpaceName        = "cloudfoundry.org/space_name"
	OrganizationName = "cloudfoundry.org/org_name"
	// ProcessGUID is "<guid>-<version>".
	ProcessGUID = "cloudfoundry.org/process_guid"
	// ApplicationURIs repeats Routes, for tools that know the predecessor.
	ApplicationURIs = "cloudfoundry.org/application_uris"
	// Routes is a JSON array of {"hostname","port"}: the LRP's HTTP routes at
	// present. "protocol", "route_service_url", "isolation_segment" and "options"
	// are there where they are set.
	Routes = "cloudfoundry.org/routes"
	// LastUpdated is the caller's opaque annotation, byte for byte.
	LastUpdated = "cloudfoundry.org/last_updated"
	// OriginalRequest is the desire request without environment and credentials,
	// for people; absent when it is too large.
	OriginalRequest = "cloudfoundry.org/original_request"

	// Door is an annotation of StatefulSets and Jobs: the opi.Door by which the LRP, build or
	// task was asked for. It is absent for opi.DoorOPI.
	Door = "irene.cloudfoundry.org/door"
	// AwaitedImage is on an LRP that was accepted before its image was in the registry: a JSON
	// object with the desired instances (package view). The StatefulSet has no replicas until
	// the image is there; one write then sets them and removes the annotation.
	//
	// It is also on the Job of a task that was accepted in this way, as an annotation (package
	// tasks) and as a label. The Job is suspended until the image is there; one write then
	// resumes it and removes both.
	AwaitedImage = "irene.cloudfoundry.org/awaiting-image"
	// Stack is the name of the stack that a buildpack app runs on; the label
	// RootFSVersion has its revision.
	Stack = "irene.cloudfoundry.org/stack"
	// Surge is how many of the StatefulSet's replicas are there for a while beyond the
	// desired instances, so that these can be replaced without an outage; absent for
	// none. Whoever changes one of replicas and Surge changes both in one write.
	Surge = "irene.cloudfoundry.org/surge"
	// StackRoll is a JSON object {"revision","image"}: what the LRP ran on before it was
	// moved to another revision of its stack, while that is not known to have worked.
	StackRoll = "irene.cloudfoundry.org/stack-roll"
	// LRP is the stored form of the LRP that the StatefulSet was made from, without
	// secrets, instances, routes and annotation.
	LRP = "irene.cloudfoundry.org/lrp"
	// InternalRoutes is a JSON array of {"hostname"}: the LRP's internal routes at
	// present; absent when there are none.
	InternalRoutes = "irene.cloudfoundry.org/internal-routes"
	// TCPRoutes is a JSON array of {"router_group_guid","external_port","port"}: the LRP's TCP
	// routes at present; absent when there are none.
	TCPRoutes = "irene.cloudfoundry.org/tcp-routes"
	// OtherRoutes is a JSON object that holds the LRP's routes of kinds that Irene does not
	// serve, by kind; absent when there are none.
	OtherRoutes = "irene.cloudfoundry.org/other-routes"
	// MetricTags is a JSON object that holds the LRP's metric tags at present, by name: a
	// string, or {"dynamic":"index"} or {"dynamic":"instance_guid"}. Absent when there are
	// none.
	//
	// It is also on the Job of a task or build and on its pod, as the request had them.
	MetricTags = "irene.cloudfoundry.org/metric-tags"
	// IsolationSegment is the LRP's first placement tag, which names the routers
	// that serve its routes; absent for the shared ones.
	IsolationSegment = "irene.cloudfoundry.org/isolation-segment"
	// RequestDigest identifies the template that a request makes:
	// "hmac-sha256:" and hex digits, or the bare hash of releases that had no key.
	RequestDigest = "irene.cloudfoundry.org/request-digest"
	// Secret names the Secret that the StatefulSet's template refers to; absent when
	// there is none.
	Secret = "irene.cloudfoundry.org/secret"
	// DesiredAt is on Secrets: when a request last counted on it (RFC 3339), which
	// keeps the collector of orphans away.
	DesiredAt = "irene.cloudfoundry.org/desired-at"
)
