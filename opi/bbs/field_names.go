package bbs

import (
	"regexp"

	"github.com/irene-cf/irene/opi"
)

// wireNames are the fields of Diego's DesiredLRP, DesiredLRPUpdate and TaskDefinition.
var wireNames = opi.FieldNames{
	{regexp.MustCompile(`^(guid|version)$`), "process_guid"},
	{regexp.MustCompile(`^(app|space|organization)\.guid$`), "metric_tags.${1}_id"},
	{regexp.MustCompile(`^(app|space|organization)\.name$`), "metric_tags.${1}_name"},
	{regexp.MustCompile(`^rootFS\.image\.credentials$`), "image_username"},
	{regexp.MustCompile(`^rootFS(\.|$)`), "root_fs${1}"},
	{regexp.MustCompile(`^limits\.memory$`), "memory_mb"},
	{regexp.MustCompile(`^limits\.disk$`), "disk_mb"},
	{regexp.MustCompile(`^limits\.cpuWeight$`), "cpu_weight"},
	{regexp.MustCompile(`^limits\.fileDescriptors$`), "action.resource_limits.nofile"},
	{regexp.MustCompile(`^limits\.pids$`), "max_pids"},
	{regexp.MustCompile(`^limits\.logBytesPerSecond$`), "log_rate_limit.bytes_per_second"},
	{regexp.MustCompile(`^checks\.startTimeout$`), "start_timeout_ms"},
	{regexp.MustCompile(`^checks\.readiness`), "check_definition.readiness_checks"},
	{regexp.MustCompile(`^checks\.(startup|liveness)`), "check_definition.checks"},
	{regexp.MustCompile(`^routes\.http(\[\d+\])\.routeServiceURL$`), "routes.cf-router${1}.route_service_url"},
	{regexp.MustCompile(`^routes\.http(\[\d+\])\.hostname$`), "routes.cf-router${1}.hostnames"},
	{regexp.MustCompile(`^routes\.http(\[|$)`), "routes.cf-router${1}"},
	{regexp.MustCompile(`^routes\.internal(\[|$)`), "routes.internal-router${1}"},
	{regexp.MustCompile(`^routes\.tcp(\[\d+\])\.externalPort$`), "routes.tcp-router${1}.external_port"},
	{regexp.MustCompile(`^routes\.tcp(\[\d+\])\.port$`), "routes.tcp-router${1}.container_port"},
	{regexp.MustCompile(`^routes\.tcp(\[|$)`), "routes.tcp-router${1}"},
	{regexp.MustCompile(`^volumes(\[\d+\])\.id$`), "volume_mounts${1}.shared.volume_id"},
	{regexp.MustCompile(`^volumes(\[\d+\])\.directory$`), "volume_mounts${1}.container_dir"},
	{regexp.MustCompile(`^volumes(\[|$)`), "volume_mounts${1}"},
	{regexp.MustCompile(`^egressRules(\[|$)`), "egress_rules${1}"},
	{regexp.MustCompile(`^placementTags(\[|$)`), "placement_tags${1}"},
	{regexp.MustCompile(`^metricTags(\.|$)`), "metric_tags${1}"},
	{regexp.MustCompile(`^files(\[|\.|$)`), "volume_mounted_files${1}"},
	{regexp.MustCompile(`^environment(\.|\[|$)`), "environment_variables${1}"},
	{regexp.MustCompile(`^trustedCertificatesPath$`), "trusted_system_certificates_path"},
	{regexp.MustCompile(`^organizationalUnits`), "certificate_properties.organizational_unit"},
	{regexp.MustCompile(`^process(es)?`), "action"},
	{regexp.MustCompile(`^completionCallback$`), "completion_callback_url"},
	{regexp.MustCompile(`^timeout$`), "action.timeout.timeout_ms"},
	{regexp.MustCompile(`^source\.stack$`), "root_fs"},
	{regexp.MustCompile(`^source\.buildpacks`), "buildpacks"},
	{regexp.MustCompile(`^source\.appBits(URL|Checksum)`), "app package"},
	{regexp.MustCompile(`^source\.dropletUploadURL$`), "upload of the droplet"},
	{regexp.MustCompile(`^source\.cache(Upload|Download)URL$`), "build artifacts cache"},
	{regexp.MustCompile(`^image\.reference$`), "docker image"},
	{regexp.MustCompile(`^image\.credentials$`), "image_username"},
}
