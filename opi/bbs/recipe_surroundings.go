package bbs

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"code.cloudfoundry.org/bbs/models"

	"github.com/irene-cf/irene/opi"
)

// definition has what Diego's messages for LRPs and for tasks have in common. The names of
// the fields on the wire are the same, except for placement tags.
type definition interface {
	GetRootFs() string
	GetDiskMb() int32
	GetMemoryMb() int32
	GetCpuWeight() uint32
	GetPrivileged() bool
	GetEgressRules() []*models.SecurityGroupRule
	GetCachedDependencies() []*models.CachedDependency
	GetImageLayers() []*models.ImageLayer
	GetVolumeMounts() []*models.VolumeMount
	GetVolumeMountedFiles() []*models.File
	GetNetwork() *models.Network
	GetMaxPids() int32
	GetCertificateProperties() *models.CertificateProperties
	GetImageUsername() string
	GetImagePassword() string
	GetMetricTags() map[string]*models.MetricTagValue
	GetLogRateLimit() *models.LogRateLimit
}

// checkPrivileged refuses a privileged container.
func checkPrivileged(wire definition) error {
	if wire.GetPrivileged() {
		return opi.Invalid("privileged", "privileged containers are not supported")
	}
	return nil
}

// limits reads the limits of the whole container. A missing log rate limit is the platform's
// default; 0 is a limit.
func limits(wire definition, fileDescriptors int64) opi.Limits {
	found := opi.Limits{
		MemoryMiB: int64(wire.GetMemoryMb()), DiskMiB: int64(wire.GetDiskMb()), CPUWeight: int64(wire.GetCpuWeight()),
		FileDescriptors: fileDescriptors, PIDs: int64(wire.GetMaxPids()),
	}
	if limit := wire.GetLogRateLimit(); limit != nil {
		found.LogBytesPerSecond = &limit.BytesPerSecond
	}
	return found
}

// Metric tags that describe the app.
const (
	tagProcessType      = "process_type"
	tagAppID            = "app_id"
	tagAppName          = "app_name"
	tagSpaceID          = "space_id"
	tagSpaceName        = "space_name"
	tagOrganizationID   = "organization_id"
	tagOrganizationName = "organization_name"
)

// owners reads the app, its space and its organization. Names are in metric tags only; guids
// are in the properties of the network and in the organizational units, too.
func owners(wire definition) (app, space, organization opi.Owner) {
	tag := func(name string) string { return wire.GetMetricTags()[name].GetStatic() }
	property := func(name string) string { return wire.GetNetwork().GetProperties()[name] }
	unit := func(kind string) string {
		for _, unit := range wire.GetCertificateProperties().GetOrganizationalUnit() {
			if guid, found := strings.CutPrefix(unit, kind+":"); found {
				return guid
			}
		}
		return ""
	}
	app = opi.Owner{GUID: cmp.Or(tag(tagAppID), property("app_id"), unit("app")), Name: tag(tagAppName)}
	space = opi.Owner{GUID: cmp.Or(tag(tagSpaceID), property("space_id"), unit("space")), Name: tag(tagSpaceName)}
	organization = opi.Owner{GUID: cmp.Or(tag(tagOrganizationID), property("org_id"), unit("organization")), Name: tag(tagOrganizationName)}
	return app, space, organization
}

// volumes reads volume mounts. Without the name of a driver a volume would be a claim in
// Kubernetes, which Cloud Controller can't name.
func volumes(wire definition) ([]opi.Volume, error) {
	var found []opi.Volume
	var errs []error
	for i, mount := range wire.GetVolumeMounts() {
		field := fmt.Sprintf("volume_mounts[%d]", i)
		var config map[string]json.RawMessage
		switch text := mount.GetShared().GetMountConfig(); {
		case mount.GetDedicated() != nil:
			errs = append(errs, opi.Invalid(field+".dedicated", "is not supported"))
		case mount.GetShared() == nil:
			errs = append(errs, opi.Invalid(field+".shared", "is missing"))
		case mount.GetDriver() == "":
			errs = append(errs, opi.Invalid(field+".driver", "is missing"))
		case mount.GetShared().GetVolumeId() == "":
			errs = append(errs, opi.Invalid(field+".shared.volume_id", "is missing"))
		case mount.GetMode() != "r" && mount.GetMode() != "rw":
			errs = append(errs, opi.Invalid(field+".mode", "%q is neither r nor rw", shorten(mount.GetMode())))
		case text != "" && json.Unmarshal([]byte(text), &config) != nil:
			errs = append(errs, opi.Invalid(field+".shared.mount_config", "is not a JSON object"))
		default:
			found = append(found, opi.Volume{
				Driver: mount.GetDriver(), ID: mount.GetShared().GetVolumeId(), Directory: mount.GetContainerDir(),
				ReadOnly: mount.GetMode() == "r", Config: config,
			})
		}
	}
	return found, errors.Join(errs...)
}

// egressRules reads security group rules. Destinations stay as they are; a list in one text is
// split when the rules are normalized.
func egressRules(wire definition) []opi.EgressRule {
	var rules []opi.EgressRule
	for _, found := range wire.GetEgressRules() {
		rule := opi.EgressRule{
			Protocol: strings.ToLower(found.GetProtocol()), Destinations: found.GetDestinations(),
			Log: found.GetLog(), Annotations: found.GetAnnotations(),
		}
		for _, port := range found.GetPorts() {
			rule.Ports = append(rule.Ports, saturated(port))
		}
		if ports := found.GetPortRange(); ports != nil {
			rule.PortRange = &opi.PortRange{Start: saturated(ports.Start), End: saturated(ports.End)}
		}
		if icmp := found.GetIcmpInfo(); icmp != nil {
			rule.ICMP = &opi.ICMP{Type: icmp.Type, Code: icmp.Code}
		}
		rules = append(rules, rule)
	}
	return rules
}

// files reads the files of service bindings.
func files(wire definition) []opi.File {
	var found []opi.File
	for _, file := range wire.GetVolumeMountedFiles() {
		found = append(found, opi.File{Path: file.GetPath(), Content: []byte(file.GetContent())})
	}
	return found
}
