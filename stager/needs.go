package stager

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"

	"github.com/irene-cf/irene/opi"
	"github.com/irene-cf/irene/stager/steps"
)

const (
	// ConfigFolder is where each step finds its own files.
	ConfigFolder = "/etc/irene-stage"
	// workspace is where fetch and push have the volume, and buildWorkspace where build
	// has it.
	workspace      = "/workspace"
	buildWorkspace = "/tmp"
	// leastToolMiB is the memory of fetch and push where the build's own limit is lower:
	// they are no user's code, and must not fail for a small limit. They stream, and need
	// less than half of it.
	leastToolMiB = 256
)

// Names of files, which are their keys in the Secrets too; for fetchFile see supply.fetchKey.
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
)

// Needs is what a build with buildpacks needs.
type Needs struct {
	// Private has the contents of files for fetch and push, Public those that user code may
	// read.
	Private, Public map[string][]byte
	// Steps in the order in which they run.
	Steps []Step
	// DiskMiB limits the disk of each step, and the volume that they share.
	DiskMiB int64
	// Mounts are images of buildpacks for the step with user code.
	Mounts []Mount
	// Mounted and Fetched are the names of the build's buildpacks, without secrets, by
	// the way in which the build gets them.
	Mounted, Fetched []string
}

// Step is what one step needs.
type Step struct {
	// Name is also that of its configuration, apart from the suffix .json.
	Name, Image string
	// Workspace is where it has the volume that the steps share.
	Workspace string
	MemoryMiB int64
	// UserCode reports whether the step runs user code. Its files are public ones.
	UserCode bool
	// Files are what it finds in ConfigFolder.
	Files []File
}

// File has its content under Key in [Needs.Private] or [Needs.Public].
type File struct{ Key, Name string }

// Mount is a buildpack's image, and where the build finds it.
type Mount struct{ Image, Path string }

// Needs returns what a build with buildpacks needs. The same input returns the same needs.
// Errors are *opi.FieldError.
func (s Settings) Needs(build opi.Build, images PodImages, credentials Credentials) (Needs, error) {
	supply := images.supply(*build.Source)
	needs := Needs{
		Private: credentials.files(), Public: map[string][]byte{}, DiskMiB: s.DiskMiB(build),
		Mounts: supply.mounts, Mounted: namesOf(supply.mounted), Fetched: namesOf(supply.fetched),
	}
	fetch, configured := s.fetchConfig(build, supply.fetched, needs.Private), s.buildConfig(build, images, supply.wanted)
	push := s.pushConfig(build, images, needs.Private)
	if err := errors.Join(opi.Within("source", fetch.Validate()), opi.Within("source", configured.Validate()), opi.Within("source", push.Validate())); err != nil {
		return Needs{}, err
	}
	if err := errors.Join(
		encode(needs.Private, supply.fetchKey(), fetch), encode(needs.Private, pushFile, push),
		encode(needs.Public, buildFile, configured), encode(needs.Public, environmentFile, build.Environment),
	); err != nil {
		return Needs{}, err
	}
	memory := build.Limits.MemoryMiB
	toolMemory := max(memory, leastToolMiB)
	needs.Steps = []Step{
		{
			Name: steps.FetchStep, Image: images.Tool, Workspace: workspace, MemoryMiB: toolMemory,
			Files: append([]File{{supply.fetchKey(), fetchFile}}, present(needs.Private, certificateFile, keyFile, authoritiesFile)...),
		},
		{
			Name: steps.BuildStep, Image: images.Build, Workspace: buildWorkspace, MemoryMiB: memory, UserCode: true,
			Files: present(needs.Public, buildFile, environmentFile),
		},
		{
			Name: steps.PushStep, Image: images.Tool, Workspace: workspace, MemoryMiB: toolMemory,
			Files: present(needs.Private, pushFile, certificateFile, keyFile, authoritiesFile, registryUsernameFile, registryPasswordFile, registryAuthoritiesFile),
		},
	}
	return needs, nil
}

func encode(to map[string][]byte, key string, content any) (err error) {
	if to[key], err = json.Marshal(content); err != nil {
		return fmt.Errorf("encode a step's configuration: %w", err)
	}
	return nil
}

// present returns those of the names that have a content, in their order.
func present(contents map[string][]byte, names ...string) []File {
	var found []File
	for _, name := range names {
		if _, there := contents[name]; there {
			found = append(found, File{name, name})
		}
	}
	return found
}

// files returns the credentials that are set, by the names of their files.
func (c Credentials) files() map[string][]byte {
	files := map[string][]byte{
		certificateFile: c.Certificate, keyFile: c.Key, authoritiesFile: c.Authorities,
		registryUsernameFile: c.RegistryUsername, registryPasswordFile: c.RegistryPassword, registryAuthoritiesFile: c.RegistryAuthorities,
	}
	maps.DeleteFunc(files, func(_ string, content []byte) bool { return len(content) == 0 })
	return files
}

// mounted returns where a step finds a file; "" if there is none.
func mounted(files map[string][]byte, name string) string {
	if _, there := files[name]; !there {
		return ""
	}
	return path.Join(ConfigFolder, name)
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
		Workspace: workspace, AppURL: source.AppBitsURL, AppChecksum: source.AppBitsChecksum, Buildpacks: fetched,
		CacheURL: source.CacheDownloadURL, CacheChecksum: source.CacheChecksum,
		TLS: tlsFiles(files), Parallel: s.ParallelDownloads, Limits: s.limits(build), SkipCertVerify: source.SkipCertVerify,
	}
}

func (s Settings) buildConfig(build opi.Build, images PodImages, wanted []steps.BuildBuildpack) steps.BuildConfig {
	return steps.BuildConfig{
		Workspace: buildWorkspace, Stack: images.Stack, EnvironmentFile: path.Join(ConfigFolder, environmentFile),
		MemoryMiB: build.Limits.MemoryMiB, DiskMiB: s.DiskMiB(build),
		Buildpacks: wanted,
	}
}

func (s Settings) pushConfig(build opi.Build, images PodImages, files map[string][]byte) steps.PushConfig {
	registry := s.Registry
	registry.UsernameFile, registry.PasswordFile = mounted(files, registryUsernameFile), mounted(files, registryPasswordFile)
	registry.CAFile = mounted(files, registryAuthoritiesFile)
	return steps.PushConfig{
		Workspace: workspace, Stack: images.Stack,
		DropletURL: build.Source.DropletUploadURL, CacheURL: build.Source.CacheUploadURL,
		TLS: tlsFiles(files), Registry: registry, Limits: s.limits(build),
	}
}

// limits keeps any one archive within the volume.
func (s Settings) limits(build opi.Build) steps.Limits {
	return steps.Limits{UnpackedBytes: s.DiskMiB(build) << 20}
}
