package stager

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"

	"github.com/irene-cf/irene/k8s/job"
	"github.com/irene-cf/irene/k8s/keys"
	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
)

const (
	// configFolder is where each container finds its own files.
	configFolder = "/etc/irene-stage"
	// workspace is where fetch and push have the volume, and buildWorkspace where build
	// has it.
	workspace      = "/workspace"
	buildWorkspace = "/tmp"
)

// Keys of the Secrets, which are names of files too; for fetchFile see supply.fetchKey.
const (
	fetchFile               = "fetch.json"
	pushFile                = "push.json"
	certificateFile         = "client.crt"
	keyFile                 = "client.key"
	authoritiesFile         = "authorities.pem"
	registryUsernameFile    = "registry-username"
	registryPasswordFile    = "registry-password"
	registryAuthoritiesFile = "registry-authorities.pem"

	buildFile       = "build.json"
	environmentFile = "environment.json"

	imageFile = "image.json"
)

// fetchFiles and pushFiles are what the two containers get to see of the Secret, beside
// the configuration of fetch.
var (
	fetchFiles = []string{certificateFile, keyFile, authoritiesFile}
	pushFiles  = []string{pushFile, certificateFile, keyFile, authoritiesFile, registryUsernameFile, registryPasswordFile, registryAuthoritiesFile}
)

// stepData is the content of the two Secrets of a build with buildpacks. Errors are
// *opi.FieldError.
func (s Settings) stepData(build opi.Build, images PodImages, supply supply, credentials Credentials) (private, public map[string][]byte, err error) {
	private = credentials.files()
	private[keys.CallbackKey] = []byte(build.CompletionCallback)
	fetch, configured := s.fetchConfig(build, supply.fetched, private), s.buildConfig(build, images, supply.wanted)
	push := s.pushConfig(build, images, private)
	if err := errors.Join(opi.Within("source", fetch.Validate()), opi.Within("source", configured.Validate()), opi.Within("source", push.Validate())); err != nil {
		return nil, nil, err
	}
	environment := maps.Clone(build.Environment)
	for _, variable := range instanceVariables() {
		delete(environment, variable.Name)
	}
	public = map[string][]byte{}
	for file, content := range map[string]any{supply.fetchKey(): fetch, pushFile: push} {
		if private[file], err = encode(content); err != nil {
			return nil, nil, err
		}
	}
	for file, content := range map[string]any{buildFile: configured, environmentFile: environment} {
		if public[file], err = encode(content); err != nil {
			return nil, nil, err
		}
	}
	return private, public, errors.Join(
		job.CheckSize("source", "addresses of buildpacks, app package, droplet and cache", private),
		job.CheckSize("environment", "names and values", public))
}

func encode(content any) ([]byte, error) {
	text, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("encode a step's configuration: %w", err)
	}
	return text, nil
}

// files are the credentials that there are.
func (c Credentials) files() map[string][]byte {
	files := map[string][]byte{
		certificateFile: c.Certificate, keyFile: c.Key, authoritiesFile: c.Authorities,
		registryUsernameFile: c.RegistryUsername, registryPasswordFile: c.RegistryPassword, registryAuthoritiesFile: c.RegistryAuthorities,
	}
	maps.DeleteFunc(files, func(_ string, content []byte) bool { return len(content) == 0 })
	return files
}

// mounted is where a container finds a file; "" for one that there is not.
func mounted(files map[string][]byte, name string) string {
	if _, there := files[name]; !there {
		return ""
	}
	return path.Join(configFolder, name)
}

func tlsFiles(files map[string][]byte) steps.TLSFiles {
	tls := steps.TLSFiles{Certificate: mounted(files, certificateFile), Key: mounted(files, keyFile)}
	if authorities := mounted(files, authoritiesFile); authorities != "" {
		tls.Authorities = []string{authorities}
	}
	return tls
}

func (s Settings) fetchConfig(build opi.Build, fetched []opi.Buildpack, files map[string][]byte) steps.FetchConfig {
	source := build.Source
	return steps.FetchConfig{
		Workspace: workspace, AppURL: source.AppBitsURL, Buildpacks: fetched, CacheURL: source.CacheDownloadURL, CacheChecksum: source.CacheChecksum,
		TLS: tlsFiles(files), Parallel: s.ParallelDownloads, Limits: s.limits(build),
	}
}

func (s Settings) buildConfig(build opi.Build, images PodImages, wanted []steps.BuildBuildpack) steps.BuildConfig {
	return steps.BuildConfig{
		Workspace: buildWorkspace, Stack: images.Stack, EnvironmentFile: path.Join(configFolder, environmentFile),
		MemoryMiB: build.Limits.MemoryMiB, DiskMiB: s.diskMiB(build),
		Buildpacks: wanted,
	}
}

func (s Settings) pushConfig(build opi.Build, images PodImages, files map[string][]byte) steps.PushConfig {
	return steps.PushConfig{
		Workspace: workspace, Stack: images.Stack,
		DropletURL: build.Source.DropletUploadURL, CacheURL: build.Source.CacheUploadURL,
		TLS: tlsFiles(files),
		Registry: steps.RegistryConfig{
			Address: s.Registry.Address, Prefix: s.Registry.Prefix, PlainHTTP: s.Registry.PlainHTTP,
			UsernameFile: mounted(files, registryUsernameFile), PasswordFile: mounted(files, registryPasswordFile),
			CAFile: mounted(files, registryAuthoritiesFile),
		},
		Limits: s.limits(build),
	}
}

// limits keep any one archive within the volume.
func (s Settings) limits(build opi.Build) steps.Limits {
	return steps.Limits{UnpackedBytes: s.diskMiB(build) << 20}
}

func (s Settings) diskMiB(build opi.Build) int64 {
	if build.Limits.DiskMiB == 0 {
		return s.DefaultDiskMiB
	}
	return build.Limits.DiskMiB
}
