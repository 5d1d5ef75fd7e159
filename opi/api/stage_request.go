package api

import (
	"regexp"

	"github.com/irene-cf/irene/opi"
)

// stageRequest is the body of POST /stage/:staging_guid (contract 2.1). Fields that it
// does not name are ignored.
type stageRequest struct {
	StagingGUID        string                `json:"staging_guid"`
	AppGUID            string                `json:"app_guid"`
	AppName            string                `json:"app_name"`
	SpaceGUID          string                `json:"space_guid"`
	SpaceName          string                `json:"space_name"`
	OrganizationGUID   string                `json:"org_guid"`
	OrganizationName   string                `json:"org_name"`
	Environment        []environmentVariable `json:"environment"`
	CompletionCallback string                `json:"completion_callback"`
	MemoryMB           int64                 `json:"memory_mb"`
	DiskMB             int64                 `json:"disk_mb"`
	CPUWeight          int64                 `json:"cpu_weight"`
	// LifecycleData is what Cloud Controllers sent before Lifecycle.
	LifecycleData *buildpackStaging `json:"lifecycle_data"`
	Lifecycle     stagingLifecycle  `json:"lifecycle"`
}

// environmentVariable is in proto3's JSON, which leaves an empty value out.
type environmentVariable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type stagingLifecycle struct {
	Buildpack *buildpackStaging `json:"buildpack_lifecycle"`
	Docker    *dockerLifecycle  `json:"docker_lifecycle"`
}

type buildpackStaging struct {
	AppBitsDownloadURI              string             `json:"app_bits_download_uri"`
	DropletUploadURI                string             `json:"droplet_upload_uri"`
	Buildpacks                      []stagingBuildpack `json:"buildpacks"`
	BuildpackCacheDownloadURI       string             `json:"buildpack_cache_download_uri"`
	BuildpackCacheChecksum          string             `json:"buildpack_cache_checksum"`
	BuildpackCacheChecksumAlgorithm string             `json:"buildpack_cache_checksum_algorithm"`
	BuildpackCacheUploadURI         string             `json:"buildpack_cache_upload_uri"`
}

type stagingBuildpack struct {
	Name       string `json:"name"`
	Key        string `json:"key"`
	URL        string `json:"url"`
	SHA256     string `json:"sha256"`
	SkipDetect bool   `json:"skip_detect"`
}

// stackVariable is the only place where a request says which stack to build on.
const stackVariable = "CF_STACK"

// build converts the request. It refuses what the wire alone can get wrong; the rules
// of the domain are opi.Build.Validate's.
func (r stageRequest) build() (opi.Build, error) {
	build := opi.Build{
		GUID:               r.StagingGUID,
		Door:               opi.DoorOPI,
		App:                opi.Owner{GUID: r.AppGUID, Name: r.AppName},
		Space:              opi.Owner{GUID: r.SpaceGUID, Name: r.SpaceName},
		Organization:       opi.Owner{GUID: r.OrganizationGUID, Name: r.OrganizationName},
		Environment:        variables(r.Environment),
		Limits:             opi.Limits{MemoryMiB: r.MemoryMB, DiskMiB: r.DiskMB, CPUWeight: r.CPUWeight},
		CompletionCallback: r.CompletionCallback,
	}
	buildpack := r.buildpackForm()
	switch {
	case buildpack != nil && r.Lifecycle.Docker != nil:
		return opi.Build{}, opi.Invalid("lifecycle", "a buildpack lifecycle and docker_lifecycle exclude each other")
	case buildpack != nil:
		build.Source = buildpack.source()
		build.Source.Stack = build.Environment[stackVariable]
		delete(build.Environment, stackVariable)
	case r.Lifecycle.Docker != nil:
		build.Image = r.Lifecycle.Docker.image()
	default:
		return opi.Build{}, opi.Invalid("lifecycle", "has neither buildpack_lifecycle nor docker_lifecycle, and there is no lifecycle_data")
	}
	return build, nil
}

// buildpackForm is the buildpack lifecycle in either form. Where both are given the
// older one counts, as it did with the predecessor.
func (r stageRequest) buildpackForm() *buildpackStaging {
	if r.LifecycleData != nil {
		return r.LifecycleData
	}
	return r.Lifecycle.Buildpack
}

func (s buildpackStaging) source() *opi.Source {
	source := &opi.Source{AppBitsURL: s.AppBitsDownloadURI, DropletUploadURL: s.DropletUploadURI}
	for _, buildpack := range s.Buildpacks {
		source.Buildpacks = append(source.Buildpacks, opi.Buildpack{
			Name: buildpack.Name, Key: buildpack.Key, URL: buildpack.URL,
			Checksum: checksum("sha256", buildpack.SHA256), SkipDetect: buildpack.SkipDetect,
		})
	}
	s.cache(source)
	return source
}

// cache fills in the build cache. It saves time and is no part of the build: an
// address or a checksum that can't be one leaves it out.
func (s buildpackStaging) cache(source *opi.Source) {
	sum := checksum(s.BuildpackCacheChecksumAlgorithm, s.BuildpackCacheChecksum)
	if isHTTP(s.BuildpackCacheDownloadURI) && (sum == opi.Checksum{} || hexDigest.MatchString(sum.Value)) {
		source.CacheDownloadURL, source.CacheChecksum = s.BuildpackCacheDownloadURI, sum
	}
	if isHTTP(s.BuildpackCacheUploadURI) {
		source.CacheUploadURL = s.BuildpackCacheUploadURI
	}
}

// hexDigest is a SHA-1 or SHA-256.
var hexDigest = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// checksum is zero without a value.
func checksum(algorithm, value string) opi.Checksum {
	if value == "" {
		return opi.Checksum{}
	}
	return opi.Checksum{Algorithm: algorithm, Value: value}
}

func isHTTP(text string) bool {
	_, err := opi.ParseHTTPURL(text)
	return err == nil
}

// Names of the domain's fields, by where the sender has them.
var (
	stageNames         = stageNamesWithin("lifecycle.buildpack_lifecycle")
	formerlyStageNames = stageNamesWithin("lifecycle_data")
)

func stageNamesWithin(form string) opi.FieldNames {
	return opi.FieldNames{
		{regexp.MustCompile(`^guid$`), "staging_guid"},
		{regexp.MustCompile(`^(app|space)\.(guid|name)$`), "${1}_${2}"},
		{regexp.MustCompile(`^organization\.(guid|name)$`), "org_${1}"},
		{regexp.MustCompile(`^limits\.memory$`), "memory_mb"},
		{regexp.MustCompile(`^limits\.disk$`), "disk_mb"},
		{regexp.MustCompile(`^limits\.cpuWeight$`), "cpu_weight"},
		{regexp.MustCompile(`^completionCallback$`), "completion_callback"},
		{regexp.MustCompile(`^image\.reference$`), "lifecycle.docker_lifecycle.image"},
		{regexp.MustCompile(`^image\.credentials$`), "lifecycle.docker_lifecycle.registry_username"},
		{regexp.MustCompile(`^source\.stack$`), "environment." + stackVariable},
		{regexp.MustCompile(`^source\.appBitsURL$`), form + ".app_bits_download_uri"},
		{regexp.MustCompile(`^source\.dropletUploadURL$`), form + ".droplet_upload_uri"},
		{regexp.MustCompile(`^source\.cacheDownloadURL$`), form + ".buildpack_cache_download_uri"},
		{regexp.MustCompile(`^source\.cacheUploadURL$`), form + ".buildpack_cache_upload_uri"},
		{regexp.MustCompile(`^source\.cacheChecksum\.\w+$`), form + ".buildpack_cache_checksum"},
		{regexp.MustCompile(`^source\.(buildpacks\[\d+\])\.checksum\.\w+$`), form + ".${1}.sha256"},
		{regexp.MustCompile(`^source\.buildpacks`), form + ".buildpacks"},
		{regexp.MustCompile(`^source$`), form},
	}
}

// rename gives the fields that err is about the sender's names.
func (r stageRequest) rename(err error) error {
	if r.LifecycleData != nil {
		return rename(formerlyStageNames, err)
	}
	return rename(stageNames, err)
}
